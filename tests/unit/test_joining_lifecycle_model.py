"""The lifecycle of jobs against a naive model, with workers killed between any two commits."""

import copy
import json
from collections import defaultdict
from collections.abc import Iterator

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline.joining import PENDING, PUSH_UNKNOWN, STATES
from pipeline.pending import Waiting
from pipeline.runtime.draft import Output
from pulseload import topics
from pulseload.headers import EXPIRED_REASON, PREVIOUS_STATE, SUPPRESSED_REASON, Header
from tests.examples import Message, task_id
from tests.unit.joining import MAX_AGE, MEMORY, NOW, Driver, push, valid

KEYS = (b"try:a", b"try:b", b"try:a\0")
WORDS = ("unscheduled", "pending", "running", "completed")
MARK = "pulse.mark"
"""The header by which an output or a row is known as a record's."""

TORN = 4
"""The number of a job that names one push in some of its updates, and another in others."""

updates = st.tuples(st.integers(0, 4), st.sampled_from(WORDS), st.sampled_from("xy"))


def mark(headers: list[Header]) -> int:
    return int(dict(headers)[MARK])


class Lifecycles(RuleBasedStateMachine):
    """Updates of a few jobs, repeated and in any order; all jobs but one are of one push each.

    The model is a list of what was taken by job, and when each was last heard of: its latest update
    waits for as long after that as it may. The model is put back to what it was at the last commit
    when the worker is killed.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fed: dict[str, list[Message]] = {topics.JOBS_VALID: [], topics.PUSHES: []}
        self.now = NOW
        self.task, self.max_age = Driver(), MAX_AGE
        self.taken: defaultdict[bytes, list[bytes]] = defaultdict(list)
        self.heard: dict[bytes, int] = {}
        self.since: dict[bytes, int] = {}
        self.committed = copy.deepcopy((self.taken, self.heard, self.since))
        self.forgotten: set[bytes] = set()
        self.in_hand: Message | None = None
        self.seen = 0

    @initialize(max_records=st.integers(1, 12), max_age=st.sampled_from([MAX_AGE, 3 * MEMORY]))
    def begin(self, max_records: int, max_age: int) -> None:
        self.task = Driver(max_records, max_age, max_jobs_per_push=4, max_jobs=7)
        self.max_age = max_age

    @rule(fed=st.lists(updates, min_size=1, max_size=8))
    def feed(self, fed: list[tuple[int, str, str]]) -> None:
        jobs = self.fed[topics.JOBS_VALID]
        for number, state, note in fed:
            at = len(jobs)
            jobs.append(
                valid(
                    number,
                    KEYS[(number + (number == TORN and note == "y")) % len(KEYS)],
                    self.now,
                    [(MARK, b"%d" % at)],
                    at,
                    state=state,
                    reason=note,
                )
            )

    @rule(key=st.sampled_from(KEYS))
    def feed_a_push(self, key: bytes) -> None:
        fed = self.fed[topics.PUSHES]
        fed.append(push(len(fed), key))

    @rule(
        order=st.permutations([topics.JOBS_VALID, topics.PUSHES]),
        count=st.integers(1, 12),
        killed_after=st.none() | st.integers(0, 6),
    )
    def work(self, order: list[str], count: int, killed_after: int | None) -> None:
        records = [
            one
            for topic in order
            for one in self.fed[topic][self.task.offsets.get(topic, 0) :][:count]
        ]
        steps = self.task.join.process(self.compared(records), self.task.draft)
        for commits, _ in enumerate(steps):
            if commits == killed_after:
                self.task.restart()
                self.taken, self.heard, self.since = copy.deepcopy(self.committed)
                self.in_hand = None
                self.seen = len(self.outputs)
                return
            self.commit()
        self.commit()

    @rule(seconds=st.integers(1, MEMORY))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000
        for _ in self.task.join.tick(self.now, self.task.draft):
            self.commit()
        self.commit()
        waiting = {Waiting.unpack(row).job_id for row in self.task.rows[PENDING].values()}
        for job_id in [name for name, taken in self.taken.items() if taken]:
            if job_id not in self.task.rows[STATES]:
                assert job_id not in waiting or job_id == task_id(TORN).encode()
                assert self.now - self.since[job_id] >= MEMORY * 1_000
                self.forgotten.add(job_id)
                del self.taken[job_id]
        self.committed = copy.deepcopy((self.taken, self.heard, self.since))

    def commit(self) -> None:
        self.compare()
        self.task.commit()
        self.committed = copy.deepcopy((self.taken, self.heard, self.since))

    def compared(self, records: list[Message]) -> Iterator[Message]:
        for record in records:
            self.in_hand = record
            yield record
            self.compare()

    @property
    def outputs(self) -> list[Output]:
        return [*self.task.outputs, *self.task.draft.outputs]

    def compare(self) -> None:
        """Compare what came of the record in hand, if the stage is done with it."""
        new, self.seen = self.outputs[self.seen :], len(self.outputs)
        for one in new:
            if one.topic == topics.JOBS_EXPIRED:
                job_id = one.key or b""
                kept = self.taken[job_id]
                aged = dict(one.headers)[EXPIRED_REASON] == PUSH_UNKNOWN
                # What is remembered of the torn one may be forgotten while it waits.
                if aged and job_id != task_id(TORN).encode() and one.value == kept[-1]:
                    assert self.now - self.heard[job_id] >= self.max_age * 1_000
                kept[:] = [job for job in kept if job != one.value]
        record = self.in_hand
        done = {**self.task.offsets, **self.task.draft.offsets}
        if record is None or record.offset >= done.get(record.topic, 0):
            return
        self.in_hand = None
        if record.topic == topics.PUSHES:
            return
        assert record.value is not None
        told = json.loads(record.value)
        taken = self.taken[told["taskId"].encode()]
        self.heard[told["taskId"].encode()] = record.timestamp
        before = json.loads(taken[-1])["state"] if taken else None
        expected = {PREVIOUS_STATE: before.encode()} if before else {}
        if record.value in taken:
            expected[SUPPRESSED_REASON] = b"repeat"
        elif before == "completed":
            expected[SUPPRESSED_REASON] = b"completed"
        elif before and WORDS.index(told["state"]) < WORDS.index(before):
            expected[SUPPRESSED_REASON] = b"stale"
        else:
            taken.append(record.value)
            self.since[told["taskId"].encode()] = record.timestamp
        found = [headers for number, headers in self.places(new) if number == record.offset]
        names = (PREVIOUS_STATE, SUPPRESSED_REASON)
        assert [{name: text for name, text in h if name in names} for h in found] == [expected]

    def places(self, outputs: list[Output]) -> Iterator[tuple[int, list[Header]]]:
        """Yield the mark and the headers of outputs, and of all that waits in the draft's eyes."""
        for one in outputs:
            yield mark(one.headers), one.headers
        rows = {**self.task.rows[PENDING], **self.task.draft.tables[PENDING].changes}
        for row in rows.values():
            if row is not None:
                headers = list(Waiting.unpack(row).headers)
                yield mark(headers), headers

    @invariant()
    def each_update_that_was_read_is_in_one_place(self) -> None:
        read = self.task.offsets.get(topics.JOBS_VALID, 0)
        assert sorted(number for number, _ in self.places(self.task.outputs)) == list(range(read))

    @invariant()
    def no_history_goes_backwards(self) -> None:
        joined = defaultdict(list)
        for one in self.task.outputs:
            if one.topic == topics.JOBS_JOINED:
                joined[one.key].append(one.value)
        for job_id in map(str.encode, map(task_id, range(5))):
            states = [WORDS.index(json.loads(one or b"")["job"]["state"]) for one in joined[job_id]]
            if job_id not in self.forgotten:
                assert states == sorted(states)
                assert states.count(3) <= 1
                assert len(set(joined[job_id])) == len(states)


TestLifecycles = Lifecycles.TestCase
TestLifecycles.settings = settings(max_examples=100)
