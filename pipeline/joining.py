"""The join stage: jobs meet their pushes, or wait for them.

Three tables, all by partition: `pushes` (push key → push record), `pending-jobs` (one row per
waiting job) and `job-states` (`pipeline.lifecycle`). The key of a waiting job's row is the job's
push key, a NUL, and the job's offset in `jobs.valid` with leading zeros, so that a push's waiting
jobs stand together in the order they came.

Whether a job goes on is judged when it comes, before it waits: what waits for one push leaves in
that order too. Several pushes come in any order: a job that names more than one is judged again as
it leaves. A job is never remembered by a transaction that does not also let it out or let it wait.

Invariant: a push that is in `pushes` has no rows in `pending-jobs`. A release that is cut into
several transactions puts the push into the table with its last one only; a job that comes in
between therefore waits behind the others, and order is kept whatever is killed meanwhile.
"""

from collections.abc import Generator, Iterable, Iterator
from itertools import islice
from typing import Final, NamedTuple
from weakref import WeakKeyDictionary

from pipeline import dead_letters, pushes
from pipeline.lifecycle import ROUNDS, JobStates, known_result, update_of, verdict
from pipeline.pending import Pending, Waiting, offset_of
from pipeline.runtime.draft import Draft
from pipeline.runtime.records import Record
from pulseload import events, headers, topics
from pulseload.headers import (
    EXPIRED_REASON,
    JOB_ID,
    JOB_RESULT,
    JOB_STATE,
    PREVIOUS_STATE,
    SUPPRESSED_REASON,
    Header,
)

STAGE: Final = "join"
INPUTS: Final = (topics.JOBS_VALID, topics.PUSHES)
OUTPUTS: Final = (
    topics.JOBS_JOINED,
    topics.JOBS_EXPIRED,
    topics.JOBS_SUPPRESSED,
    topics.JOBS_DEAD_LETTER,
    topics.PUSHES_DEAD_LETTER,
)
PUSHES: Final = "pushes"
PENDING: Final = "pending-jobs"
STATES: Final = "job-states"

EXPIRED_PUSH: Final = "pulseload.expired.push"
EXPIRED_WAITED: Final = "pulseload.expired.waited"

PUSH_UNKNOWN: Final = b"push-unknown"
TOO_MANY_FOR_PUSH: Final = b"too-many-for-push"
TOO_MANY: Final = b"too-many"

_JOINED: Final = events.shared(STAGE, topics.JOBS_JOINED)
_EXPIRED: Final = events.shared(STAGE, topics.JOBS_EXPIRED)
_SUPPRESSED: Final = events.shared(STAGE, topics.JOBS_SUPPRESSED)

MAX_ID_BYTES: Final = 1_000
"""How long a job's id may be, twenty times what a valid job has."""

MAX_PUSH_BYTES: Final = 4 * 1_048_576
"""How large a push record may become by merging, so that any job can be joined with it."""

SWEEP_ROWS: Final = 5_000
SWEEP_BYTES: Final = 8 * 1_048_576
"""How much of what waits one tick looks at; the next tick goes on behind it."""


def joined(job: bytes, push: bytes, result: bytes) -> bytes:
    """Return the value of `jobs.joined`; job and push go in byte by byte as they are."""
    return b'{"job":%b,"push":%b,"result":"%b"}' % (job, push, result)


def group(push_key: bytes) -> bytes:
    """Return what a push's rows in `pending-jobs` begin with, before the NUL.

    A revision of the 2016 form may hold a NUL; it is written as no UTF-8 text can be, so that
    no two pushes share rows.
    """
    return push_key.replace(b"\0", b"\xc0\x80")


class Kept(NamedTuple):
    """What the stage keeps beside one draft: its tables with what follows from their rows."""

    pending: Pending
    states: JobStates


