"""Transactions that Kafka left without an end.

Where a partition has no leader at the moment a transaction ends (its broker just stops, say),
Kafka 4.3.1 takes it for deleted and writes no mark there (KAFKA-20734). The transaction counts as
ended all the same; readers of committed records wait before it, and the next mark of the same
producer, whatever it is for, would decide about the forgotten records too.

A copy that was written behind such a transaction holds rows which nobody else will ever see, and
another worker may find the transaction. So each one that is found begins another *generation*: a
row of the changelog, by which `restore` tells copies of before. It is written before the abort; a
worker that is killed between the two has the next start find the transaction again.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from pipeline.runtime.draft import Output
from pipeline.runtime.restore import learn, reader
from pipeline.runtime.steps import Step, reached
from pipeline.runtime.store import GENERATION
from pipeline.runtime.task import Task
from pipeline.runtime.transaction import GIVE_UP_SECONDS
from pulseload.errors import Failure
from pulseload.kafka import unended

log = logging.getLogger(__name__)


async def end_orphans(
    committed: AIOKafkaConsumer, clients: Mapping[str, Any], tasks: Sequence[Task]
) -> None:
    """Abort what tasks had committed before, where Kafka forgot to say so in their changelogs.

    `committed` is a `reader` that has learned of the changelogs; the tasks' producers have
    started, so that nothing of theirs can be open. A changelog's partition is one task's alone:
    that its committed end is not its end tells. The input does not count as read either, so that
    the task does it anew; every copy that may hold what is aborted is emptied, the task's at once
    and others when they are restored. Where the changelogs have their ends and an output has not,
    the transaction did count: it is committed there as well. Raises Failure where Kafka does not
    abort it.
    """
    of = {place: task for task in tasks for place in task.changelogs.values()}
    async with reader(clients, isolation="read_uncommitted") as uncommitted:
        learn(uncommitted, [*of.keys(), *outputs(tasks)])
        found = {str(of[tp]): of[tp] for tp in await unended(committed, uncommitted, of.keys())}
        for name, task in found.items():
            log.warning(
                "%s: Kafka lost the end of a transaction of %s; it is aborted and done anew",
                name,
                task.transactions.transactional_id,
            )
            task.store.wipe()
            await _begin_generation(clients, task.changelogs[task.stage.positions])
            reached(Step.EMPTIED, task.stage.name)
            await task.transactions.clear(
                list(_anywhere(task)), dict.fromkeys(task.stage.inputs, 0), task.partition
            )
        # Kafka says that it aborts before it has written so, and might forget that too.
        end = time.monotonic() + GIVE_UP_SECONDS
        while found and (left := await unended(committed, uncommitted, of.keys())):
            if time.monotonic() > end:
                raise Failure(
                    f"Kafka did not abort what stands in {left[0].topic}/{left[0].partition} "
                    f"within {GIVE_UP_SECONDS} s; start the worker again"
                )
            await asyncio.sleep(0.1)
        if left := await unended(committed, uncommitted, outputs(tasks)):
            # It may be open, and another task's: then this changes nothing.
            for task in tasks:
                mine = outputs([task]).intersection(left)
                if mine and str(task) not in found:
                    await task.transactions.commit_left(mine)


def outputs(tasks: Iterable[Task]) -> set[TopicPartition]:
    """Return where tasks may write to, besides their changelogs."""
    return {
        TopicPartition(topic, number)
        for task in tasks
        for topic in task.stage.outputs
        for number in range(task.partitions)
    }


async def _begin_generation(clients: Mapping[str, Any], place: TopicPartition) -> None:
    # Not by the task's producer, whose mark would decide about the forgotten records.
    async with (
        asyncio.timeout(GIVE_UP_SECONDS),
        AIOKafkaProducer(**clients, enable_idempotence=True, acks="all") as producer,
    ):
        await producer.send_and_wait(
            place.topic, uuid.uuid4().hex.encode(), GENERATION, place.partition
        )


def _anywhere(task: Task) -> Iterable[Output]:
    """Yield a record for each partition that a task may have written to."""
    for topic in task.stage.outputs:
        for number in range(task.partitions):
            yield Output(topic, number, b"", None, [])
    for place in task.changelogs.values():
        yield Output(place.topic, place.partition, b"", None, [])
