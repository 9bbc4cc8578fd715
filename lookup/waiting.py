"""Which jobs wait, as the rows of the table `pending-jobs` tell."""

from collections.abc import Iterator
from typing import NamedTuple

from lookup.events import document_of, push_of_row
from pipeline.joining import group
from pipeline.pending import Waiting
from pipeline.runtime.records import Record


class Wait(NamedTuple):
    """The jobs that wait for one push: how many, and since when the first of them (ms)."""

    push: str
    jobs: int
    since: int


class WaitingJob(NamedTuple):
    """One job that waits: since when (ms), and where it stands in `jobs.valid`."""

    job: str
    state: str
    since: int
    partition: int
    offset: int


class Waits:
    """The pushes that are waited for in some partitions, from their rows in order.

    Of a row only its offset and since when are kept, and only while it waits.
    """

    def __init__(self) -> None:
        self._rows: dict[bytes, dict[int, int]] = {}

    def visit(self, record: Record) -> None:
        """Take one row of the changelog."""
        group_, nul, order = (record.key or b"").rpartition(b"\0")
        if not nul:
            return
        if record.value is not None:
            since = int(record.value[: record.value.index(b" ")])
            self._rows.setdefault(group_, {})[int(order)] = since
            return
        rows = self._rows.get(group_, {})
        rows.pop(int(order), None)
        if not rows:
            self._rows.pop(group_, None)

    def found(self) -> Iterator[Wait]:
        """Yield what is waited for."""
        for group_, rows in self._rows.items():
            yield Wait(push_of_row(group_ + b"\0"), len(rows), min(rows.values()))


class WaitingJobs:
    """The jobs that wait for one push, from the rows of its partition in order."""

    def __init__(self, push: str) -> None:
        self._prefix = group(push.encode()) + b"\0"
        self._rows: dict[int, WaitingJob] = {}

    def visit(self, record: Record) -> None:
        """Take one row of the changelog."""
        key = record.key or b""
        if not key.startswith(self._prefix):
            return
        offset = int(key[len(self._prefix) :])
        if record.value is None:
            self._rows.pop(offset, None)
            return
        row = Waiting.unpack(record.value)
        self._rows[offset] = WaitingJob(
            row.job_id.decode(errors="replace"),
            str(document_of(row.job).get("state", "")),
            row.since,
            record.partition,
            offset,
        )

    def found(self) -> list[WaitingJob]:
        """Return them in the order in which they will leave."""
        return [row for _, row in sorted(self._rows.items())]