class Join:
    """The stage's functions.

    `max_age` is how many seconds a job may wait for its push, `max_jobs_per_push` and `max_jobs`
    how many may wait for one push and in one partition: with one more, the oldest leaves.
    `memory` is how many seconds it is remembered what was last heard of a job.
    """

    def __init__(
        self,
        max_age: int,
        max_jobs_per_push: int = 50_000,
        max_jobs: int = 1_000_000,
        memory: int = 3 * 86_400,
    ) -> None:
        self._max_age_ms = max_age * 1_000
        self._max_jobs_per_push = max_jobs_per_push
        self._max_jobs = max_jobs
        self._memory_ms = memory * 1_000
        # A partition that is taken away and comes back has a new draft, and is counted again.
        self._kept: WeakKeyDictionary[Draft, Kept] = WeakKeyDictionary()

    def waiting(self, draft: Draft) -> tuple[int, int | None]:
        """Return how many jobs wait, and since when the oldest does (ms since 1970), if any.

        The latter is of the last time that all were looked through.
        """
        kept = self._kept.get(draft)
        return (0, None) if kept is None else (kept.pending.total, kept.pending.oldest_since)

    def process(self, records: Iterable[Record], draft: Draft) -> Iterator[None]:
        """Join jobs with pushes; see `pipeline.runtime.draft.Process`."""
        kept = yield from self._counted(draft)
        for record in records:
            if record.topic == topics.PUSHES:
                yield from self._push(record, draft, kept)
            else:
                yield from self._job(record, draft, kept)
            draft.reach(record)
            if draft.due:
                yield

    def _counted(self, draft: Draft) -> Generator[None, None, Kept]:
        kept = self._kept.get(draft)
        if kept is None:
            kept = Kept(Pending(draft.tables[PENDING]), JobStates(draft.tables[STATES]))
            yield from kept.pending.count()
            self._kept[draft] = kept
        return kept

    def _job(self, record: Record, draft: Draft, kept: Kept) -> Iterator[None]:
        """Join the job, let it wait, suppress it, or refuse it."""
        # Not ours: null values of headers, which Kafka has, and an id as long as no job's is.
        told = dict(record.headers)
        job_id = told.get(JOB_ID) or b""
        if record.key is None or record.value is None or not 0 < len(job_id) <= MAX_ID_BYTES:
            message = f"no key, value or {JOB_ID} header: write jobs to {topics.JOBS_INBOX}"
            _refuse(draft, topics.JOBS_DEAD_LETTER, record, message)
            return
        memory, waiting = kept.states.recall(job_id), b""
        # What a version without lifecycles has validated goes on unjudged.
        update = update_of(told.get(JOB_STATE), record.value)
        if update is not None:
            reason, previous = verdict(memory.taken, update)
            if reason is not None and previous is not None:
                # What it yields to must not expire before it would have.
                kept.pending.renew(memory.waiting, record.timestamp)
                given = record.headers
                _suppress(draft, job_id, record.offset, record.value, given, reason, previous)
                return
        result, own = known_result(told.get(JOB_RESULT)), group(record.key)
        push = draft.tables[PUSHES].get(record.key)
        if push is None:
            yield from self._make_room(own, record.timestamp, draft, kept)
            # It may have been an earlier update of this job that made room.
            memory = kept.states.recall(job_id)
        given = headers.carried(record.headers)
        if update is not None and memory.taken:
            given.append((PREVIOUS_STATE, memory.state))
        if push is None:
            given += [(JOB_ID, job_id), (JOB_RESULT, result)]
            row = Waiting(record.timestamp, given, record.value).pack()
            waiting = kept.pending.put(own, record.offset, row)
        else:
            given += [events.of_job(job_id, draft.partition, record.offset), *_JOINED]
            value = joined(record.value, push, result)
            draft.send(topics.JOBS_JOINED, job_id, value, given, draft.partition)
        if update is not None:
            kept.states.take(job_id, memory, update, record.timestamp, own, waiting)

    def _make_room(self, own: bytes, now: int, draft: Draft, kept: Kept) -> Iterator[None]:
        """Send away the oldest until one more job of a push may wait.

        It is done before that job is written: what a commit in between leaves is within bounds.
        """
        pending = kept.pending
        while pending.of_group.get(own, 0) >= self._max_jobs_per_push:
            _expire(draft, kept, *pending.oldest_of(own), now, TOO_MANY_FOR_PUSH)
            if draft.due:
                yield
        while pending.total >= self._max_jobs:
            oldest = yield from pending.oldest()
            _expire(draft, kept, *oldest, now, TOO_MANY)
            if draft.due:
                yield

    def _push(self, record: Record, draft: Draft, kept: Kept) -> Iterator[None]:
        key, value, table = record.key or b"", record.value, draft.tables[PUSHES]
        if value is None:
            # A tombstone, as compacted topics have them: the push is forgotten.
            table.put(key, None)
            return
        known = table.get(key)
        try:
            push = pushes.merge(known, value, key)
        except ValueError as error:
            message = f"no push record ({error}): write pushes to {topics.PUSHES_INBOX}"
            _refuse(draft, topics.PUSHES_DEAD_LETTER, record, message)
            return
        if len(push) > MAX_PUSH_BYTES:
            message = f"with this, the push record would be larger than {MAX_PUSH_BYTES:,} bytes"
            _refuse(draft, topics.PUSHES_DEAD_LETTER, record, message, dead_letters.INVALID_PUSH)
            return
        if known is None:
            late = record.timestamp - self._memory_ms // ROUNDS
            yield from _release_all(draft, kept, key, push, record.timestamp, late)
        if push != known:
            table.put(key, push)

    def tick(self, now: int, draft: Draft) -> Iterator[None]:
        """Send away what has waited too long, and forget; see `pipeline.runtime.stage.Tick`."""
        kept = yield from self._counted(draft)
        yield from self._expire_due(now, draft, kept)
        pending = kept.pending.table
        for _ in kept.states.sweep(
            now, self._memory_ms, self._max_age_ms, lambda key: pending.get(key) is not None
        ):
            if draft.due:
                yield

    def _expire_due(self, now: int, draft: Draft, kept: Kept) -> Iterator[None]:
        """Send away what has waited too long.

        Each call looks at `SWEEP_ROWS` rows more, or `SWEEP_BYTES`, so that a million waiting
        rows cost no more at a time than a few; one that is due leaves within as many ticks as two
        rounds take.
        """
        pending = kept.pending
        if not pending.total:
            # RocksDB would look through the marks of all that were deleted to see it.
            pending.swept = b""
            pending.oldest_since = pending.round_oldest = None
            return
        if not pending.swept:
            # By one moment for all: none leaves before an older one of its push.
            pending.round_began = now
            pending.round_oldest = None
        rows = pending.table.walk(pending.swept)
        pending.swept = b""
        looked_at = 0
        for key, row in islice(rows, SWEEP_ROWS):
            pending.swept = key
            looked_at += len(row)
            since = int(row[: row.index(b" ")])
            if pending.round_began - since >= self._max_age_ms:
                _expire(draft, kept, key, row, now, PUSH_UNKNOWN)
                if draft.due:
                    yield
            elif pending.round_oldest is None or since < pending.round_oldest:
                pending.round_oldest = since
            if looked_at > SWEEP_BYTES:
                return
        if next(rows, None) is None:
            pending.swept = b""
            pending.oldest_since = pending.round_oldest


