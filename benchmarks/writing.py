"""Records into Kafka, many at a time."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaProducer

from pulseload.partitions import partition_of

BATCH_BYTES: Final = 128 * 1_024


class Written(NamedTuple):
    """A record to be written."""

    value: bytes
    key: bytes | None = None


async def write(servers: str, topic: str, records: Iterable[Written]) -> None:
    """Write records to a topic, and return when Kafka has confirmed them.

    Those with the same key keep their order. Those without go to the partitions in turn, a batch
    to each, as Kafka's console producer sends them.
    """
    async with AIOKafkaProducer(
        bootstrap_servers=servers, acks="all", max_batch_size=BATCH_BYTES
    ) as producer:
        partitions = len(await producer.partitions_for(topic))
        batches: dict[int, Any] = {}
        confirmed: list[asyncio.Future[Any]] = []
        turn = 0
        for record in records:
            number = turn if record.key is None else partition_of(record.key, partitions)
            batch = batches.setdefault(number, producer.create_batch())
            if not batch.append(timestamp=None, key=record.key, value=record.value):
                confirmed.append(await producer.send_batch(batch, topic, partition=number))
                del batches[number]
                if record.key is None:
                    turn = number = (turn + 1) % partitions
                batch = batches[number] = producer.create_batch()
                batch.append(timestamp=None, key=record.key, value=record.value)
        for number, batch in batches.items():
            confirmed.append(await producer.send_batch(batch, topic, partition=number))
        await asyncio.gather(*confirmed)
