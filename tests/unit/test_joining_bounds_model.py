"""Bounds on what waits against a naive model, with workers killed between any two commits."""

from collections.abc import Iterator

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline import pending
from pipeline.joining import OUTPUTS, PENDING, PUSHES, group
from pipeline.pending import Waiting
from pipeline.runtime.draft import Draft, Output
from pulseload import topics
from pulseload.headers import EXPIRED_REASON
from tests.examples import DictRows, Message, task_id
from tests.unit.joining import MAX_AGE, NOW, PARTITION, PARTITIONS, Driver, push, valid

KEYS = (b"try:a", b"try:a\0", b"try:aa", b"try:b")
keys = st.sampled_from(KEYS)

Left = list[tuple[str, bytes]]
"""Job ids that left for `jobs.expired`, and why."""


class Bounded(RuleBasedStateMachine):
    """Jobs and pushes in turns, more of them than may wait.

    What should leave is found with sorted lists of all rows, before each record anew.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fed: dict[str, list[Message]] = {topics.JOBS_VALID: [], topics.PUSHES: []}
        self.now = NOW
        self.task = Driver()

    @initialize(
        max_records=st.integers(1, 12),
        max_jobs_per_push=st.integers(1, 4),
        max_jobs=st.integers(1, 9),
    )
    def begin(self, max_records: int, max_jobs_per_push: int, max_jobs: int) -> None:
        self.task = Driver(max_records, MAX_AGE, max_jobs_per_push, max_jobs)

    @rule(fed=st.lists(keys, min_size=1, max_size=12))
    def feed_jobs(self, fed: list[bytes]) -> None:
        jobs = self.fed[topics.JOBS_VALID]
        jobs += [valid(len(jobs) + number, key, self.now) for number, key in enumerate(fed)]

    @rule(key=keys, tombstone=st.booleans())
    def feed_a_push(self, key: bytes, tombstone: bool) -> None:
        fed = self.fed[topics.PUSHES]
        fed.append(push(len(fed), key))
        if tombstone:
            fed.append(Message(None, topics.PUSHES, PARTITION, len(fed), NOW, key))

    @rule(
        order=st.permutations([topics.JOBS_VALID, topics.PUSHES]),
        count=st.integers(1, 15),
        killed_after=st.none() | st.integers(0, 6),
    )
    def work(self, order: list[str], count: int, killed_after: int | None) -> None:
        records = [one for topic in order for one in self.left(topic)[:count]]
        steps = self.task.join.process(self.compared(records), self.task.draft)
        for commits, _ in enumerate(steps):
            if commits == killed_after:
                self.task.restart()
                return
            self.task.commit()
        self.task.commit()

    @rule()
    def move_to_another_worker_and_back(self) -> None:
        # The stage stays as it is; only the draft is a new one.
        self.task.draft = Draft(
            PARTITION, PARTITIONS, self.task.rows, OUTPUTS, self.task.max_records
        )

    @rule(max_jobs_per_push=st.integers(1, 4), max_jobs=st.integers(1, 9))
    def restart_with_other_bounds(self, max_jobs_per_push: int, max_jobs: int) -> None:
        self.task.max_jobs_per_push, self.task.max_jobs = max_jobs_per_push, max_jobs
        self.task.restart()

    @rule(seconds=st.integers(1, MAX_AGE))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000
        before, rows = len(self.expired), dict(self.rows)
        self.task.tick(self.now)
        due = [
            key
            for key, row in sorted(rows.items())
            if self.now - Waiting.unpack(row).since >= MAX_AGE * 1_000
        ]
        assert self.expired[before:] == [(named(key), b"push-unknown") for key in due]
        assert self.rows.keys() == rows.keys() - set(due)

    def left(self, topic: str) -> list[Message]:
        return self.fed[topic][self.task.offsets.get(topic, 0) :]

    @property
    def outputs(self) -> list[Output]:
        return [*self.task.outputs, *self.task.draft.outputs]

    @property
    def expired(self) -> Left:
        return [
            ((one.key or b"").decode(), dict(one.headers)[EXPIRED_REASON])
            for one in self.outputs
            if one.topic == topics.JOBS_EXPIRED
        ]

    @property
    def rows(self) -> DictRows:
        """The rows as the stage sees them."""
        return self.with_changes(PENDING)

    def with_changes(self, table: str) -> DictRows:
        rows = DictRows(self.task.rows[table])
        rows.commit(self.task.draft.tables[table].changes)
        return rows

    def compared(self, records: list[Message]) -> Iterator[Message]:
        """Hand over records one by one, and compare when the next is asked for."""
        for record in records:
            waiting = set(self.rows)
            left = self.model(record, waiting)
            before = len(self.expired)
            yield record
            assert self.expired[before:] == left
            assert self.rows.keys() == waiting

    def model(self, record: Message, waiting: set[bytes]) -> Left:
        """Change the keys of what waits as the record should, and return what should leave."""
        assert record.key is not None
        own = group(record.key)
        mine = sorted(key for key in waiting if key.startswith(own + b"\0"))
        left: Left = []
        if record.topic == topics.PUSHES:
            if record.value is not None:
                waiting.difference_update(mine)
        elif record.key not in self.with_changes(PUSHES):
            while len(mine) >= self.task.max_jobs_per_push:
                waiting.remove(mine[0])
                left.append((named(mine.pop(0)), b"too-many-for-push"))
            while len(waiting) >= self.task.max_jobs:
                oldest = min(waiting, key=offset)
                waiting.remove(oldest)
                left.append((named(oldest), b"too-many"))
            waiting.add(b"%b\0%020d" % (own, record.offset))
        return left

    @invariant()
    def each_job_that_was_read_is_in_one_place(self) -> None:
        read = self.task.offsets.get(topics.JOBS_VALID, 0)
        left = [(one.key or b"").decode() for one in self.task.outputs]
        assert sorted([*left, *self.task.waiting]) == [task_id(number) for number in range(read)]


def offset(row_key: bytes) -> int:
    return int(row_key[-20:])


def named(row_key: bytes) -> str:
    return task_id(offset(row_key))


@pytest.fixture(autouse=True)
def few_at_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending, "OLDEST", 2)
    monkeypatch.setattr(pending, "TURN_ROWS", 3)


TestBounded = Bounded.TestCase
TestBounded.settings = settings(max_examples=80)
