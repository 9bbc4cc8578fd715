"""Records from Faust as partition batches: what one fetch brought for one partition is one event.

Public settings do the most of it: a `ConsumerScheduler` that hands over lists, and a schema that
lets them through. What Faust has no setting for is a transport of our own: reading only what is
committed, how large a fetch is and how long it waits, and seeking to an offset of 0.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import faust
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import IllegalStateError, NoOffsetForPartitionError, OffsetOutOfRangeError
from faust.transport.drivers.aiokafka import AIOKafkaConsumerThread, Consumer, Transport
from faust.transport.utils import DefaultSchedulingStrategy

from pipeline.runtime import unpacking
from pipeline.runtime.records import Record
from pulseload.errors import Failure

FETCH_BYTES = 16 * 1_048_576
"""How much one fetch brings, all partitions together."""

FETCH_WAIT_MS = 50
"""How long a fetch may wait for records.

There is one at a time, for the partitions that have nothing left to be worked on: all others are
not asked for until it is answered.
"""

NOTE_SECONDS = 1.0
"""How often it is noted how far was fetched."""


@dataclass(frozen=True, slots=True)
class Batch:
    """The records one fetch brought for one partition, in order, and the epoch it came in.

    An epoch ends when partitions are revoked: what was fetched before is fetched again by
    whoever owns the partition then, so that a batch of an earlier epoch must be dropped.
    `after` is where the fetch before it ended, in the same epoch: None for the first. `size` is
    the bytes of all keys, values and headers together.
    """

    topic: str
    partition: int
    epoch: int
    after: int | None
    records: Sequence[Record]
    size: int

    @property
    def end(self) -> int:
        """The offset behind the last record."""
        return self.records[-1].offset + 1


class _Envelope:
    """A batch in the shape of the one record that Faust expects."""

    __slots__ = (
        "checksum",
        "headers",
        "key",
        "offset",
        "partition",
        "serialized_key_size",
        "serialized_value_size",
        "timestamp",
        "timestamp_type",
        "topic",
        "value",
    )

    def __init__(self, batch: Batch) -> None:
        last = batch.records[-1]
        self.topic = batch.topic
        self.partition = batch.partition
        self.offset = last.offset
        self.timestamp = last.timestamp
        self.timestamp_type = 0
        self.headers: tuple[()] = ()
        self.key = None
        self.value = batch
        self.checksum = None
        self.serialized_key_size = 0
        self.serialized_value_size = 0


def _size(records: Iterable[Record]) -> int:
    size = 0
    for record in records:
        size += len(record.key or b"") + len(record.value or b"")
        for name, value in record.headers:
            # Kafka has headers whose value is null.
            size += len(name) + len(value or b"")
    return size


def scheduler(epoch: Callable[[], int]) -> type[DefaultSchedulingStrategy]:
    """Return a `ConsumerScheduler` that yields one `Batch` per partition of a fetch."""

    class PartitionBatches(DefaultSchedulingStrategy):  # type: ignore[misc]
        def __init__(self) -> None:
            self._epoch = -1
            self._ends: dict[Any, int] = {}

        def iterate(self, records: Mapping[Any, list[Record]]) -> Iterator[tuple[Any, _Envelope]]:
            # All of it now: Faust drops what it fetched while a rebalance goes on, but what was
            # fetched must be known all the same.
            return iter([(tp, self._taken(tp, got)) for tp, got in records.items() if got])

        def _taken(self, tp: Any, records: list[Record]) -> _Envelope:
            if self._epoch != epoch():
                self._epoch = epoch()
                self._ends.clear()
            after = self._ends.get(tp)
            batch = Batch(tp.topic, tp.partition, self._epoch, after, records, _size(records))
            self._ends[tp] = batch.end
            return _Envelope(batch)

    return PartitionBatches


class BatchSchema(faust.Schema):  # type: ignore[misc]
    """Lets a `Batch` through to the agent as it is."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> None:
        """Return nothing: a batch has no key."""

    def loads_value(self, app: Any, message: Any, **_: Any) -> Batch:  # noqa: ARG002
        """Return the batch."""
        batch: Batch = message.value
        return batch


