"""What stands in a Kafka topic, as a read-committed consumer sees it."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from pulseload.errors import Failure

_POLL_MS = 200
_FETCH_BYTES = 16 * 1_048_576


@dataclass(frozen=True, slots=True)
class Read:
    """A record as it was read; `headers` keeps the last of each name."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: dict[str, bytes]

    @property
    def json(self) -> Any:
        """The value's document; raises ValueError where there is none."""
        return json.loads(self.value or b"")

    def header(self, name: str) -> str:
        """Return a header's text; raises KeyError where it has none of that name."""
        return self.headers[name].decode()


def read_all(
    servers: str,
    topic: str,
    *,
    count: int | None = None,
    until: Callable[[list[Read]], object] | None = None,
    timeout: float = 60,
    isolation: str = "read_committed",
) -> list[Read]:
    """Return a topic's records from its beginning to its present end, partition by partition.

    With `count` or `until` it waits first, until there are so many records, or the condition
    holds of those read so far; what else is there by then comes too. Raises Failure after
    `timeout` seconds, and where there is no such topic.
    """
    enough = until or (lambda records: len(records) >= (count or 0))
    return asyncio.run(_read_all(servers, topic, enough, time.monotonic() + timeout, isolation))


async def _read_all(
    servers: str,
    topic: str,
    enough: Callable[[list[Read]], object],
    end: float,
    isolation: str,
) -> list[Read]:
    partitions = [TopicPartition(topic, number) for number in await _numbers(servers, topic)]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=servers,
        isolation_level=isolation,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        max_partition_fetch_bytes=_FETCH_BYTES,
    )
    records: list[Read] = []
    await consumer.start()
    try:
        consumer.assign(partitions)
        while not enough(records):
            await _poll(consumer, records, end)
        for partition, offset in (await consumer.end_offsets(partitions)).items():
            while await consumer.position(partition) < offset:
                await _poll(consumer, records, end)
    finally:
        await consumer.stop()
    records.sort(key=lambda record: (record.partition, record.offset))
    return records


async def _poll(consumer: AIOKafkaConsumer, records: list[Read], end: float) -> None:
    if time.monotonic() > end:
        raise Failure(
            f"{min(consumer.assignment()).topic} has not what is waited for, but "
            f"{len(records)} records, the last of them {records[-3:]}"
        )
    for batch in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
        records.extend(
            Read(
                one.topic,
                one.partition,
                one.offset,
                one.timestamp,
                one.key,
                one.value,
                dict(one.headers),
            )
            for one in batch
        )


async def _numbers(servers: str, topic: str) -> list[int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        (found,) = await admin.describe_topics([topic])
    finally:
        await admin.close()
    if found["error_code"]:
        raise Failure(f"there is no topic {topic}: run `pulseload topics`")
    return sorted(one["partition"] for one in found["partitions"])
