"""What the bridge's tests share: messages exactly as given, and a load of them."""

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import amqp
from amqp.exceptions import AMQPError
from kombu import Connection
from kombu.exceptions import OperationalError

from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from pulseload import headers
from pulseload.errors import Failure
from tests.examples import body
from tests.github_api import GitHubAPI
from tests.system.harness import BIN, Read, Service, System, eventually
from tests.system.pulse import Pulse

GUEST = "exchange/guest/jobs"
TREEHERDER = "exchange/taskcluster-treeherder/v1/jobs"
PUSHES = "exchange/hgpushes/v1"


def send(pulse: Pulse, exchange: str, key: str | bytes, content: bytes, **properties: Any) -> None:
    """Publish bytes and properties exactly as given; return when RabbitMQ has confirmed them."""
    with Connection(pulse.admin_url, transport_options={"confirm_publish": True}) as connection:
        message = amqp.Message(content, delivery_mode=2, **properties)
        connection.default_channel.basic_publish(message, exchange, key)


@contextlib.contextmanager
def at_work(
    kafka: Kafka, rabbitmq: RabbitMQ, folder: Path, exchanges: Iterable[str], **env: str
) -> Iterator[System]:
    """Give a system of these sources whose bridge and worker are at work; both must end well."""
    rabbitmq.start()
    pulse = Pulse(rabbitmq, folder.name)
    system = System(kafka, pulse, folder)
    sources = [{"exchange": name} for name in exchanges]
    system.env.update(env, PULSE_DATA_INGESTION_SOURCES=json.dumps(sources))
    try:
        system.prepare()
        bridge, worker = system.bridge(), system.worker()
        bridge.wait_for("taking messages")
        worker.wait_for("ready; working")
        yield system
        assert [bridge.terminate(), worker.terminate()] == [0, 0]
        assert "Traceback" not in bridge.log + worker.log
    finally:
        system.close()
        rabbitmq.delete_vhost(pulse.vhost)


def started(system: System, name: str = "bridge", **env: str) -> Service:
    """Start a bridge and wait until it is at work."""
    bridge = system.bridge(name, **env)
    bridge.wait_for("taking messages")
    return bridge


def asking(system: System, api: GitHubAPI, name: str = "github") -> Service:
    """Start the bridge that asks GitHub and wait until it is at work."""
    argv = (str(BIN / "pulseload"), "github-pushes")
    bridge = system.program(name, *argv, PULSELOAD_GITHUB_API=api.url)
    bridge.wait_for("asking")
    return bridge


def ended(system: System, bridge: Service) -> None:
    """Ask a bridge to end, and see that it has acknowledged all that it was given."""
    assert bridge.terminate() == 0
    assert "Traceback" not in bridge.log
    with Connection(system.pulse.admin_url) as connection:
        channel = connection.default_channel
        assert channel.queue_declare("queue/tester/jobs", passive=True).message_count == 0


class Load:
    """Publishes numbered messages for as long as the block runs, through every interruption.

    `confirmed` holds the numbers that RabbitMQ has taken responsibility for. Keys and exchanges
    alternate, so that every binding has its share.
    """

    def __init__(self, pulse: Pulse, *exchanges: str) -> None:
        self.confirmed: list[int] = []
        self._pulse = pulse
        self._exchanges = exchanges or (GUEST,)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        self.more(500)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()

    def more(self, count: int) -> None:
        """Wait until so many more messages are confirmed."""
        wanted = len(self.confirmed) + count
        eventually(lambda: len(self.confirmed) >= wanted, f"{wanted} messages published")

    def _run(self) -> None:
        number = 0
        while not self._ended.is_set():
            try:
                with Connection(
                    self._pulse.admin_url,
                    connect_timeout=5,
                    transport_options={"confirm_publish": True, "read_timeout": 10},
                ) as connection:
                    channel = connection.default_channel
                    while not self._ended.is_set():
                        number += 1
                        content = body({"number": number, "pad": "x" * 1_000})
                        message = amqp.Message(content, delivery_mode=2)
                        exchange = self._exchanges[number % len(self._exchanges)]
                        channel.basic_publish(message, exchange, f"try.{number % 20}")
                        self.confirmed.append(number)
                        time.sleep(0.001)  # A load, not a flood: all of it is read at the end.
            except (AMQPError, OperationalError, OSError):
                time.sleep(0.05)


def arrived(system: System, load: Load, topic: str = "pulse.guest.jobs") -> dict[int, list[Read]]:
    """Wait until each message that was confirmed is in Kafka; return what is there, by number."""
    wanted = set(load.confirmed)
    found: dict[int, list[Read]] = {}
    seen = 0

    def all_there(records: list[Read]) -> bool:
        nonlocal seen
        for record in records[seen:]:
            found.setdefault(record.json["number"], []).append(record)
        seen = len(records)
        return wanted <= found.keys()

    with contextlib.suppress(Failure):
        all_there(system.read(topic, until=all_there))
    missing = sorted(wanted - found.keys())
    assert not missing, f"{len(missing)} of {len(wanted)} are missing, such as {missing[:10]}"
    return found


def repeated(found: dict[int, list[Read]]) -> Counter[str]:
    """Count the records that came again, `marked` as delivered again and `unmarked`."""
    counts: Counter[str] = Counter()
    for records in found.values():
        records.sort(key=lambda one: one.offset)
        for again in records[1:]:
            counts["marked" if headers.REDELIVERED in again.headers else "unmarked"] += 1
    return counts
