"""What tests on real brokers are made of: the programs, Kafka's topics and records."""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from local import ports
from local.kafka import Kafka
from local.process import Process
from local.reader import Read, read_all
from pulseload import settings
from pulseload.headers import Header
from pulseload.topics import Topic
from tests import ledger
from tests.system.pulse import Pulse

__all__ = [
    "Read",
    "Sent",
    "Service",
    "System",
    "create_topics",
    "eventually",
    "kill_after",
    "memory_peak",
    "processes_in",
    "produce",
    "read_all",
]

BIN = Path(sys.executable).parent
TIMEOUT = 60
"""Seconds that anything may take on a busy machine; nothing is asserted about time."""


def eventually(condition: Callable[[], object], what: str, timeout: float = TIMEOUT) -> None:
    """Wait until the condition holds; fail the test with `what` if it never does."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, f"not within {timeout} s: {what}"
        time.sleep(0.05)


def memory_peak(service: "Service") -> int:
    """Return the most memory that a running program has had, in MiB."""
    status = Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def processes_in(folder: Path) -> list[str]:
    """Return the command lines of the processes that work in a folder or name it."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if str(folder) in f"{command} {(entry / 'cwd').readlink()}":
                found.append(command)
        except OSError:
            continue
    return found


class Sent(NamedTuple):
    """A record to be written."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[Header] = ()
    partition: int | None = None


_NO_VALUE = object()
"""Stands for a value of None: aiokafka would not send one without a key, as others do."""


def produce(servers: str, topic: str, records: Iterable[Sent | bytes]) -> None:
    """Write records to a topic, in order, and return when Kafka has confirmed them all."""
    asyncio.run(_produce(servers, topic, records))


async def _produce(servers: str, topic: str, records: Iterable[Sent | bytes]) -> None:
    async with AIOKafkaProducer(
        bootstrap_servers=servers,
        acks="all",
        linger_ms=5,
        max_request_size=16 * 1_048_576,
        value_serializer=lambda value: None if value is _NO_VALUE else value,
    ) as producer:
        confirmed = []
        for one in records:
            record = one if isinstance(one, Sent) else Sent(one)
            confirmed.append(
                await producer.send(
                    topic,
                    value=_NO_VALUE if record.value is None else record.value,
                    key=record.key,
                    partition=record.partition,
                    headers=list(record.headers),
                )
            )
        await asyncio.gather(*confirmed)


def create_topics(servers: str, topics: Iterable[Topic]) -> None:
    """Create topics, replacing those of the same names."""
    asyncio.run(_create_topics(servers, list(topics)))


async def _create_topics(servers: str, topics: list[Topic]) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        if old := set(await admin.list_topics()) & {topic.name for topic in topics}:
            await admin.delete_topics(list(old))
            while old & set(await admin.list_topics()):  # noqa: ASYNC110 - Kafka tells nobody
                await asyncio.sleep(0.05)
        answer = await admin.create_topics(
            [NewTopic(one.name, one.partitions, 1, topic_configs=one.config) for one in topics]
        )
        assert not any(code for _, code, *_ in answer.topic_errors), answer.topic_errors
        while not {one.name for one in topics} <= set(await admin.list_topics()):  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


def kill_after(service: "Service", servers: str, place: TopicPartition, count: int) -> None:
    """Kill a program as soon as a partition has grown by so many records, committed or not."""
    asyncio.run(_kill_after(service, servers, place, count))


async def _kill_after(service: "Service", servers: str, place: TopicPartition, count: int) -> None:
    end = time.monotonic() + TIMEOUT
    async with AIOKafkaConsumer(bootstrap_servers=servers) as consumer:
        # What earlier kills left uncommitted is there for good.
        offset = (await consumer.end_offsets([place]))[place] + count
        while (await consumer.end_offsets([place]))[place] < offset:
            assert time.monotonic() < end, f"{place} has not grown to {offset}"
            await asyncio.sleep(0.001)
        service.kill()


class Service:
    """One of the project's programs, started as a user starts it."""

    def __init__(
        self, name: str, argv: Sequence[str], env: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.process = Process(folder, name)
        self._argv = argv
        self._env = env
        self._folder = folder

    def start(self) -> "Service":
        """Start it; its log goes on where it was."""
        assert not self.process.running, f"{self.name} runs already"
        self.process.start(self._argv, env=self._env, cwd=self._folder)
        return self

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process.running

    @property
    def log(self) -> str:
        """All it has printed."""
        path = self.process.log
        return path.read_text(errors="replace") if path.exists() else ""

    def wait(self, timeout: float = TIMEOUT) -> int:
        """Wait for its end and return its exit status (negative: the signal that ended it)."""
        assert self.process.wait(timeout), f"{self.name} has not ended after {timeout} s"
        eventually(lambda: self.process.status is not None, f"{self.name} has a status")
        assert self.process.status is not None
        return self.process.status

    def wait_for(self, pattern: str, timeout: float = TIMEOUT, times: int = 1) -> None:
        """Wait until its log has so many matches of a regular expression."""

        def seen() -> bool:
            assert self.running or len(re.findall(pattern, self.log)) >= times, (
                f"{self.name} ended without {pattern!r} in its log:\n{self.process.tail()}"
            )
            return len(re.findall(pattern, self.log)) >= times

        eventually(seen, f"{pattern!r} in the log of {self.name}", timeout)

    def terminate(self, timeout: float = TIMEOUT) -> int:
        """Ask it to end, and return its exit status."""
        self.process.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it with SIGKILL."""
        ledger.note("programs killed", int(self.running))
        self.process.kill()

    def freeze(self) -> None:
        """Stop its clock: it neither works nor answers until `resume`."""
        ledger.note("programs frozen")
        self.process.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on."""
        self.process.signal(signal.SIGCONT)


class System:
    """The whole of pulseload in one test: brokers, topics, and the programs that it starts.

    `env` is what every program gets; change it before starting one. Each test begins with
    fresh topics, and each program runs in `folder`, where no settings file is.
    """

    def __init__(self, kafka: Kafka, pulse: Pulse, folder: Path) -> None:
        self.kafka = kafka
        self.pulse = pulse
        self.folder = folder
        self.services: list[Service] = []
        self.env = {
            "PATH": f"{BIN}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "KAFKA_URL": f"kafka://{kafka.url}",
            "PULSE_DATA_INGESTION_CONFIG": pulse.url,
            "PULSELOAD_HOME": str(folder / "state"),
            "PULSELOAD_WEB_PORT": str(ports.free(1)[0]),
            "PULSELOAD_BRIDGE_PORT": str(ports.free(1)[0]),
        }

    @property
    def settings(self) -> settings.Settings:
        """The settings that the programs see."""
        return settings.load(self.env, self.folder)

    def prepare(self) -> "System":
        """Make the topics anew and the exchanges that the settings name."""
        create_topics(self.kafka.url, self.settings.topics)
        self.pulse.declare(
            *(source.exchange for source in self.settings.pulse_data_ingestion_sources)
        )
        return self

    def program(self, name: str, *argv: str, **env: str) -> Service:
        """Start a program under a name that its log goes by; `env` adds to the settings."""
        service = Service(name, argv, {**self.env, **env}, self.folder)
        self.services.append(service)
        return service.start()

    def worker(self, name: str = "worker", **env: str) -> Service:
        """Start a worker, with a state folder of its own."""
        home = {"PULSELOAD_HOME": str(self.folder / f"{name}-state")}
        return self.program(name, str(BIN / "faust"), "-A", "pipeline", "worker", **{**home, **env})

    def bridge(self, name: str = "bridge", **env: str) -> Service:
        """Start a bridge."""
        return self.program(name, str(BIN / "python"), "-m", "bridges", **env)

    def read(self, topic: str, **how: Any) -> list[Read]:
        """Return a topic's records; see `read_all`."""
        return read_all(self.kafka.url, topic, **how)

    def produce(self, topic: str, *records: Sent | bytes) -> None:
        """Write records to a topic; see `produce`."""
        produce(self.kafka.url, topic, records)

    def close(self) -> None:
        """End every program, and print what they said: pytest shows it where a test failed."""
        for service in self.services:
            service.process.kill()
            print(f"---- {service.name}\n{service.process.tail(60)}")
