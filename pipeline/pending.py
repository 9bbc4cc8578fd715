"""The table of waiting jobs with its counts, and with the oldest of its rows at hand.

A row's key is a group (the job's push), a NUL, and the job's offset with leading zeros: offsets
grow as jobs arrive, so the least one is the oldest. All that is kept here beside the rows follows
from them, and is made anew for each draft; a second table of the order would have to be written,
restored and kept level with every job, also while no bound is near.
"""

from collections.abc import Generator, Iterator, Sequence
from heapq import heappush, heapreplace
from itertools import islice
from typing import Final, NamedTuple

import orjson

from pipeline.runtime.draft import Table
from pulseload.headers import JOB_ID, Header

OLDEST: Final = 1_000
"""How many of the oldest rows of a push are at hand at a time, and of a partition at least."""

OLDEST_SHARE: Final = 5
"""One in so many rows of a partition is at hand.

All rows are looked through to find them, that is so many for each that leaves, while a million
rows cost the memory of 200,000 keys.
"""

TURN_ROWS: Final = 2_000
"""How many rows are looked through before others have a turn."""

_ORDER_BYTES: Final = 20
"""How long an offset is in a key."""


class Waiting(NamedTuple):
    """A row of `pending-jobs`: since when (ms since 1970), the job's headers, its bytes.

    The headers are those that go on, the job's id and its result; a row of a version that knew
    no results has none.
    """

    since: int
    headers: Sequence[Header]
    job: bytes

    @property
    def job_id(self) -> bytes:
        """The job's id, which the validate stage put into the headers."""
        return next(value for name, value in self.headers if name == JOB_ID)

    def pack(self) -> bytes:
        """Return the row's bytes: time, a space, the headers as JSON, a new line, the job."""
        # Header values may be any bytes; Latin-1 takes each byte as one character.
        pairs = [[name, value.decode("latin-1")] for name, value in self.headers]
        return b"%d %b\n%b" % (self.since, orjson.dumps(pairs), self.job)

    @classmethod
    def unpack(cls, row: bytes) -> "Waiting":
        """Read what `pack` wrote."""
        head, _, job = row.partition(b"\n")
        since, _, written = head.partition(b" ")
        pairs = [(name, value.encode("latin-1")) for name, value in orjson.loads(written)]
        return cls(int(since), pairs, job)


def offset_of(key: bytes) -> int:
    """Return where in `jobs.valid` a row's job stands, by the row's key."""
    return int(key[-_ORDER_BYTES:])


class Pending:
    """The waiting jobs of one draft. All changes of their table are made here.

    `total` and `of_group` say how many rows there are; they are right once `count` has ended.
    `swept`, `round_began` and `round_oldest` are for the sweep that goes round: the key it has come
    to, when it was at the first row, and the oldest row it has seen since (ms since 1970).
    `oldest_since` is what the last whole round has seen.
    """

    def __init__(self, table: Table) -> None:
        self.total = 0
        self.of_group: dict[bytes, int] = {}
        self.swept = b""
        self.round_began = 0
        self.round_oldest: int | None = None
        self.oldest_since: int | None = None
        self.table = table
        # The oldest stand last, to be popped. Rows that have left meanwhile are passed over.
        self._oldest: list[bytes] = []
        self._oldest_of: dict[bytes, list[bytes]] = {}

    def count(self) -> Iterator[None]:
        """Count the rows there are; each `yield` is a place where others may have a turn."""
        for number, key in enumerate(self._keys(), 1):
            self._add(key[: -_ORDER_BYTES - 1])
            if number % TURN_ROWS == 0:
                yield

    def put(self, group: bytes, offset: int, row: bytes) -> bytes:
        """Write the row of a job that has just come, and return its key."""
        key = b"%b\0%0*d" % (group, _ORDER_BYTES, offset)
        self.table.put(key, row)
        self._add(group)
        return key

    def renew(self, key: bytes, since: int) -> None:
        """Let a row that may be there wait from `since` on, if that is later; its place is kept."""
        row = self.table.get(key)
        if row is not None:
            former, _, rest = row.partition(b" ")
            if since > int(former):
                self.table.put(key, b"%d %b" % (since, rest))

    def remove(self, key: bytes) -> None:
        """Delete a row that is there."""
        self.table.put(key, None)
        group = key[: -_ORDER_BYTES - 1]
        self.total -= 1
        left = self.of_group[group] - 1
        if left:
            self.of_group[group] = left
        else:
            del self.of_group[group]
            self._oldest_of.pop(group, None)

    def oldest_of(self, group: bytes) -> tuple[bytes, bytes]:
        """Return (key, row) of the oldest row of a group that has any."""
        oldest = self._oldest_of.setdefault(group, [])
        found = self._last(oldest)
        if found is None:
            oldest[:] = [key for key, _ in islice(self.table.scan(group), OLDEST)]
            oldest.reverse()
            found = self._last(oldest)
        return _there(found)

    def oldest(self) -> Generator[None, None, tuple[bytes, bytes]]:
        """Return (key, row) of the oldest row of all, of which there must be any.

        Once in a while all rows are looked through; each `yield` is a place to commit.
        """
        found = self._last(self._oldest)
        if found is None:
            yield from self._find_oldest()
            found = self._last(self._oldest)
        return _there(found)

    def _find_oldest(self) -> Iterator[None]:
        wanted = max(OLDEST, self.total // OLDEST_SHARE)
        found: list[tuple[int, bytes]] = []
        for number, key in enumerate(self._keys(), 1):
            item = -offset_of(key), key
            if len(found) < wanted:
                heappush(found, item)
            elif item > found[0]:
                heapreplace(found, item)
            if number % TURN_ROWS == 0:
                yield
        self._oldest = [key for _, key in sorted(found)]

    def _last(self, oldest: list[bytes]) -> tuple[bytes, bytes] | None:
        while oldest:
            row = self.table.get(oldest[-1])
            if row is not None:
                return oldest[-1], row
            oldest.pop()
        return None

    def _add(self, group: bytes) -> None:
        self.total += 1
        self.of_group[group] = self.of_group.get(group, 0) + 1

    def _keys(self) -> Iterator[bytes]:
        """Yield the keys of all rows, as they are when this begins."""
        changes = dict(self.table.changes)
        for key, _ in self.table.walk():
            if key not in changes:
                yield key
        for key, row in changes.items():
            if row is not None:
                yield key


def _there(found: tuple[bytes, bytes] | None) -> tuple[bytes, bytes]:
    if found is None:
        raise RuntimeError("more rows were counted than there are")
    return found
