"""One Kafka transaction per draft, by the one producer that a task has."""

import asyncio
import contextlib
import logging
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced
from aiokafka.producer import sender

from pipeline.runtime.clock import Clock
from pipeline.runtime.draft import Output
from pipeline.runtime.steps import Step, reached
from pipeline.runtime.topic_ids import topic_ids
from pulseload import kafka
from pulseload.errors import Failure

TRANSACTION_SECONDS: Final = 20
"""After this long the broker ends a transaction that a dead worker left open."""

GIVE_UP_SECONDS: Final = 2 * TRANSACTION_SECONDS
"""After this long a worker gives up on Kafka and ends."""

RETRY_SECONDS: Final = 0.1

IDLE_SECONDS: Final = 10
"""After this long a connection without work is closed: while nobody uses it, nobody would notice
that it is half-open, and its next transaction would wait for that."""

BATCH_BYTES: Final = 500_000
"""How large a batch of records grows; far below what any topic takes."""

LOG_APPEND_TIME: Final = 1
"""How Kafka calls a timestamp that is the broker's."""

NEXT_SECONDS: Final = 0.005
"""How long a transaction waits while Kafka still writes the marks of the one before."""

# aiokafka has no setting for it, and waits for 20 ms, which one transaction of five does.
sender.BACKOFF_OVERRIDE = NEXT_SECONDS

_T = TypeVar("_T")

log = logging.getLogger(__name__)


class Fenced(Failure):
    """Another worker has this task now. Nothing that was in hand was committed."""


async def _until_told(ask: Callable[[], Awaitable[_T]]) -> _T:
    while True:
        try:
            return await ask()
        except KafkaError as error:
            if not error.retriable:
                raise
            # Another broker is asked then, or the same one by a new connection.
            await asyncio.sleep(RETRY_SECONDS)


