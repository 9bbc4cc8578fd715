"""What tests of transactions share whose end Kafka forgets."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from aiokafka import TopicPartition

from local import ports
from local.kafka import Kafka
from pipeline.runtime.restore import reader
from pulseload import kafka
from tests.system.harness import System


@contextmanager
def trusting_kafka(folder: Path) -> Iterator[Kafka]:
    """Give a running Kafka that takes what belongs to a transaction it does not know of."""
    port, controller_port = ports.free(2)
    properties = {"transaction.partition.verification.enable": "false"}
    broker = Kafka(folder, port, controller_port, properties=properties)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


def held_up(system: System, *topics: str) -> list[str]:
    """Return the topics of which readers of committed records do not come to the end.

    A topic is there once for each such partition.
    """
    places = [
        TopicPartition(topic, number)
        for topic in topics
        for number in range(system.settings.pulseload_partitions)
    ]
    clients = kafka.connection(system.settings)

    async def found() -> list[str]:
        async with (
            reader(clients) as committed,
            reader(clients, isolation="read_uncommitted") as uncommitted,
        ):
            return [one.topic for one in await kafka.unended(committed, uncommitted, places)]

    return asyncio.run(found())
