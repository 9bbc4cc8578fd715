"""Everything on this machine: Kafka, RabbitMQ, the bridge and a worker, in one home folder."""

import asyncio
import functools
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from local import exchanges, kafka, ports, rabbitmq
from local.kafka import Kafka
from local.process import Process
from local.rabbitmq import RabbitMQ
from pulseload import kafka as topics
from pulseload import settings
from pulseload.settings import Settings

PROGRAM_TIMEOUT: Final = 60
"""Seconds until bridge and worker must be at work; they take 3 on an idle laptop."""

BRIDGE_READY: Final = "taking messages"
WORKER_READY: Final = "ready; working on"
"""What their logs say once they are at work."""

_BIN = Path(sys.executable).parent


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports of a stack, all on 127.0.0.1; `dist` is two in a row."""

    kafka: int
    controller: int
    amqp: int
    management: int
    dist: int

    @classmethod
    def chosen(cls, environ: Mapping[str, str]) -> Self:
        """Return what `KAFKA_PORT` and `AMQP_PORT` make of it; raises Failure."""
        broker = ports.setting("KAFKA_PORT", kafka.PORT, environ, 65_534)
        amqp = ports.setting("AMQP_PORT", rabbitmq.PORT, environ, 45_534)
        return cls(broker, broker + 1, amqp, amqp + 10_000, amqp + 20_000)

    @classmethod
    def free(cls) -> Self:
        """Return ports that nobody has."""
        return cls(*ports.free(6)[:5])


class Stack:
    """The programs of one home, whichever Python process started them.

    `environ` holds the settings; the bridge reads the local RabbitMQ unless they name another.
    `folder` is where a settings file is looked for.
    """

    def __init__(
        self, home: Path, numbers: Ports, environ: Mapping[str, str], folder: Path
    ) -> None:
        self.home = home
        self.ports = numbers
        self.kafka = Kafka(home, numbers.kafka, numbers.controller)
        self.rabbitmq = RabbitMQ(home, numbers.amqp, numbers.management, numbers.dist)
        self.bridge = Process(home, "bridge")
        self.worker = Process(home, "worker")
        self._folder = folder
        self._environ = environ

    @property
    def environment(self) -> dict[str, str]:
        """What the programs are started with; raises Failure where the settings are wrong."""
        found = {
            **self._environ,
            "KAFKA_URL": f"kafka://{self.kafka.url}",
            "PULSELOAD_HOME": str(self.home),
        }
        wanted = settings.load(found, self._folder).pulse_data_ingestion_config
        own = settings.load({}, self.home).pulse_data_ingestion_config
        if wanted in (own, self.rabbitmq.url):
            found["PULSE_DATA_INGESTION_CONFIG"] = self.rabbitmq.url
            found.setdefault("PULSE_BINDINGS_API", self.rabbitmq.management_url)
        return found

    @property
    def settings(self) -> Settings:
        """The settings that the programs see; raises Failure where they are wrong."""
        return settings.load(self.environment, self._folder)

    @property
    def parts(self) -> dict[str, Kafka | RabbitMQ | Process]:
        """What runs, by name, in the order in which it is to be stopped."""
        return {
            "worker": self.worker,
            "bridge": self.bridge,
            "RabbitMQ": self.rabbitmq,
            "Kafka": self.kafka,
        }

    @property
    def logs(self) -> dict[str, Process]:
        """The processes that keep logs, by name."""
        return {
            name: part if isinstance(part, Process) else part.process
            for name, part in self.parts.items()
        }

    @property
    def running(self) -> list[str]:
        """The names of the parts that run."""
        return [name for name, part in self.parts.items() if part.running]

    @property
    def page(self) -> str:
        """The address of the worker's page, by its log."""
        return _address(self.worker, "the page is at")

    @property
    def metrics(self) -> str:
        """The address of the bridge's metrics and health, by its log."""
        return _address(self.bridge, "metrics and health are at")

    def start_brokers(self) -> None:
        """Start both brokers, wait until they answer, and make topics and exchanges."""
        wanted = self.settings
        self.rabbitmq.begin()
        self.kafka.begin()
        self.kafka.wait()
        self.rabbitmq.wait()
        exchanges.declare(self.rabbitmq.url, exchanges.needed(wanted))
        asyncio.run(_create(wanted))

    def start_programs(self) -> None:
        """Start the bridge and the worker, unless they run, and wait until they are at work."""
        programs = (
            (self.bridge, [str(_BIN / "python"), "-m", "bridges"], BRIDGE_READY),
            (self.worker, [str(_BIN / "faust"), "-A", "pipeline", "worker"], WORKER_READY),
        )
        started = []
        for process, argv, ready in programs:
            if not process.running:
                process.start(argv, env=self.environment, cwd=self._folder)
                started.append((process, ready))
        for process, ready in started:
            process.wait_until(functools.partial(process.said, ready), PROGRAM_TIMEOUT)

    def stop(self, *names: str) -> None:
        """Stop the parts so named; nothing of them is left running."""
        for name, part in self.parts.items():
            if name in names:
                part.stop()

    def kill(self) -> None:
        """End all of it at once, where nothing of it is needed again."""
        for part in self.parts.values():
            part.kill()


def _address(process: Process, said: str) -> str:
    text = process.log.read_text(errors="replace") if process.log.exists() else ""
    found = re.findall(rf"{said} (\S+)", text)
    return str(found[-1]) if found else "none: no port is free"


async def _create(configured: Settings) -> None:
    async with topics.admin(configured) as client:
        await topics.create(client, configured.topics, configured.pulseload_replication)
