"""The Kafka side of a bridge: records in, confirmations out."""

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError, RecordListTooLargeError

from bridges.record import Record, too_large
from pulseload import kafka
from pulseload.errors import Failure
from pulseload.partitions import partition_of
from pulseload.settings import Settings
from pulseload.topics import INPUT_MAX_BYTES

BATCH_BYTES: Final = 512 * 1_024
"""How many bytes of records go to a partition at once; a single larger record may."""

REQUEST_SECONDS: Final = 15
"""After how long without an answer a connection is given up, as it may be half-open."""

REFUSED_PAUSE: Final = 10.0
"""Seconds until a record that Kafka should take, and refuses for its size, is sent again."""

log = logging.getLogger(__name__)


class Unconfirmed(Exception):  # noqa: N818 - what was sent may be there all the same
    """Kafka has not confirmed some records, and the same producer would try in vain."""


class Writer:
    """Writes records and waits until Kafka has confirmed them; those of a partition keep order.

    The producer is idempotent: as long as it lives it repeats what Kafka does not confirm, and
    nothing is written twice.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._limits: defaultdict[str, int] = defaultdict(lambda: BATCH_BYTES)

    async def start(self) -> None:
        """Connect, unless connected; raises Failure where Kafka does not answer or lacks topics."""
        if self._producer is None:
            await kafka.require(self._settings)
            await self._connected()

    async def stop(self, within: float = 1) -> None:
        """Disconnect, after at most so many seconds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            # What Kafka never answered ends with the event loop.
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(within):
                    await producer.stop()

    async def write(self, records: Sequence[Record]) -> None:
        """Return when Kafka has confirmed every record, however long that takes.

        A record that is larger than an input topic takes is written as its dead letter. Where Kafka
        refuses one for its size that it should take, it is sent again until a person has mended
        the topic. Raises Unconfirmed; the writer must then be started again.
        """
        left = list(records)
        try:
            while left := await self._send(await self._connected(), left):
                # Kafka has counted what it refused: from this producer, all that follows would
                # be out of order.
                await self.stop()
        except Exception as error:
            await self.stop()
            raise Unconfirmed(
                f"Kafka has not confirmed {len(left)} records: {type(error).__name__}: {error}"
            ) from error

    async def _connected(self) -> AIOKafkaProducer:
        if self._producer is not None:
            return self._producer
        self._producer = producer = AIOKafkaProducer(
            **kafka.connection(self._settings),
            acks="all",
            enable_idempotence=True,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=REQUEST_SECONDS * 1_000,
        )
        try:
            async with asyncio.timeout(kafka.TIMEOUT):
                await producer.start()
        except (KafkaError, TimeoutError) as error:
            await self.stop()
            servers = ", ".join(self._settings.kafka_servers)
            raise Failure(f"Kafka at {servers} does not answer; is it running?") from error
        return producer

    async def _send(self, producer: AIOKafkaProducer, records: Iterable[Record]) -> list[Record]:
        """Send records, and return what is left to be sent where one was refused for its size."""
        counts: dict[str, int] = {}
        places: defaultdict[tuple[str, int], list[Record]] = defaultdict(list)
        for record in records:
            topic = record.topic
            if topic not in counts:
                counts[topic] = len(await producer.partitions_for(topic))
            places[topic, partition_of(record.key, counts[topic])].append(record)
        left: list[Record] = []
        failures: list[BaseException] = []
        for outcome in await asyncio.gather(
            *(self._send_in_order(producer, *place, ordered) for place, ordered in places.items()),
            return_exceptions=True,
        ):
            if isinstance(outcome, BaseException):
                failures.append(outcome)
            else:
                left += outcome
        if failures:
            raise failures[0]
        return left

    async def _send_in_order(
        self, producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Record]
    ) -> list[Record]:
        """Send the records of one partition, batch after batch, up to one that is refused."""
        sent = 0
        while sent < len(records):
            limit = self._limits[topic]
            batch = producer.create_batch()
            count = 0
            for record in records[sent:]:
                if count and batch.size() + len(record.value) > limit:
                    break
                if not batch.append(
                    timestamp=None, key=record.key, value=record.value, headers=record.headers
                ):
                    break
                count += 1
            size = batch.size()
            try:
                await (await producer.send_batch(batch, topic, partition=partition))
            except (MessageSizeTooLargeError, RecordListTooLargeError):
                first, *others = records[sent:]
                if count > 1:
                    self._limits[topic] = size // 2
                    return [first, *others]
                if first.topic == first.dead_letter or size <= INPUT_MAX_BYTES:
                    log.warning(
                        "Kafka refuses a record of %d bytes for %s: its max.message.bytes is too "
                        "low; run `pulseload topics --alter`. Waiting for that, and acknowledging "
                        "nothing",
                        size,
                        topic,
                    )
                    await asyncio.sleep(REFUSED_PAUSE)
                    # It may be mended.
                    self._limits.pop(topic, None)
                    return [first, *others]
                log.warning("Kafka refuses %s bytes for %s: dead letter", size, topic)
                return [too_large(first), *others]
            sent += count
        return []
