"""Topics read as they stand: up to the ends that were seen at the start, as no group's member."""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError

from pipeline.runtime import unpacking
from pipeline.runtime.records import Record
from pipeline.runtime.restore import learn, reader
from pulseload import kafka
from pulseload.errors import Failure
from pulseload.progress import Progress
from pulseload.settings import Settings

PARTITION_BYTES: Final = 4 * 1_048_576
FETCH_BYTES: Final = 16 * 1_048_576
"""How much one fetch brings of a partition, and of all: what is in memory at a time."""

STALLED_SECONDS: Final = 30
"""After how long without anything new reading is given up."""


class Standing:
    """Some topics as they stand: where each partition begins and ends, and how far it was read.

    `ends` counts what is committed only. `read` is where the pipeline goes on: the offset of its
    group, or the beginning; `workers` is how many are members of that. `records` is how many
    offsets were looked through so far.
    """

    def __init__(
        self,
        consumer: AIOKafkaConsumer,
        begins: Mapping[TopicPartition, int],
        ends: Mapping[TopicPartition, int],
        committed: Mapping[TopicPartition, int],
        workers: int,
    ) -> None:
        self._consumer = consumer
        self._begins = begins
        self.ends = ends
        self.workers = workers
        self.read = {tp: max(begin, committed.get(tp, 0)) for tp, begin in begins.items()}
        self.records = 0

    def places(
        self, topics: Iterable[str], partitions: Collection[int] = ()
    ) -> list[TopicPartition]:
        """Return the partitions of some of the topics; all of them unless numbers are given."""
        wanted = set(topics)
        return [
            tp
            for tp in self.ends
            if tp.topic in wanted and (not partitions or tp.partition in partitions)
        ]

    def lag(self, topics: Iterable[str]) -> int:
        """Return how many offsets of some topics the pipeline has still to read."""
        return sum(max(0, self.ends[tp] - self.read[tp]) for tp in self.places(topics))

    async def visit(
        self,
        places: Collection[TopicPartition],
        visit: Callable[[Record], None],
        since: int | None = None,
    ) -> None:
        """Show the records of some partitions, each in order, from a time on (ms since 1970).

        Nothing is kept of what was shown. Raises Failure where Kafka gives no more.
        """
        starts = {tp: self._begins[tp] for tp in places}
        if since is not None:
            for tp, found in (
                await self._consumer.offsets_for_times(dict.fromkeys(places, since))
            ).items():
                starts[tp] = max(starts[tp], found.offset if found else self.ends[tp])
        at = {tp: start for tp, start in starts.items() if start < self.ends[tp]}
        total = sum(self.ends[tp] - start for tp, start in at.items())
        progress = Progress()
        for tp, start in at.items():
            self._consumer.seek(tp, start)
        self._consumer.resume(*at)
        try:
            await self._read(at, visit, progress, total)
        finally:
            self._consumer.pause(*at)
            progress.clear()

    async def _read(
        self,
        at: dict[TopicPartition, int],
        visit: Callable[[Record], None],
        progress: Progress,
        total: int,
    ) -> None:
        moved, done = time.monotonic(), 0
        while at:
            polled = await self._consumer.getmany(timeout_ms=200)
            for tp, records in polled.items():
                end = self.ends[tp]
                for record in records:
                    if record.offset < end:
                        visit(record)
            for tp, before in list(at.items()):
                # Marks of transactions move it, too.
                position = min(await self._consumer.position(tp), self.ends[tp])
                if position > before:
                    self.records += position - before
                    done += position - before
                    progress.show(f"read {done:,} of {total:,}")
                    at[tp], moved = position, time.monotonic()
                if position == self.ends[tp]:
                    self._consumer.pause(tp)
                    del at[tp]
            if time.monotonic() - moved > STALLED_SECONDS:
                tp = min(at)
                raise Failure(
                    f"Kafka gives nothing of {tp.topic}/{tp.partition} behind offset {at[tp]} for "
                    f"{STALLED_SECONDS} s; are all its brokers running?"
                )


@contextlib.asynccontextmanager
async def standing(settings: Settings, topics: Collection[str]) -> AsyncIterator[Standing]:
    """Give some of the settings' topics as they stand when the block begins.

    Raises Failure where one is missing or has another partition count, or where Kafka fails.
    """
    unpacking.install()
    wanted = [topic for topic in settings.topics if topic.name in topics]
    async with kafka.admin(settings) as client:
        wrong = kafka.problems(wanted, await kafka.existing(client, topics))
        for one in wrong:
            if one.kind != "config":
                raise Failure(f"topic {one.text}")
        # Before the ends: what was read by then has come out by then.
        committed, workers = await _group(client, settings.pulseload_app_id)
        places = [
            TopicPartition(topic.name, number)
            for topic in wanted
            for number in range(topic.partitions)
        ]
        clients = kafka.connection(settings)
        async with reader(
            clients, fetch_bytes=PARTITION_BYTES, whole_bytes=FETCH_BYTES
        ) as consumer:
            learn(consumer, places)
            begins = await consumer.beginning_offsets(places)
            ends = await consumer.end_offsets(places)
            yield Standing(consumer, begins, ends, committed, workers)


async def _group(client: AIOKafkaAdminClient, group: str) -> tuple[dict[TopicPartition, int], int]:
    """Return what a group has committed, and how many members it has; it need not be there."""
    try:
        offsets = await client.list_consumer_group_offsets(group)
        ((answer,),) = [found.groups for found in await client.describe_consumer_groups([group])]
    except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError):
        # A Kafka that is new has no groups.
        return {}, 0
    *_, members = answer
    return {tp: row.offset for tp, row in offsets.items()}, len(members)
