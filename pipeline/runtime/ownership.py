"""Which tasks are this worker's, as Kafka's group tells it: opening, pausing and closing them."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from pipeline.runtime.batches import Batch
from pipeline.runtime.orphans import end_orphans, outputs
from pipeline.runtime.position import Position
from pipeline.runtime.restore import Changelog, learn, reader, restore
from pipeline.runtime.stage import Stage
from pipeline.runtime.store import Store
from pipeline.runtime.task import Task
from pipeline.runtime.transaction import Fenced, Transactions
from pulseload import status
from pulseload.errors import Failure

log = logging.getLogger(__name__)

AGREE_SECONDS = 10
"""How long a committed offset may take to show after the transaction that carried it."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where tasks run: consumer group, partition count, how to connect, and the state folder."""

    group: str
    partitions: int
    clients: Mapping[str, Any]
    state: Path


class Ownership:
    """The tasks of this worker.

    `assigned` and `revoked` follow the group's rebalances; between them `accept` hands batches
    to tasks. `epoch` counts revocations. `failed` is called once a task cannot go on. `cluster`
    is Kafka's own id, to be set before the first assignment.
    """

    def __init__(
        self, stages: Sequence[Stage], place: Place, failed: Callable[[BaseException], None]
    ) -> None:
        self.epoch = 0
        self.state = "starting"
        """What it is at, in words."""
        self._assigned = 0
        self.cluster = ""
        self.tasks: dict[tuple[str, int], Task] = {}
        self._stages = {stage.name: stage for stage in stages}
        self._stage_of = {topic: stage.name for stage in stages for topic in stage.inputs}
        self._place = place
        self._failed = failed

    async def accept(self, batch: Batch) -> None:
        """Hand a batch to its task; waits while that one is busy.

        A batch fetched before the last revocation is dropped: it is read again.
        """
        task = self.tasks.get((self._stage_of[batch.topic], batch.partition))
        if batch.epoch == self.epoch and task is not None:
            await task.put(batch)

    async def revoked(self) -> None:
        """End the epoch: drop what is queued, finish the transactions in hand."""
        self.epoch += 1
        self.state = "taking over partitions"
        await asyncio.gather(*(task.pause() for task in self.tasks.values()))

    def give_up(self) -> None:
        """Have every copy made anew at the next start."""
        for task in self.tasks.values():
            task.store.give_up()

    async def close(self) -> None:
        """Finish the transactions in hand and let go of everything."""
        self.epoch += 1
        tasks, self.tasks = list(self.tasks.values()), {}
        await asyncio.gather(*(task.close() for task in tasks))

    async def assigned(self, owned: Callable[[], Iterable[TopicPartition]]) -> None:
        """Close the tasks that moved away, open those that came: fence, restore, compare.

        `owned` tells what is assigned at the moment it is called. Ends early when partitions
        are revoked meanwhile. Raises `Failure` where topics and state contradict each other.
        """
        epoch = self.epoch
        wanted = self._tasks_of(owned())
        # Where an assignment was missed, another worker may have had any of the partitions.
        stay = wanted if epoch - self._assigned <= 1 else set()
        gone = [self.tasks.pop(name) for name in list(self.tasks) if name not in stay]
        await asyncio.gather(*(task.close() for task in gone))
        opened: list[Task] = []
        try:
            found = await asyncio.gather(
                *(self._open(*name, epoch, owned) for name in sorted(wanted - self.tasks.keys())),
                return_exceptions=True,
            )
            opened += [task for task in found if isinstance(task, Task)]
            for failure in found:
                if isinstance(failure, BaseException):
                    raise failure
            self.state = "restoring"
            if opened and await self._prepared(opened, lambda: epoch == self.epoch):
                for task in opened:
                    task.start()
                    self.tasks[task.stage.name, task.partition] = task
                opened = []
            if epoch == self.epoch:
                self._assigned = epoch
                self.state = status.WORKING
                for task in self.tasks.values():
                    task.resume()
                log.info("ready; working on %s", ", ".join(map(str, self.tasks.values())) or "none")
        finally:
            await asyncio.gather(*(task.close() for task in opened))

    def _tasks_of(self, owned: Iterable[TopicPartition]) -> set[tuple[str, int]]:
        found: dict[tuple[str, int], set[str]] = {}
        for tp in owned:
            stage = self._stage_of.get(tp.topic)
            if stage is not None:
                found.setdefault((stage, tp.partition), set()).add(tp.topic)
        for (stage, number), topics in found.items():
            apart = set(self._stages[stage].inputs) - topics
            if apart:
                raise Failure(
                    f"partition {number} of {', '.join(sorted(apart))} was assigned apart from "
                    f"{', '.join(sorted(topics))}: all topics of a stage must have the same "
                    "number of partitions (`pulseload check` tells), and all workers of a group "
                    "the same sources"
                )
        return set(found)

    async def _open(
        self,
        stage_name: str,
        partition: int,
        epoch: int,
        owned: Callable[[], Iterable[TopicPartition]],
    ) -> Task | None:
        # A handler that a later rebalance has overtaken would fence the new owner.
        if epoch != self.epoch or (stage_name, partition) not in self._tasks_of(owned()):
            return None
        stage, place = self._stages[stage_name], self._place
        transactions = Transactions(place.group, stage_name, partition, place.clients)
        await transactions.start()
        try:
            store = Store(
                place.state / stage_name / str(partition),
                [*stage.tables, stage.positions],
                f"{place.group} on {self.cluster}",
            )
        except BaseException:
            await transactions.stop()
            raise
        return Task(
            stage, partition, place.partitions, place.group, store, transactions, self._failed
        )

    async def _prepared(self, tasks: Sequence[Task], current: Callable[[], bool]) -> bool:
        try:
            return await self._prepare(tasks, current)
        except (KafkaError, TimeoutError, Fenced):
            raise
        except Exception:
            # It may be the copy that is wrong, and would be so at every start.
            for task in tasks:
                task.store.give_up()
            raise

    async def _prepare(self, tasks: Sequence[Task], current: Callable[[], bool]) -> bool:
        """Restore stores and settle positions; returns False if overtaken meanwhile."""
        changelogs = [
            Changelog(task.stage.name, place, table, task.store)
            for task in tasks
            for table, place in task.changelogs.items()
        ]
        tables = [one.place for one in changelogs]
        inputs = [
            TopicPartition(topic, task.partition) for task in tasks for topic in task.stage.inputs
        ]
        async with reader(self._place.clients, self._place.group) as consumer:
            learn(consumer, [*inputs, *tables, *outputs(tasks)])
            await end_orphans(consumer, self._place.clients, tasks)
            if not await restore(consumer, changelogs, current):
                return False
            begins = await consumer.beginning_offsets(inputs)
            ends = await consumer.end_offsets([*inputs, *tables])
            if not current():
                return False
            await asyncio.gather(*(self._settle(consumer, task, begins, ends) for task in tasks))
        return current()

    async def _settle(
        self,
        consumer: AIOKafkaConsumer,
        task: Task,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
    ) -> None:
        """Make sure that the state and the group's committed offsets tell the same."""
        await task.transactions.hold_to(
            [*task.stage.inputs, *(tp.topic for tp in task.changelogs.values())]
        )
        ids = task.transactions.topic_ids
        rows = task.store.rows(task.stage.positions)
        for table in task.stage.tables:
            tp = task.changelogs[table]
            reached = Position.of(rows.get(tp.topic.encode()) or b"0")
            if reached.offset > ends[tp] or not reached.counts_in(ids[tp.topic]):
                raise Failure(
                    f"{tp.topic}/{tp.partition} reached {reached.offset} before and ends at "
                    f"{ends[tp]} now: it was emptied or made anew, and its table is lost; start "
                    "anew under another PULSELOAD_APP_ID"
                )
        inputs = [TopicPartition(topic, task.partition) for topic in task.stage.inputs]
        found = [rows.get(tp.topic.encode()) for tp in inputs]
        places = [Position.of(row) if row else None for row in found]
        for tp, place in zip(inputs, places, strict=True):
            if place is not None and not place.counts_in(ids[tp.topic]):
                raise Failure(
                    f"{tp.topic}/{tp.partition} was read up to {place.offset} before the topic "
                    "was made anew; start anew under another PULSELOAD_APP_ID"
                )
        positions = [place.offset if place else None for place in places]
        # All at once: each may take its time to agree.
        offsets = await asyncio.gather(*map(partial(self._committed, consumer), inputs, positions))
        missing: dict[str, int] = {}
        for tp, position, committed in zip(inputs, positions, offsets, strict=True):
            if position is None and not committed:
                # Nothing was ever read of it.
                continue
            where = f"{tp.topic}/{tp.partition}"
            if position is None or (committed is not None and committed != position):
                raise Failure(
                    f"the state of {task} says that {where} was read up to "
                    f"{'nowhere' if position is None else position}, the group "
                    f"{self._place.group} has committed {committed}: offsets were moved or a "
                    "changelog topic was emptied; put them back, or start anew under another "
                    "PULSELOAD_APP_ID"
                )
            if position > ends[tp]:
                raise Failure(
                    f"{where} ends at {ends[tp]}, but was read up to {position} before: the topic "
                    "was made anew; start anew under another PULSELOAD_APP_ID"
                )
            if position < begins[tp]:
                log.error(
                    "%s: %d records were deleted by retention before they were read",
                    where,
                    begins[tp] - position,
                )
            if committed is None:
                missing[tp.topic] = position
            task.positions[tp.topic] = position
        if missing:
            log.warning("%s: the group's offsets are gone, set again from the state", task)
            await task.transactions.commit([], missing, task.partition)

    async def _committed(
        self, consumer: AIOKafkaConsumer, tp: TopicPartition, expected: int | None
    ) -> int | None:
        # The mark that makes a transaction's offsets valid may come a moment after the
        # transaction itself.
        found: int | None = await consumer.committed(tp)
        for _ in range(AGREE_SECONDS * 10):
            if found == expected:
                break
            await asyncio.sleep(0.1)
            found = await consumer.committed(tp)
        return found
