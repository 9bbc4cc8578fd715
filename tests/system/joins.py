"""Jobs on their way through a system at work: sent, waiting, joined, and what pushes are known."""

from typing import Any

from local.reader import Read
from pipeline import joining
from pipeline.pending import Waiting
from pulseload import topics
from tests.examples import job, task_id
from tests.system.harness import System

JOBS = "exchange/taskcluster-treeherder/v1/jobs"
TABLE = topics.changelog("pulseload", joining.PUSHES)
PENDING = topics.changelog("pulseload", joining.PENDING)


def sent(system: System, number: int, project: str, revision: str) -> None:
    """Publish a job with an id of its own."""
    document = job(project=project, revision=revision, taskId=task_id(number))
    system.pulse.publish(JOBS, document, routing_key=f"{project}.key")


def waiting(system: System, *numbers: int) -> None:
    """Wait until jobs wait for their push."""
    wanted = {task_id(number).encode() for number in numbers}

    def there(records: list[Read]) -> bool:
        rows = [one.value for one in records if one.value is not None]
        return wanted <= {Waiting.unpack(row).job_id for row in rows}

    system.read(PENDING, until=there)


def known(system: System, project: str, revision: str, *fields: str) -> None:
    """Wait until the table has a push with some fields."""
    key = f"{project}:{revision}".encode()

    def there(records: list[Read]) -> bool:
        rows = [one.json for one in records if one.key == key and one.value is not None]
        return any(set(fields) <= row.keys() for row in rows)

    system.read(TABLE, until=there)


def joined(system: System, *numbers: int) -> list[Any]:
    """Wait until jobs are joined, and return their pushes; they were joined once and in order."""
    wanted = [task_id(number).encode() for number in numbers]
    records = system.read(
        topics.JOBS_JOINED, until=lambda found: set(wanted) <= {one.key for one in found}
    )
    found = [one for one in records if one.key in wanted]
    assert sorted(one.key or b"" for one in found) == sorted(wanted)
    by_push: dict[str, list[bytes | None]] = {}
    for one in found:
        by_push.setdefault(one.json["job"]["origin"]["revision"], []).append(one.key)
    for keys in by_push.values():
        assert keys == [key for key in wanted if key in keys]
    pushes = {one.key: one.json["push"] for one in found}
    return [pushes[key] for key in wanted]
