"""What the worker's own Kafka transport reads, which Faust's would not."""

import asyncio
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faust
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from local.kafka import Kafka
from pipeline.runtime.batches import BatchSchema, CommittedTransport, scheduler
from pulseload import topics
from pulseload.topics import Topic
from tests.examples import body, job, push
from tests.system.harness import System, create_topics

TOPIC = "read.by.faust"


class _App(faust.App):  # type: ignore[misc]
    def _new_transport(self) -> CommittedTransport:
        return CommittedTransport(self.conf.broker_consumer, self)


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - nobody tells us
            await asyncio.sleep(0.05)


async def _read_twice(servers: str, folder: Path) -> tuple[list[bytes], list[bytes]]:
    """Read a topic without committing anything, seek to what is committed, and read again."""
    seen: list[bytes] = []
    app = _App(
        "reading",
        broker=f"kafka://{servers}",
        autodiscover=False,
        datadir=folder,
        web_enabled=False,
        ConsumerScheduler=scheduler(lambda: 0),
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
    )

    async def agent(batches: Any) -> None:
        async for batch in batches:
            seen.extend(record.value for record in batch.records)

    app.agent(app.topic(TOPIC, schema=BatchSchema(), acks=False))(agent)
    app.finalize()
    await app.start()
    try:
        await _until(lambda: b"last" in seen)
        first = list(seen)
        seen.clear()
        await app.consumer.perform_seek()
        await _until(lambda: b"last" in seen)
        return first, list(seen)
    finally:
        await app.stop()


async def _write(servers: str) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=servers, transactional_id="writer")
    async with producer:
        for values, good in (([b"first"], True), ([b"aborted"], False), ([b"last"], True)):
            await producer.begin_transaction()
            for value in values:
                await producer.send_and_wait(TOPIC, value, partition=0)
            await (producer.commit_transaction() if good else producer.abort_transaction())


def test_only_what_is_committed_and_again_from_the_first_where_nothing_was_read(
    kafka: Kafka, tmp_path: Path
) -> None:
    create_topics(kafka.url, [Topic(TOPIC, 1, {})])
    asyncio.run(_write(kafka.url))
    first, again = asyncio.run(_read_twice(kafka.url, tmp_path))
    assert first == [b"first", b"last"]
    assert again == [b"first", b"last"]


def test_a_header_name_that_is_no_utf_8_ends_no_worker(system: System) -> None:
    worker = system.worker()
    asyncio.run(_write_strange_name(system.kafka.url))
    system.produce(topics.PUSHES_INBOX, body(push()))
    system.produce(topics.JOBS_INBOX, body(job()))
    system.read(topics.JOBS_JOINED, count=1)
    (letter,) = system.read(topics.JOBS_DEAD_LETTER, count=1)
    assert letter.value == b"strange"
    assert letter.headers["pulse.\ufffd\ufffd"] == b"1"
    assert worker.terminate() == 0


async def _write_strange_name(servers: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        batch: Any = producer.create_batch()
        batch.append(key=None, value=b"strange", timestamp=None, headers=[("pulse.xx", b"1")])
        data = bytearray(bytes(batch._build()).replace(b"pulse.xx", b"pulse.\xff\xfe"))
        struct.pack_into(">I", data, 17, calc_crc32c(bytes(data[21:])))
        # No client in Python writes such a name by itself; those built on librdkafka can.
        batch._buffer = data
        await (await producer.send_batch(batch, topics.JOBS_INBOX, partition=0))
