"""A join task over rows in dictionaries, and what its tests feed it."""

import json
from collections.abc import Sequence
from itertools import islice
from typing import Any

import orjson

from pipeline import lifecycle
from pipeline.joining import OUTPUTS, PENDING, PUSHES, STATES, Join
from pipeline.pending import Waiting
from pipeline.runtime.draft import Draft, Output
from pulseload import topics
from pulseload.headers import (
    JOB_ID,
    JOB_RESULT,
    JOB_STATE,
    PREVIOUS_STATE,
    SUPPRESSED_REASON,
    Header,
)
from tests import contracts, examples
from tests.examples import OTHER_REVISION, REVISION, DictRows, Message, body, task_id

PARTITION, PARTITIONS = 2, 4
MAX_AGE = 60
MEMORY = 90
NOW = 1_700_000_000_000
KEY = f"try:{REVISION}".encode()
OTHER_KEY = f"try:{OTHER_REVISION}".encode()


class Driver:
    """A join task: what the runtime does with the stage, without Kafka.

    `transactions` holds the outputs of each commit, `offsets` what is committed. The bounds hold
    from the next restart on.
    """

    def __init__(
        self,
        max_records: int = 4_000,
        max_age: int = MAX_AGE,
        max_jobs_per_push: int = 1_000,
        max_jobs: int = 100_000,
        memory: int = MEMORY,
    ) -> None:
        self.max_jobs_per_push, self.max_jobs = max_jobs_per_push, max_jobs
        self.rows = {PUSHES: DictRows(), PENDING: DictRows(), STATES: DictRows()}
        self.transactions: list[list[Output]] = []
        self.offsets: dict[str, int] = {}
        self.max_records, self._max_age, self._memory = max_records, max_age, memory
        self.restart()

    def restart(self) -> None:
        """Begin with what is committed, as a new worker does."""
        self.join = Join(self._max_age, self.max_jobs_per_push, self.max_jobs, self._memory)
        self.draft = Draft(PARTITION, PARTITIONS, self.rows, OUTPUTS, self.max_records)

    def commit(self) -> None:
        if self.draft.empty:
            return
        self.transactions.append(self.draft.outputs)
        self.offsets.update(self.draft.offsets)
        for name, table in self.draft.tables.items():
            self.rows[name].commit(table.changes)
        self.draft.clear()

    def process(self, *records: Message, commits: int | None = None) -> None:
        """Work on those records that are not done yet.

        With `commits` it ends like a killed worker once there were so many.
        """
        new = [one for one in records if one.offset >= self.offsets.get(one.topic, 0)]
        for _ in islice(self.join.process(new, self.draft), commits):
            self.commit()
        if commits is None:
            self.commit()
        else:
            self.restart()

    def tick(self, now: int) -> None:
        for _ in self.join.tick(now, self.draft):
            self.commit()
        self.commit()

    @property
    def outputs(self) -> list[Output]:
        return [output for outputs in self.transactions for output in outputs]

    def sent(self, topic: str) -> list[str]:
        """Return the job ids sent to a topic, in order."""
        return [(one.key or b"").decode() for one in self.outputs if one.topic == topic]

    @property
    def joined(self) -> list[str]:
        return self.sent(topics.JOBS_JOINED)

    @property
    def suppressed(self) -> list[tuple[str, str]]:
        """Return the job ids sent to `jobs.suppressed`, each with its reason, in order."""
        return [
            ((one.key or b"").decode(), dict(one.headers)[SUPPRESSED_REASON].decode())
            for one in self.outputs
            if one.topic == topics.JOBS_SUPPRESSED
        ]

    @property
    def waiting(self) -> list[str]:
        return [
            Waiting.unpack(row).job_id.decode() for _, row in sorted(self.rows[PENDING].items())
        ]


def valid(
    number: int,
    key: bytes = KEY,
    timestamp: int = NOW,
    extra: Sequence[Header] = (),
    offset: int | None = None,
    **fields: Any,
) -> Message:
    """Return a record of `jobs.valid`; its number is its id, and its offset where none is given.

    `fields` replace or add fields of the job, which is a completed one.
    """
    job = examples.job(taskId=task_id(number), **fields)
    told = [
        (JOB_ID, task_id(number).encode()),
        (JOB_STATE, job["state"].encode()),
        (JOB_RESULT, lifecycle.result(job)),
    ]
    at = number if offset is None else offset
    return Message(body(job), topics.JOBS_VALID, PARTITION, at, timestamp, key, [*extra, *told])


def push(offset: int = 0, key: bytes | None = KEY, **fields: Any) -> Message:
    """Return a record of `pushes`."""
    value = orjson.dumps({"project": "try", "revision": REVISION, **fields})
    return Message(value, topics.PUSHES, PARTITION, offset, NOW, key)


def event(what: str, number: int, offset: int | None = None) -> list[Header]:
    """Return the headers of the event that a job was joined, expired or suppressed."""
    at = number if offset is None else offset
    return contracts.event("join", f"job.{what}", f"{task_id(number)}@{PARTITION}-{at}")


def ids(*numbers: int) -> list[str]:
    return [task_id(number) for number in numbers]


def told(offset: int, state: str, note: str = "", number: int = 1, **how: Any) -> Message:
    """Return a record of `jobs.valid` that tells a state of job 1."""
    return valid(number, offset=offset, state=state, productName=note or "Firefox", **how)


def states(task: Driver, topic: str = topics.JOBS_JOINED) -> list[tuple[str, str | None]]:
    """Return the states sent to a topic, each with the one before it."""
    found = []
    for one in task.outputs:
        if one.topic == topic:
            document = json.loads(one.value or b"")
            previous = dict(one.headers).get(PREVIOUS_STATE)
            job = document.get("job", document)
            found.append((job["state"], previous.decode() if previous else None))
    return found
