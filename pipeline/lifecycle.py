"""A job's lifecycle: what a message about a job is to what came before it, and how the job ended.

Each message about a job is an *update*: the state that it tells, and its bytes. The rules are
Treeherder's (`docs/jobs.md` says where they stand there): states only go forward, `completed` is
final and the first of them wins, and updates within another state are all taken. Beside that the
same bytes are taken once.

The table `job-states` remembers, by job id, the updates that were taken last. An update that
expired before it met its push is forgotten, and what came before it counts again.
"""

import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any, Final, NamedTuple, NewType

from pipeline.runtime.draft import Table

STATES: Final = (b"unscheduled", b"pending", b"running", b"completed")
"""A job's states in the order in which they come; the last one is final."""

REPEAT: Final = b"repeat"
STALE: Final = b"stale"
COMPLETED: Final = b"completed"

UNKNOWN: Final = b"unknown"
RESULTS: Final = frozenset(
    (
        *(b"success", b"testfailed", b"busted", b"exception", b"usercancel"),
        *(b"retry", b"superseded", UNKNOWN),
    )
)
"""Treeherder's words for how a job ended."""

MAX_UPDATES: Final = 16
"""How many updates of a job are remembered; with one more, the oldest is forgotten."""

SWEEP_ROWS: Final = 5_000
"""How many rows one tick looks at; the next goes on behind them."""

ROUNDS: Final = 16
"""How many times within the memory's length all rows are looked at."""

_SAME: Final = {
    "success": b"success",
    "exception": b"exception",
    "canceled": b"usercancel",
    "retry": b"retry",
    "superseded": b"superseded",
}
_PLACES: Final[Mapping[bytes | None, bytes]] = {
    state: bytes([place]) for place, state in enumerate(STATES)
}
_DIGEST_BYTES: Final = 8
_UPDATE_BYTES: Final = 1 + _DIGEST_BYTES
_HEAD: Final = struct.Struct(">qB")
_COUNT_BITS: Final = 5
_COUNT_MASK: Final = (1 << _COUNT_BITS) - 1
"""The low bits of the head's last byte count the updates; the others are the floor."""


def result(job: Mapping[str, Any]) -> bytes:
    """Return how a valid job ended, in Treeherder's words: one of `RESULTS`.

    Only a completed job has a result. One that was retried is a `retry` whatever its own result,
    and a failure is named by what failed.
    """
    if job["state"] != "completed":
        return UNKNOWN
    if job.get("isRetried"):
        return b"retry"
    own = job.get("result", "unknown")
    if own == "fail":
        return b"testfailed" if job["jobKind"] == "test" else b"busted"
    return _SAME.get(own, UNKNOWN)


def known_result(word: bytes | None) -> bytes:
    """Return a word of `RESULTS` as it is; `UNKNOWN` for anything else."""
    return word if word in RESULTS else UNKNOWN


Update = NewType("Update", bytes)
"""One message about a job: a byte, its state's place in `STATES`, and a digest of its bytes."""


def update_of(state: bytes | None, job: bytes) -> Update | None:
    """Return the update of a state and a job's bytes, or None where it is none of `STATES`."""
    place = _PLACES.get(state)
    return None if place is None else Update(place + _digest(job))


class Verdict(NamedTuple):
    """What becomes of an update: why it is suppressed, if it is, and the state before it."""

    reason: bytes | None
    previous: bytes | None


GOES_ON: Final = Verdict(None, None)


def verdict(taken: Sequence[Update], update: Update) -> Verdict:
    """Judge an update by those that were taken before, the latest last."""
    if not taken:
        return GOES_ON
    latest = taken[-1][0]
    reason = None
    if update in taken:
        reason = REPEAT
    elif latest == len(STATES) - 1:
        reason = COMPLETED
    elif update[0] < latest:
        reason = STALE
    return Verdict(reason, STATES[latest])


