"""Transactions whose end Kafka forgets: aborted, done anew, and in no worker's copy any more."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

import pytest
from aiokafka import TopicPartition

from local.kafka import Kafka
from pipeline import stages
from pipeline.joining import PENDING
from pipeline.runtime.batches import Batch
from pipeline.runtime.draft import Output
from pipeline.runtime.ownership import Ownership, Place
from pipeline.runtime.restore import reader
from pipeline.runtime.steps import Step
from pipeline.runtime.task import Task
from pulseload import kafka as connecting
from pulseload import topics
from pulseload.headers import JOB_ID
from pulseload.partitions import partition_of
from pulseload.topics import Topic
from tests.examples import body, job, push, task_id
from tests.faults.copies import check_copies
from tests.faults.history import Fed
from tests.faults.load import Event, check
from tests.faults.orphans import held_up, trusting_kafka
from tests.faults.workers import crash, start
from tests.system.harness import TIMEOUT, Sent, System, create_topics

GROUP, PARTITION = "pulseload", 0
LOST = "join/0: Kafka lost the end of a transaction"
ANEW = "join/0 may hold what was aborted, restoring it anew"
WRITTEN = (topics.JOBS_JOINED, topics.changelog(GROUP, PENDING))
"""Where the transaction has written that Kafka forgot."""

ELSEWHERE = Topic("elsewhere", 1, {})
"""Where the only record stands of which Kafka knows that the transaction has it."""

KNOWN, LATE = [
    revision
    for revision in (f"{number:040x}" for number in range(50))
    if partition_of(f"try:{revision}".encode(), 4) == PARTITION
][:2]
"""Of two pushes, the one that comes before its job, and the one that comes after."""

JOBS = [
    Event(
        topics.JOBS_VALID,
        f"try:{revision}".encode(),
        body(job(revision=revision, taskId=task_id(number))),
        Fed(task_id(number), f"try:{revision}", "joined"),
    )
    for number, revision in enumerate([KNOWN, LATE])
]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running Kafka that takes what belongs to a transaction it does not know of."""
    with trusting_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


def announce(system: System, revision: str) -> None:
    record = body(push(project="try", revision=revision))
    system.produce(topics.PUSHES, Sent(record, f"try:{revision}".encode()))


@contextlib.asynccontextmanager
async def joining(system: System, name: str) -> AsyncIterator[Task]:
    """Give a worker's task, on the copy that it left; the test hands over what it works on."""
    settings = system.settings
    (stage,) = [stage for stage in stages.build(settings) if stage.name == "join"]
    state = system.folder / f"{name}-state/state/{name}"
    place = Place(GROUP, settings.pulseload_partitions, connecting.connection(settings), state)
    inputs = [TopicPartition(topic, PARTITION) for topic in stage.inputs]
    failures: list[BaseException] = []
    ownership = Ownership([stage], place, failures.append)
    ownership.cluster = await connecting.require(settings)
    try:
        async with asyncio.timeout(TIMEOUT):
            await ownership.assigned(lambda: inputs)
            yield ownership.tasks["join", PARTITION]
    finally:
        await ownership.close()
    assert not failures


async def work(system: System, task: Task, topic: str) -> None:
    """Have a task work on all that a topic holds."""
    place = TopicPartition(topic, PARTITION)
    async with reader(connecting.connection(system.settings)) as consumer:
        consumer.assign([place])
        end = (await consumer.end_offsets([place]))[place]
        records = []
        while await consumer.position(place) < end:
            records += (await consumer.getmany(timeout_ms=200)).get(place, [])
    await task.put(Batch(topic, PARTITION, 0, None, records, 0))
    while task.positions.get(topic) != end:  # noqa: ASYNC110 - a task tells nobody
        await asyncio.sleep(0.05)


def forget(task: Task, patch: pytest.MonkeyPatch) -> None:
    """Let Kafka's coordinator know of nothing that a task's transactions write, from now on."""
    manager = task.transactions._producer._txn_manager
    begin, commit = manager.begin_transaction, task.transactions.commit
    places = {TopicPartition(to, n) for to in task.stage.outputs for n in range(task.partitions)}

    def begin_unknown() -> None:
        begin()
        manager._txn_partitions |= places | {*task.changelogs.values()}
        manager._txn_consumer_group = GROUP

    async def commit_elsewhere(
        outputs: Sequence[Output], offsets: Mapping[str, int], partition: int
    ) -> dict[tuple[str, int], int]:
        known = Output(ELSEWHERE.name, 0, b"", b"", [])
        return await commit([*outputs, known], offsets, partition)

    patch.setattr(manager, "begin_transaction", begin_unknown)
    patch.setattr(task.transactions, "commit", commit_elsewhere)


@pytest.fixture
def orphaned(system: System, monkeypatch: pytest.MonkeyPatch) -> System:
    """A system where Kafka forgot a transaction that the copy of worker `one` has.

    In it a job was joined, and another came to wait for its push.
    """
    create_topics(system.kafka.url, [ELSEWHERE])
    announce(system, KNOWN)
    for one in JOBS:
        assert one.fed
        headers = [(JOB_ID, one.fed.job_id.encode())]
        system.produce(topics.JOBS_VALID, Sent(one.value, one.key, headers))

    async def work_on_all() -> None:
        async with joining(system, "one") as task:
            await work(system, task, topics.PUSHES)
            forget(task, monkeypatch)
            await work(system, task, topics.JOBS_VALID)
            assert len(list(task.store.rows(PENDING).scan(b""))) == 1

    asyncio.run(work_on_all())
    assert held_up(system, *WRITTEN) == [*WRITTEN]
    return system


def do_anew(system: System, name: str) -> None:
    """Let a worker's task do again what was aborted: the late push first, so that no job waits."""
    announce(system, LATE)

    async def work_on_all() -> None:
        async with joining(system, name) as task:
            await work(system, task, topics.PUSHES)
            await work(system, task, topics.JOBS_VALID)

    asyncio.run(work_on_all())


def test_what_kafka_forgot_is_aborted_and_done_anew(orphaned: System) -> None:
    worker = start(orphaned, "one")
    worker.wait_for("ready; working")
    assert LOST in worker.log
    announce(orphaned, LATE)
    check(orphaned, JOBS)
    assert not held_up(orphaned, *WRITTEN)
    assert worker.terminate() == 0
    check_copies(orphaned, ["one"])


def test_a_worker_that_ends_before_it_aborts_what_kafka_forgot(
    orphaned: System, caplog: pytest.LogCaptureFixture
) -> None:
    assert crash(orphaned, "join", Step.EMPTIED, 1).wait() == -signal.SIGKILL
    assert held_up(orphaned, *WRITTEN)
    do_anew(orphaned, "one")
    assert LOST in caplog.text
    check(orphaned, JOBS)
    check_copies(orphaned, ["one"])


def test_another_worker_s_copy_of_what_was_aborted_is_made_anew(
    orphaned: System, caplog: pytest.LogCaptureFixture
) -> None:
    do_anew(orphaned, "two")
    assert LOST in caplog.text
    worker = start(orphaned, "one")
    worker.wait_for("ready; working")
    assert ANEW in worker.log
    assert LOST not in worker.log
    check(orphaned, JOBS)
    assert worker.terminate() == 0
    check_copies(orphaned, ["one"])
