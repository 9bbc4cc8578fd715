"""What comes out of a stage: the draft of one transaction.

A stage is one synchronous function `(records, draft) -> iterator`. It sends records, changes
tables and says which input records it is through with, all on the draft; each `yield` is a
place where the runtime may commit what the draft holds so far and empty it, or let others have a
turn. Nothing here knows Kafka: a draft over a dictionary is all that a test of a stage needs.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from pipeline.runtime.records import Record
from pulseload.headers import Header
from pulseload.partitions import partition_of

MAX_RECORDS = 4_000
MAX_BYTES = 8 * 1_048_576
TURN_STEPS = 400
"""How much a stage does in one turn, some milliseconds, while whatever else there is waits."""

CACHE_BYTES = 2 * 1_048_576
"""How much of what was read from a table's rows is kept at hand."""


class Output(NamedTuple):
    """One record to be sent."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: list[Header]


class Rows(Protocol):
    """The committed rows of one table and partition."""

    def get(self, key: bytes) -> bytes | None:
        """Return the row's value, or None where there is none."""

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of the rows whose key starts with `prefix`, in order of their keys.

        Only keys greater than `after` come. Rows may be written while this runs: what was there
        when it began is what comes.
        """


def _weight(key: bytes | None, value: bytes | None) -> int:
    return 100 + len(key or b"") + len(value or b"")


class Load:
    """How much a draft holds, in records and bytes, and the steps done in this turn."""

    __slots__ = ("bytes", "records", "steps")

    def __init__(self) -> None:
        self.records = self.bytes = self.steps = 0

    def add(self, size: int) -> None:
        """Count one record more."""
        self.records += 1
        self.steps += 1
        self.bytes += size


class Table:
    """A table as a stage sees it: the committed rows under the draft's own changes.

    A key's *group* is what stands before its first NUL byte; `scan` walks one group.
    """

    def __init__(self, rows: Rows, load: Load | None = None) -> None:
        self._rows = rows
        self._load = load or Load()
        self.changes: dict[bytes, bytes | None] = {}
        self._groups: dict[bytes, set[bytes]] = {}
        self._known: dict[bytes, bytes | None] = {}
        self._known_bytes = 0

    def get(self, key: bytes) -> bytes | None:
        """Return the row's value, or None where there is none."""
        if key in self.changes:
            return self.changes[key]
        if key in self._known:
            return self._known[key]
        value = self._rows.get(key)
        if self._known_bytes > CACHE_BYTES:
            self._known.clear()
            self._known_bytes = 0
        self._known[key] = value
        self._known_bytes += _weight(key, value)
        return value

    def put(self, key: bytes, value: bytes | None) -> None:
        """Write a row; a value of None deletes it."""
        self.changes[key] = value
        self._load.add(_weight(key, value))
        group, nul, _ = key.partition(b"\0")
        if nul:
            self._groups.setdefault(group, set()).add(key)

    def scan(self, group: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of a group's rows in order of their keys.

        Rows may be put and deleted, and the draft committed, while this runs: what was there
        when it began is what comes.
        """
        prefix = group + b"\0"
        own = sorted(self._groups.get(group, ()))
        changed = {key: self.changes[key] for key in own}
        mine = iter([(key, value) for key, value in changed.items() if value is not None])
        ahead = next(mine, None)
        for key, value in self._rows.scan(prefix):
            while ahead is not None and ahead[0] < key:
                yield ahead
                ahead = next(mine, None)
            if key not in changed:
                yield key, value
            elif ahead is not None and ahead[0] == key:
                yield ahead
                ahead = next(mine, None)
        while ahead is not None:
            yield ahead
            ahead = next(mine, None)

    def walk(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of all committed rows behind a key, in order of their keys."""
        return self._rows.scan(b"", after)

    def clear(self) -> None:
        """Forget the changes: they are committed, and the rows below have them."""
        for key in self.changes.keys() & self._known.keys():
            self._known_bytes -= _weight(key, self._known.pop(key))
        self.changes.clear()
        self._groups.clear()


class Draft:
    """What one transaction on one partition will write.

    `partition` is the number of the task, `partitions` how many there are of every topic; `topics`
    are those that the stage may send to.
    """

    def __init__(
        self,
        partition: int,
        partitions: int,
        rows: Mapping[str, Rows],
        topics: Iterable[str],
        max_records: int = MAX_RECORDS,
        max_bytes: int = MAX_BYTES,
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.outputs: list[Output] = []
        self.offsets: dict[str, int] = {}
        self._load = Load()
        self.tables = {name: Table(below, self._load) for name, below in rows.items()}
        self._topics = frozenset(topics)
        self._max_records = max_records
        self._max_bytes = max_bytes

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[Header] = (),
        partition: int | None = None,
    ) -> None:
        """Send a record to `partition`, or to the one its key belongs to.

        Raises ValueError for a topic that the stage does not name among its outputs.
        """
        if topic not in self._topics:
            # What Kafka left open in it would never be cleared.
            raise ValueError(f"{topic} is none of the outputs that this stage names")
        if partition is None:
            partition = partition_of(key or b"", self.partitions)
        self.outputs.append(Output(topic, partition, key, value, list(headers)))
        size = _weight(key, value)
        for name, text in headers:
            size += len(name) + len(text)
        self._load.add(size)

    def reach(self, record: Record) -> None:
        """Say that this input record is done with: a commit moves the offset past it."""
        self.offsets[record.topic] = record.offset + 1
        self._load.steps += 1

    @property
    def full(self) -> bool:
        """Whether the draft holds as much as one transaction should."""
        load = self._load
        return load.records >= self._max_records or load.bytes >= self._max_bytes

    @property
    def due(self) -> bool:
        """Whether it is time for the stage to yield: the draft is full, or the turn is over."""
        return self._load.steps >= TURN_STEPS or self.full

    def next_turn(self) -> None:
        """Let the stage go on until it is due again."""
        self._load.steps = 0

    @property
    def empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not (
            self.outputs or self.offsets or any(table.changes for table in self.tables.values())
        )

    def clear(self) -> None:
        """Begin the next transaction."""
        self.outputs = []
        self.offsets = {}
        self._load.records = self._load.bytes = self._load.steps = 0
        for table in self.tables.values():
            table.clear()


Process = Callable[[Iterable[Record], Draft], Iterator[None]]
"""A stage's work on the records of one partition, in the order they came."""