class _CommittedThread(AIOKafkaConsumerThread):  # type: ignore[misc]
    _noted = -math.inf

    def _create_worker_consumer(self, transport: Any) -> AIOKafkaConsumer:
        unpacking.install()
        consumer = super()._create_worker_consumer(transport)
        # Faust sets this only for its own exactly-once, which is not the one used here.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._fetch_max_bytes = FETCH_BYTES
        return consumer

    async def on_start(self) -> None:
        """Connect, and look out for the end of what keeps this worker in its group."""
        await super().on_start()
        coordination = self._consumer._coordinator._coordination_task
        coordination.add_done_callback(self._coordination_ended)

    def _coordination_ended(self, ended: "asyncio.Task[None]") -> None:
        # Faust would go on without a group, and never be given anything.
        if not ended.cancelled() and (error := ended.exception()) is not None:
            self._tell(
                Failure(
                    f"this worker's part in its group broke ({error.__cause__ or error!r}); "
                    "nothing is lost, start the worker again"
                )
            )

    async def seek_to_committed(self) -> Mapping[Any, int]:
        """Seek every partition to its committed offset, or to its first where that is later.

        aiokafka leaves partitions without an offset, or with 0, where they are: what was fetched
        from them and dropped in a rebalance before the first commit would never be read again.
        """
        committed: Mapping[Any, int] = await super().seek_to_committed()
        consumer = self._ensure_consumer()
        begins = await self.call_thread(consumer.beginning_offsets, list(committed))
        first = {tp: begins[tp] for tp, offset in committed.items() if (offset or 0) <= begins[tp]}
        if first:
            await self.seek_wait(first)
        return committed

    async def _fetch_records(self, consumer: AIOKafkaConsumer, *how: Any, **more: Any) -> Any:
        try:
            records = await super()._fetch_records(consumer, *how, **more)
            self._note_positions(consumer)
            return records
        except NoOffsetForPartitionError:
            # Each is sought to its place before it is let through.
            return {}
        except OffsetOutOfRangeError as error:
            for tp, offset in error.args[0].items():
                with contextlib.suppress(IllegalStateError):
                    # If it is not the place any more, it was sought to another since.
                    if await consumer.position(tp) == offset:
                        self._tell_lost(tp, offset)
            return {}

    def _note_positions(self, consumer: AIOKafkaConsumer) -> None:
        now = time.monotonic()
        if now - self._noted < NOTE_SECONDS or consumer._subscription.subscription is None:
            return
        self._noted = now
        assigned = consumer._subscription.subscription.assignment
        states = {tp: assigned.state_value(tp) for tp in assigned.tps} if assigned else {}
        self.consumer.transport.fetched = {
            tp: state.position for tp, state in states.items() if state and state.has_valid_position
        }

    def _tell_lost(self, tp: Any, offset: int) -> None:
        failure = Failure(
            f"{tp.topic}/{tp.partition} has no offset {offset}, which was to be read next: its "
            "records were deleted, or the topic was made anew; the next start tells which"
        )
        self._tell(failure)

    def _tell(self, failure: Failure) -> None:
        failed = self.consumer.transport.failed
        if failed is None:
            raise failure
        self.parent_loop.call_soon_threadsafe(failed, failure)


class _CommittedConsumer(Consumer):  # type: ignore[misc]
    def _new_consumer_thread(self) -> _CommittedThread:
        return _CommittedThread(self, loop=self.loop, beacon=self.beacon)


class CommittedTransport(Transport):  # type: ignore[misc]
    """Faust's Kafka transport, reading committed records only.

    It never goes on elsewhere by itself: `failed` is told where what was to be read next is gone.
    """

    Consumer = _CommittedConsumer
    fetched: Mapping[TopicPartition, int] = {}
    """By partition, the offset that is fetched next, as it was at most `NOTE_SECONDS` ago or at the
    last fetch; marks of transactions are behind it, though they are no records."""

    failed: Callable[[BaseException], None] | None = None