class Transactions:
    """The transactions of one task, told from all others by `transactional_id`.

    `start` fences whoever used the same id before and ends what they left open; from then on
    only this object can commit under that id. `clock` is set by what the broker answers.
    `topic_ids` says which topics it works on, from `hold_to` on: nothing is committed any more
    once one of them was deleted, or made anew under its name.
    """

    def __init__(self, group: str, stage: str, partition: int, clients: Mapping[str, Any]) -> None:
        self.transactional_id = f"{group}-{stage}-{partition}"
        self._group = group
        self._stage = stage
        self._clients = clients
        self.clock = Clock()
        self.topic_ids: dict[str, str] = {}

    async def start(self) -> None:
        """Connect and fence. Raises Failure where that cannot be done."""
        self._producer = AIOKafkaProducer(
            **self._clients,
            transactional_id=self.transactional_id,
            transaction_timeout_ms=TRANSACTION_SECONDS * 1_000,
            max_batch_size=BATCH_BYTES,
            linger_ms=0,
            request_timeout_ms=15_000,
            connections_max_idle_ms=IDLE_SECONDS * 1_000,
            # Kafka refuses a produce for a moment after each commit; the default of 100 ms
            # would cost a quarter of the throughput.
            retry_backoff_ms=20,
        )
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                await self._producer.start()
        except (KafkaError, TimeoutError) as error:
            await self.stop()
            raise Failure(
                f"Kafka did not let {self.transactional_id} begin ({type(error).__name__}: {error})"
            ) from error
        except BaseException:
            await self.stop()
            raise

    async def hold_to(self, topics: Collection[str]) -> None:
        """Learn which topics these are.

        Raises Failure where one is missing; KafkaError or TimeoutError where Kafka does not tell.
        """
        async with asyncio.timeout(GIVE_UP_SECONDS):
            found = await _until_told(lambda: topic_ids(self._producer.client, topics))
        for topic in topics:
            if topic not in found:
                raise Failure(f"topic {topic} is missing; run `pulseload topics`")
        self.topic_ids = found

    async def require_topics(self) -> None:
        """Raise Failure where a topic is not there any more, KafkaError where Kafka fails."""
        found = await topic_ids(self._producer.client, self.topic_ids)
        for topic, topic_id in self.topic_ids.items():
            if found.get(topic) != topic_id:
                what = "made anew" if topic in found else "deleted"
                raise Failure(f"topic {topic} was {what}; the next start tells what is to be done")

    async def commit(
        self, outputs: Sequence[Output], offsets: Mapping[str, int], partition: int
    ) -> dict[tuple[str, int], int]:
        """Send outputs and the input offsets of `partition` in one transaction, and commit it.

        Returns for each (topic, partition) written to the offset after its last record. Raises
        `Fenced` where another worker has taken over, `Failure` where Kafka fails, or where a topic
        is not there any more: what was read may be its successor's. Nothing of it was committed
        then, unless the failure hit the commit itself; the process must end, and the next `start`
        under this id settles either case.
        """
        async with self._bounded():
            return await self._commit(outputs, offsets, partition)

    async def clear(
        self, outputs: Sequence[Output], offsets: Mapping[str, int], partition: int
    ) -> None:
        """Do as `commit` does, but abort: nobody ever reads it.

        Kafka's mark of that ends whatever an earlier transaction under this id has left without
        an end in the same partitions and offsets. Raises as `commit` does.
        """
        async with self._bounded():
            await self._send_all(outputs, offsets, partition)
            await self._producer.abort_transaction()

    async def commit_left(self, places: Collection[TopicPartition]) -> None:
        """End by a commit what was committed under this id and left without an end in `places`.

        See `kafka.commit_left`. Raises as `commit` does.
        """
        async with self._bounded():
            await kafka.commit_left(self._producer, places)

    @contextlib.asynccontextmanager
    async def _bounded(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(GIVE_UP_SECONDS):
                yield
        except ProducerFenced as error:
            raise Fenced(
                f"{self.transactional_id} was taken over by another worker; "
                "what was in hand is left to it"
            ) from error
        except TimeoutError as error:
            raise Failure(
                f"Kafka did not finish a transaction of {self.transactional_id} within "
                f"{GIVE_UP_SECONDS} s; nothing of it counts, start the worker again"
            ) from error
        except KafkaError as error:
            raise Failure(
                f"Kafka refused a transaction of {self.transactional_id} "
                f"({type(error).__name__}: {error}); nothing of it counts, start the worker again"
            ) from error

    async def _commit(
        self, outputs: Sequence[Output], offsets: Mapping[str, int], partition: int
    ) -> dict[tuple[str, int], int]:
        # Asked after the reading: what was read is of the topics that are there now.
        there = asyncio.ensure_future(_until_told(self.require_topics))
        try:
            ends = await self._send_all(outputs, offsets, partition)
            await there
            reached(Step.SENT, self._stage)
            await self._producer.commit_transaction()
        except BaseException:
            there.cancel()
            await asyncio.gather(there, return_exceptions=True)
            with contextlib.suppress(Exception):
                async with asyncio.timeout(2):
                    await self._producer.abort_transaction()
            raise
        return ends

    async def _send_all(
        self, outputs: Sequence[Output], offsets: Mapping[str, int], partition: int
    ) -> dict[tuple[str, int], int]:
        """Begin a transaction, and return where what it sends ends."""
        producer = self._producer
        await producer.begin_transaction()
        by_target: dict[tuple[str, int], list[Output]] = {}
        for output in outputs:
            by_target.setdefault((output.topic, output.partition), []).append(output)
        sending = [
            asyncio.ensure_future(self._send(topic, number, records))
            for (topic, number), records in by_target.items()
        ]
        try:
            if offsets:
                moved = {
                    TopicPartition(topic, partition): offset for topic, offset in offsets.items()
                }
                await producer.send_offsets_to_transaction(moved, self._group)
            ends = await asyncio.gather(*sending)
        finally:
            for task in sending:
                task.cancel()
        return dict(zip(by_target, ends, strict=True))

    async def _send(self, topic: str, partition: int, records: Iterable[Output]) -> int:
        producer = self._producer
        delivered: list[tuple[asyncio.Future[Any], int]] = []
        batch, count = producer.create_batch(), 0
        for _, _, key, value, headers in records:
            if batch.append(timestamp=None, key=key, value=value, headers=headers) is None:
                sent = await producer.send_batch(batch, topic, partition=partition)
                delivered.append((sent, count))
                batch, count = producer.create_batch(), 0
                batch.append(timestamp=None, key=key, value=value, headers=headers)
            count += 1
        sent = await producer.send_batch(batch, topic, partition=partition)
        delivered.append((sent, count))
        end = 0
        for future, length in delivered:
            written = await future
            end = written.offset + length
            # A topic whose configuration was changed meanwhile may have no stamps of the broker.
            if written.timestamp_type == LOG_APPEND_TIME:
                self.clock.told(written.timestamp)
        return end

    async def stop(self) -> None:
        """Let go of the connection, whatever state it is in."""
        with contextlib.suppress(Exception):
            async with asyncio.timeout(5):
                await self._producer.stop()
