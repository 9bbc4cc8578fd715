"""Whether the local copies of ended workers say what their changelogs say."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable

from pipeline import stages
from pipeline.runtime.store import Store
from pulseload import kafka, topics
from tests.system.harness import System


def check_copies(system: System, names: Iterable[str]) -> None:
    """Compare each table, rebuilt from the first record of its changelog on, with each copy.

    Of the workers named the last that had a task has the copy that is level; all must have ended.
    """
    settings = system.settings
    group = settings.pulseload_app_id
    cluster = asyncio.run(kafka.require(settings))
    for stage in stages.build(settings):
        tables = [*stage.tables, stage.positions]
        wanted = {name: _rebuilt(system, topics.changelog(group, name)) for name in tables}
        for partition in range(settings.pulseload_partitions):
            rows = {name: wanted[name][partition] for name in tables}
            copies = []
            for name in names:
                path = system.folder / f"{name}-state/state/{name}/{stage.name}/{partition}"
                if path.exists():
                    store = Store(path, tables, f"{group} on {cluster}")
                    copies.append({name: dict(store.rows(name).scan(b"")) for name in tables})
                    store.close()
            assert rows in copies or not any(rows.values()), f"{stage.name}/{partition}"


def _rebuilt(system: System, changelog: str) -> dict[int, dict[bytes, bytes]]:
    tables: dict[int, dict[bytes, bytes]] = defaultdict(dict)
    for record in system.read(changelog):
        assert record.key is not None
        if record.value is None:
            tables[record.partition].pop(record.key, None)
        else:
            tables[record.partition][record.key] = record.value
    return tables
