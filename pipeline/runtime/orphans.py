"""Transactions that Kafka left without an end.

Where a partition has no leader at the moment a transaction ends (its broker just stops, say),
Kafka 4.3.1 takes it for deleted and writes no mark there (KAFKA-20734). The transaction counts as
ended all the same; readers of committed records wait before it, and the next mark of the same
producer, whatever it is for, would decide about the forgotten records too.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer

from pipeline.runtime.draft import Output
from pipeline.runtime.restore import learn, reader
from pipeline.runtime.task import Task

log = logging.getLogger(__name__)


async def end_orphans(
    committed: AIOKafkaConsumer, clients: Mapping[str, Any], tasks: Sequence[Task]
) -> None:
    """Abort what tasks had committed before, where Kafka forgot to say so in their changelogs.

    `committed` is a `reader` that has learned of the changelogs; the tasks' producers have
    started, so that nothing of theirs can be open. A changelog's partition is one task's alone:
    that its committed end is not its end tells. The input does not count as read either, so that
    the task does it anew; its copy, which may hold what is aborted, is emptied.
    """
    of = {place: task for task in tasks for place in task.changelogs.values()}
    async with reader(clients, isolation="read_uncommitted") as uncommitted:
        learn(uncommitted, of.keys())
        ends = await uncommitted.end_offsets(list(of))
    stable = await committed.end_offsets(list(of))
    found = {str(task): task for tp, task in of.items() if stable[tp] < ends[tp]}
    for name, task in found.items():
        log.warning(
            "%s: Kafka lost the end of a transaction of %s; it is aborted and done anew",
            name,
            task.transactions.transactional_id,
        )
        await task.transactions.clear(
            list(_anywhere(task)), dict.fromkeys(task.stage.inputs, 0), task.partition
        )
        task.store.wipe()


def _anywhere(task: Task) -> Iterable[Output]:
    """Yield a record for each partition that a task may have written to."""
    for topic in task.stage.outputs:
        for number in range(task.partitions):
            yield Output(topic, number, b"", None, [])
    for place in task.changelogs.values():
        yield Output(place.topic, place.partition, b"", None, [])