class Memory(NamedTuple):
    """A row of `job-states`: what is remembered of one job.

    `since` is when its latest update came (ms since 1970), `taken` holds the updates, the latest
    last, and `waiting` the key of the latest one's row in `pending-jobs`, if it had to wait.
    `floor` is 0 while the order of one push's rows sees to it that the job does not go backwards.
    Once it has named another push while it waited, it is 1 + the place of the furthest state that
    was joined since: what waits must not be joined behind it.
    """

    since: int
    taken: Sequence[Update]
    waiting: bytes = b""
    floor: int = 0

    @property
    def state(self) -> bytes:
        """The state of the latest update, of which there must be any."""
        return STATES[self.taken[-1][0]]

    def pack(self) -> bytes:
        """Return the row's bytes: time, floor and how many updates, the updates, the key."""
        count = self.floor << _COUNT_BITS | len(self.taken)
        return _HEAD.pack(self.since, count) + b"".join(self.taken) + self.waiting

    @classmethod
    def unpack(cls, row: bytes) -> "Memory":
        """Read what `pack` wrote."""
        since, count = _HEAD.unpack_from(row)
        end = _HEAD.size + (count & _COUNT_MASK) * _UPDATE_BYTES
        starts = range(_HEAD.size, end, _UPDATE_BYTES)
        taken = [Update(row[start : start + _UPDATE_BYTES]) for start in starts]
        return cls(since, taken, row[end:], count >> _COUNT_BITS)


NOTHING: Final = Memory(0, ())


class JobStates:
    """The table `job-states` of one draft. All changes of it are made here."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._swept = b""
        self._rests_until = 0

    def recall(self, job_id: bytes) -> Memory:
        """Return what is remembered of a job; of one that is not known, no updates."""
        row = self._table.get(job_id)
        return NOTHING if row is None else Memory.unpack(row)

    def take(
        self,
        job_id: bytes,
        before: Memory,
        update: Update,
        since: int,
        group: bytes = b"",
        waiting: bytes = b"",
    ) -> None:
        """Remember an update that goes on after what is remembered.

        `since` is when it came, `group` what rows of its push in `pending-jobs` begin with; if it
        has to wait, `waiting` is its key there.
        """
        floor = before.floor
        if before.waiting and not before.waiting.startswith(group + b"\0"):
            floor = floor or 1
        if floor and not waiting:
            floor = 1 + update[0]
        taken = [*before.taken, update][-MAX_UPDATES:]
        self._table.put(job_id, Memory(since, taken, waiting, floor).pack())

    def release(self, job_id: bytes, job: bytes, now: int, late: int) -> Verdict:
        """Judge an update that waited and has met its push, by what was joined since it came.

        Only where a job named several pushes can that be a later state. A job whose latest update
        came before `late` is remembered as if it had come `now`: it counts from the joining.
        """
        row = self._table.get(job_id)
        if row is None:
            return GOES_ON
        since, count = _HEAD.unpack_from(row)
        if since < late:
            row = _HEAD.pack(now, count) + row[_HEAD.size :]
            self._table.put(job_id, row)
        if not count >> _COUNT_BITS:
            return GOES_ON
        memory, digest = Memory.unpack(row), _digest(job)
        update = next((one for one in memory.taken if one[1:] == digest), None)
        if update is None:
            return GOES_ON
        found = verdict([Update(bytes([memory.floor - 1]))], update)
        if found.reason is None:
            self._table.put(job_id, memory._replace(floor=1 + update[0]).pack())
        return found

    def forget(self, job_id: bytes, job: bytes) -> None:
        """Forget an update that left without its push, so that it is taken when it comes again."""
        row = self._table.get(job_id)
        if row is None:
            return
        memory = Memory.unpack(row)
        digest = _digest(job)
        taken = [update for update in memory.taken if update[1:] != digest]
        if not taken:
            self._table.put(job_id, None)
        elif len(taken) < len(memory.taken):
            self._table.put(job_id, memory._replace(taken=taken).pack())

    def sweep(
        self, now: int, length: int, max_age: int, waits: Callable[[bytes], bool]
    ) -> Iterator[None]:
        """Forget jobs whose latest update came `length` ms ago, unless it still waits.

        Of a job that has named several pushes another update may wait, for `max_age` ms at most.
        Each call looks at `SWEEP_ROWS` rows more; a round through all of them begins `ROUNDS`
        times within `length`, since most rows are not due. `waits` is asked whether a row of
        `pending-jobs` is there. Each `yield` is a place to commit.
        """
        if now < self._rests_until:
            return
        rows = self._table.walk(self._swept)
        for key, row in islice(rows, SWEEP_ROWS):
            self._swept = key
            memory = Memory.unpack(row)
            kept = max(length, max_age + length // ROUNDS) if memory.floor else length
            if now - memory.since >= kept and not (memory.waiting and waits(memory.waiting)):
                self._table.put(key, None)
                yield
        if next(rows, None) is None:
            self._swept = b""
            self._rests_until = now + length // ROUNDS


def _digest(job: bytes) -> bytes:
    return blake2b(job, digest_size=_DIGEST_BYTES).digest()
