"""The join stage against a naive model, with workers killed between any two commits."""

import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from pipeline.joining import PENDING, PUSHES
from pipeline.pending import Waiting
from pipeline.runtime.draft import Output
from pulseload import topics
from tests.examples import Message, task_id
from tests.unit.joining import MAX_AGE, NOW, PARTITION, Driver, push, valid

# One is the beginning of another; one holds the NUL that ends a row's group.
KEYS = (b"try:a", b"try:a\0", b"try:aa")
keys = st.sampled_from(KEYS)


class Joining(RuleBasedStateMachine):
    """Two topics, read in turns by a worker that may be killed between any two commits.

    The model is lists and dictionaries: the jobs of each push in the order they were fed, and
    what the records of each push say together.
    """

    def __init__(self) -> None:
        super().__init__()
        self.fed: dict[str, list[Message]] = {topics.JOBS_VALID: [], topics.PUSHES: []}
        self.now = NOW
        self.task = Driver()

    @initialize(max_records=st.integers(1, 6))
    def begin(self, max_records: int) -> None:
        self.task = Driver(max_records)

    @rule(key=keys, count=st.integers(1, 4))
    def feed_jobs(self, key: bytes, count: int) -> None:
        fed = self.fed[topics.JOBS_VALID]
        fed += [valid(len(fed) + number, key, self.now) for number in range(count)]

    @rule(key=keys, fields=st.dictionaries(st.sampled_from(["author", "url"]), st.just("x")))
    def feed_a_push(self, key: bytes, fields: dict[str, str]) -> None:
        fed = self.fed[topics.PUSHES]
        own = {name: f"{value}{len(fed)}" for name, value in fields.items()}
        fed.append(push(len(fed), key, **own))

    @rule(key=keys)
    def feed_a_tombstone(self, key: bytes) -> None:
        fed = self.fed[topics.PUSHES]
        fed.append(Message(None, topics.PUSHES, PARTITION, len(fed), NOW, key))

    @rule(
        order=st.permutations([topics.JOBS_VALID, topics.PUSHES]),
        count=st.integers(1, 9),
        killed_after=st.none() | st.integers(0, 6),
    )
    def work(self, order: list[str], count: int, killed_after: int | None) -> None:
        records = [one for topic in order for one in self.left(topic)[:count]]
        steps = self.task.join.process(self.followed(records), self.task.draft)
        for commits, _ in enumerate(steps):
            if commits == killed_after:
                break
            self.task.commit()
        if killed_after is None:
            self.task.commit()
        self.task.restart()

    @rule(seconds=st.integers(1, MAX_AGE))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds * 1_000
        self.task.tick(self.now)
        for row in self.task.rows[PENDING].values():
            assert self.now - Waiting.unpack(row).since < MAX_AGE * 1_000

    def left(self, topic: str) -> list[Message]:
        return self.fed[topic][self.task.offsets.get(topic, 0) :]

    @property
    def outputs(self) -> list[Output]:
        """All outputs, those of the draft too."""
        return [*self.task.outputs, *self.task.draft.outputs]

    def key_of(self, job_id: bytes | None) -> bytes:
        """Return the key of the push that a job was fed with."""
        found = self.fed[topics.JOBS_VALID][int((job_id or b"")[:8], 16)].key
        assert found is not None
        return found

    def followed(self, records: list[Message]) -> Iterator[Message]:
        """Hand over records one by one, and see what each led to when the next is asked for.

        Of a release that is cut, that is what its last transaction is made of.
        """
        for record in records:
            before = len(self.outputs)
            yield record
            done = self.task.draft.offsets.get(topics.PUSHES, self.task.offsets.get(topics.PUSHES))
            known = self.known(done or 0)
            for output in self.outputs[before:]:
                document = json.loads(output.value or b"")
                assert document["push"] == known[self.key_of(output.key)]

    def known(self, offset: int) -> dict[bytes, dict[str, Any]]:
        """Return what the push records before an offset say together."""
        found: dict[bytes, dict[str, Any]] = {}
        for record in self.fed[topics.PUSHES][:offset]:
            assert record.key is not None
            if record.value is None:
                found.pop(record.key, None)
            else:
                found[record.key] = found.get(record.key, {}) | json.loads(record.value)
        return found

    @invariant()
    def each_job_that_was_read_is_in_one_place_and_in_order(self) -> None:
        read = self.fed[topics.JOBS_VALID][: self.task.offsets.get(topics.JOBS_VALID, 0)]
        expected, found = defaultdict(list), defaultdict(list)
        for number, record in enumerate(read):
            expected[record.key].append(task_id(number))
        left = [(output.key or b"").decode() for output in self.task.outputs]
        for job_id in [*left, *self.task.waiting]:
            found[self.key_of(job_id.encode())].append(job_id)
        assert found == expected

    @invariant()
    def no_job_waits_for_a_push_that_is_known(self) -> None:
        known = self.known(self.task.offsets.get(topics.PUSHES, 0))
        assert self.task.rows[PUSHES].keys() == known.keys()
        assert not {self.key_of(job_id.encode()) for job_id in self.task.waiting} & known.keys()


TestJoining = Joining.TestCase
TestJoining.settings = settings(max_examples=60)