def _release_all(
    draft: Draft, kept: Kept, push_key: bytes, push: bytes, now: int, late: int
) -> Iterator[None]:
    """Let a push's jobs out; those that came before `late` are remembered from `now` on."""
    for key, row in kept.pending.table.scan(group(push_key)):
        job = Waiting.unpack(row)
        reason, previous = kept.states.release(job.job_id, job.job, now, late)
        offset = offset_of(key)
        if reason is None or previous is None:
            value = joined(job.job, push, known_result(dict(job.headers).get(JOB_RESULT)))
            given = [header for header in job.headers if header[0] not in (JOB_ID, JOB_RESULT)]
            given += [events.of_job(job.job_id, draft.partition, offset), *_JOINED]
            draft.send(topics.JOBS_JOINED, job.job_id, value, given, draft.partition)
        else:
            _suppress(draft, job.job_id, offset, job.job, job.headers, reason, previous)
        kept.pending.remove(key)
        if draft.due:
            yield


def _suppress(
    draft: Draft,
    job_id: bytes,
    offset: int,
    job: bytes,
    given: Iterable[Header],
    reason: bytes,
    previous: bytes,
) -> None:
    why = [
        (PREVIOUS_STATE, previous),
        (SUPPRESSED_REASON, reason),
        events.of_job(job_id, draft.partition, offset),
        *_SUPPRESSED,
    ]
    carried = headers.carried(given)
    draft.send(topics.JOBS_SUPPRESSED, job_id, job, [*carried, *why], draft.partition)


def _expire(draft: Draft, kept: Kept, key: bytes, row: bytes, now: int, reason: bytes) -> None:
    waiting = Waiting.unpack(row)
    why = [
        (EXPIRED_REASON, reason),
        (EXPIRED_PUSH, key.rpartition(b"\0")[0]),
        # A broker's clock may have been set back since.
        (EXPIRED_WAITED, b"%d" % max(0, (now - waiting.since) // 1_000)),
        events.of_job(waiting.job_id, draft.partition, offset_of(key)),
        *_EXPIRED,
    ]
    carried = headers.carried(waiting.headers)
    draft.send(topics.JOBS_EXPIRED, waiting.job_id, waiting.job, [*carried, *why], draft.partition)
    kept.pending.remove(key)
    kept.states.forget(waiting.job_id, waiting.job)


def _refuse(
    draft: Draft,
    topic: str,
    record: Record,
    message: str,
    reason: str = dead_letters.NOT_VALIDATED,
) -> None:
    dead_letters.send(draft, topic, record, reason=reason, message=message, stage=STAGE)
