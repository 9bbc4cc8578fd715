"""What measurements stand on: brokers of their own, and trials with topics of their own."""

import asyncio
import os
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Final, Self

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from benchmarks import writing
from benchmarks.programs import TIMEOUT, Program
from benchmarks.writing import Written
from local import ROOT, exchanges, ports
from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from local.reader import Read, read_all
from pulseload import kafka, settings, topics
from pulseload.errors import Failure
from pulseload.settings import Settings

WORKER_READY: Final = "ready; working on"
BRIDGE_READY: Final = "taking messages"
"""What their logs say once they are at work."""

QUIET: Final = 0.5
"""Seconds without a new record after which there will come no more."""

_BIN: Final = Path(sys.executable).parent
_GLANCE: Final = 0.05


class Ground:
    """A Kafka and, once it is asked for, a RabbitMQ, on free ports and in a folder of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._numbers = ports.free(6)
        self.kafka = Kafka(home, self._numbers[0], self._numbers[1], heap="1g")
        self._rabbitmq = RabbitMQ(home, *self._numbers[2:5])
        self._programs: list[Program] = []

    def start(self) -> None:
        """Start Kafka."""
        self.kafka.start()

    @property
    def rabbitmq(self) -> RabbitMQ:
        """The RabbitMQ, running, with the exchanges of Pulse."""
        if not self._rabbitmq.running:
            self._rabbitmq.start()
            exchanges.declare(self._rabbitmq.url, list(exchanges.USUAL))
        return self._rabbitmq

    def program(self, name: str, argv: Iterable[str], env: Mapping[str, str]) -> Program:
        """Start one of the programs in `.venv/bin`; `env` is all of its environment but PATH."""
        command, *arguments = argv
        path = f"{_BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        every = {"PATH": path, "LANG": "C.UTF-8", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
        program = Program(name, [str(_BIN / command), *arguments], {**every, **env}, self.home)
        self._programs.append(program)
        return program.start()

    def trial(self, name: str, **env: str) -> "Trial":
        """Return a trial with further settings; every topic that pulseload needs is made anew."""
        return Trial(self, name, env)

    def close(self) -> None:
        """End everything and remove its folder."""
        for program in self._programs:
            program.kill()
        self._rabbitmq.kill()
        self.kafka.kill()
        shutil.rmtree(self.home, ignore_errors=True)


class Trial:
    """Topics, a consumer group and a state folder that nothing else uses."""

    def __init__(self, ground: Ground, name: str, env: Mapping[str, str]) -> None:
        self.ground = ground
        self.name = name
        self.state = ground.home / name
        self.env = {
            "KAFKA_URL": f"kafka://{ground.kafka.url}",
            "PULSELOAD_APP_ID": name,
            "PULSELOAD_HOME": str(self.state),
            **env,
        }
        asyncio.run(_renew_topics(self.settings))

    @property
    def settings(self) -> Settings:
        """The settings that the programs see."""
        return settings.load(self.env, self.ground.home)

    def changelog(self, table: str) -> str:
        """Return the changelog topic of a table."""
        return topics.changelog(self.name, table)

    @property
    def servers(self) -> str:
        """Where Kafka is."""
        return self.ground.kafka.url

    def worker(self, name: str = "worker") -> Program:
        """Start a worker as users do; it has not said that it is ready."""
        argv = ["faust", "-A", "pipeline", "worker"]
        return self.ground.program(f"{self.name}-{name}", argv, self.env)

    def bridge(self) -> Program:
        """Start a bridge as users do; it has not said that it is ready."""
        env = {**self.env, "PULSE_DATA_INGESTION_CONFIG": self.ground.rabbitmq.url}
        return self.ground.program(f"{self.name}-bridge", ["python", "-m", "bridges"], env)

    def write(self, topic: str, records: Iterable[Written]) -> None:
        """Write records to a topic, in order; see `writing.write`."""
        asyncio.run(writing.write(self.servers, topic, records))

    def read(self, topic: str) -> list[Read]:
        """Return a topic's committed records."""
        return read_all(self.servers, topic)

    def clear(self) -> None:
        """Delete the topics that programs have made for it."""
        asyncio.run(_delete_topics(self.settings, self.name))

    def settle(self, names: Collection[str], count: int, *programs: Program) -> None:
        """Wait until topics hold so many records together, or more, and no more come.

        Raises Failure where one of the programs, which are to write them, ends.
        """
        asyncio.run(self._settle(names, count, programs))

    async def _settle(
        self, names: Collection[str], count: int, programs: Collection[Program]
    ) -> None:
        end = time.monotonic() + TIMEOUT
        async with Progress(self) as progress:
            before, since = -1, time.monotonic()
            while True:
                now = await progress.of(names)
                if now != before:
                    before, since = now, time.monotonic()
                elif now >= count and time.monotonic() - since > QUIET:
                    return
                for program in programs:
                    program.check()
                if time.monotonic() > end:
                    said = f"{now} records in {', '.join(names)} after {TIMEOUT} s, not {count}"
                    raise Failure(said)
                await asyncio.sleep(_GLANCE)


class Progress:
    """Tells how far topics have grown and been read; transactions' marks count as records."""

    def __init__(self, trial: Trial) -> None:
        self._group = trial.settings.pulseload_app_id
        self._partitions = range(trial.settings.pulseload_partitions)
        self._consumer = AIOKafkaConsumer(bootstrap_servers=trial.servers)
        self._admin = AIOKafkaAdminClient(bootstrap_servers=trial.servers)

    async def __aenter__(self) -> Self:
        await self._consumer.start()
        await self._admin.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._admin.close()
        await self._consumer.stop()

    async def of(self, names: Iterable[str]) -> int:
        """Return the sum of the topics' end offsets."""
        wanted = [TopicPartition(topic, number) for topic in names for number in self._partitions]
        return sum((await self._consumer.end_offsets(wanted)).values())

    async def read(self, name: str) -> int:
        """Return the sum of what the trial's group has committed in a topic."""
        committed = await self._admin.list_consumer_group_offsets(self._group)
        return sum(at.offset for place, at in committed.items() if place.topic == name)


async def _renew_topics(configured: Settings) -> None:
    names = {topic.name for topic in configured.topics}
    async with kafka.admin(configured, within=60) as client:
        if old := names.intersection(await client.list_topics()):
            await client.delete_topics(list(old))
            while old.intersection(await client.list_topics()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(_GLANCE)
        await kafka.create(client, configured.topics, configured.pulseload_replication)


async def _delete_topics(configured: Settings, name: str) -> None:
    async with kafka.admin(configured, within=60) as client:
        await client.delete_topics([topic for topic in await client.list_topics() if name in topic])
