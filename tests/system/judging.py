"""A worker, and what it makes of records that anyone may have written."""

import itertools
from typing import Any, NamedTuple

from local.reader import Read
from pulseload import topics
from pulseload.headers import ERROR_STAGE, JOB_ID
from pulseload.partitions import partition_of
from tests.examples import HG_ROOT, body, github_push, hg_push, job, push, task_id
from tests.system.harness import Sent, Service, System

GUEST = "pulse.guest.jobs"
HG = "pulse.hgpushes.v1"
JOB_INPUTS = (topics.JOBS_INBOX, GUEST)
GITHUB = "pulse.taskcluster-github.v1.push"
PUSH_INPUTS = (topics.PUSHES_INBOX, HG, GITHUB)

MARK = "pulse.message_id"
"""The header by which an output is known as a record's: every output carries it on."""

KNOWN = "a" * 40
"""The revision of a push of `try` that is known from the beginning."""


class Outcome(NamedTuple):
    """A record as it stands in its input topic, and what the validate stage made of it."""

    record: Read
    outputs: list[Read]

    @property
    def only(self) -> Read:
        """The one record that came of it."""
        (found,) = self.outputs
        return found


class Judge:
    """A worker with both stages, at work on topics of its own."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.partitions = system.settings.pulseload_partitions
        self._numbers = itertools.count(1)
        self.worker: Service = system.worker()
        self.worker.wait_for("ready; working")
        system.produce(topics.PUSHES_INBOX, body(push(revision=KNOWN)))

    def judge(self, topic: str, *records: Sent) -> list[Outcome]:
        """Send records to one partition of an input topic, and return what became of each.

        A good one goes behind them: that it comes through shows that the worker lives, and that
        it is done with all before it.
        """
        number = next(self._numbers)
        partition = number % self.partitions
        good = self._good(topic, number)
        marks = [b"%d.%d" % (number, index) for index in range(len(records) + 1)]
        marked = [
            record._replace(headers=[(MARK, mark), *record.headers], partition=partition)
            for record, mark in zip([*records, Sent(good)], marks, strict=True)
        ]
        self.system.produce(topic, *marked)
        jobs = topic in JOB_INPUTS
        outputs = self._until(topics.JOBS_VALID if jobs else topics.PUSHES, marks[-1])
        outputs += self.system.read(topics.JOBS_DEAD_LETTER)
        outputs += self.system.read(topics.PUSHES_DEAD_LETTER)
        stand = {_mark(one): one for one in self.system.read(topic)}
        return [
            Outcome(stand[mark], [one for one in outputs if _mark(one) == mark])
            for mark in marks[:-1]
        ]

    def joined(self, *outcomes: Outcome) -> list[Read]:
        """Wait until every job that was valid has been joined, and return them in that order."""
        wanted = [
            (_mark(outcome.record), one.headers[JOB_ID])
            for outcome in outcomes
            for one in outcome.outputs
            if one.topic == topics.JOBS_VALID
        ]

        def by_name(records: list[Read]) -> dict[tuple[bytes, bytes | None], Read]:
            return {(_mark(one), one.key): one for one in records}

        found = by_name(
            self.system.read(
                topics.JOBS_JOINED, until=lambda records: set(wanted) <= by_name(records).keys()
            )
        )
        return [found[name] for name in wanted]

    def strange(self, *records: tuple[str, Sent]) -> list[Read]:
        """Write records into inner topics and return the dead letters that come of them.

        They go to one partition; then a push and a job of it go through the whole pipeline, and
        through the same partition.
        """
        number = next(self._numbers)
        revision = f"{number:040x}"
        partition = partition_of(f"try:{revision}".encode(), self.partitions)
        before = len(self._letters(partition))
        for topic, record in records:
            self.system.produce(topic, record._replace(partition=partition))
        mark, sent = b"%d.good" % number, self._good(topics.JOBS_INBOX, number, revision)
        self.system.produce(topics.PUSHES_INBOX, body(push(revision=revision)))
        self.system.produce(topics.JOBS_INBOX, Sent(sent, headers=[(MARK, mark)]))
        self._until(topics.JOBS_JOINED, mark)
        return self._letters(partition)[before:]

    def _letters(self, partition: int) -> list[Read]:
        """Return the dead letters of the join stage in a partition."""
        return [
            one
            for topic in (topics.JOBS_DEAD_LETTER, topics.PUSHES_DEAD_LETTER)
            for one in self.system.read(topic)
            if one.partition == partition and one.header(ERROR_STAGE) == "join"
        ]

    def _until(self, topic: str, mark: bytes) -> list[Read]:
        """Wait until a record with a mark is in a topic, and return all records of it."""

        def there(records: list[Read]) -> bool:
            assert self.worker.running, "the worker has ended"
            return any(_mark(one) == mark for one in records)

        return self.system.read(topic, until=there)

    @staticmethod
    def _good(topic: str, number: int, revision: str = KNOWN) -> bytes:
        if topic in JOB_INPUTS:
            return body(job(revision=revision, taskId=task_id(number + 0xF0000000)))
        if topic == topics.PUSHES_INBOX:
            return body(push(revision=f"{number:040x}"))
        if topic == GITHUB:
            url = "https://github.com/mozilla-mobile/fenix"
            return body(github_push(url=url, head=f"{number:040x}", commits=()))
        return body(hg_push(repo_url=f"{HG_ROOT}/try", heads=[f"{number:040x}"]))


def nested(depth: int) -> bytes:
    """Return an object in an object in an object …"""
    return b'{"a":' * depth + b"1" + b"}" * depth


def judged_job(number: int, **overrides: Any) -> dict[str, Any]:
    """Return a job of the push that is known, with an id of its own for each number."""
    return job(revision=KNOWN, taskId=task_id(number), **overrides)


def _mark(record: Read) -> bytes:
    return record.headers.get(MARK, b"")
