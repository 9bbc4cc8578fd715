"""Messages into RabbitMQ, and queues for them."""

import threading
import time
from collections.abc import Iterable
from typing import Any, Final

from kombu import Connection, Exchange, Producer, Queue

from benchmarks.programs import TIMEOUT
from pulseload.errors import Failure

EXCHANGE: Final = "exchange/guest/jobs"
ROUTING_KEY: Final = "autoland.staging"

_GLANCE: Final = 0.1


class Publisher:
    """Publishes jobs as kombu does by default, without confirmations, for as long as it lives."""

    def __init__(self, connection: Connection) -> None:
        self._producer = Producer(connection)

    def publish(self, body: bytes) -> None:
        """Publish one job."""
        self._producer.publish(
            body,
            exchange=EXCHANGE,
            routing_key=ROUTING_KEY,
            content_type="application/json",
            content_encoding="utf-8",
            delivery_mode=2,
        )


class Steady(threading.Thread):
    """Publishes jobs, given as (id, body), at a rate; `due` says when each was to be, by its id."""

    def __init__(self, url: str, rate: float, jobs: Iterable[tuple[str, bytes]]) -> None:
        super().__init__(daemon=True)
        self._url = url
        self._rate = rate
        self._jobs = jobs
        self.due: dict[bytes | None, float] = {}

    def run(self) -> None:
        """Publish them all."""
        with Connection(self._url) as connection:
            publisher = Publisher(connection)
            connection.ensure_connection()
            began = time.monotonic()
            for index, (name, body) in enumerate(self._jobs):
                due = began + index / self._rate
                time.sleep(max(0.0, due - time.monotonic()))
                self.due[name.encode()] = due
                publisher.publish(body)


def fill(url: str, queues: Iterable[str], bodies: Iterable[bytes]) -> None:
    """Publish to queues, made where they are not, and return when each holds every body.

    Raises Failure where one holds something before.
    """
    with Connection(url) as connection:
        channel = connection.default_channel
        names = list(queues)
        for name in names:
            exchange = Exchange(EXCHANGE, type="topic", no_declare=True)
            Queue(name, exchange, "#", durable=True)(channel).declare()
            if _depth(channel, name):
                raise Failure(f"{name} is not empty")
        publisher = Publisher(connection)
        count = 0
        for count, body in enumerate(bodies, 1):  # noqa: B007 - the last is how many there are
            publisher.publish(body)
        end = time.monotonic() + TIMEOUT
        while any(_depth(channel, name) < count for name in names):
            if time.monotonic() > end:
                raise Failure(f"{count} messages have not come to {', '.join(names)}")
            time.sleep(_GLANCE)


def _depth(channel: Any, queue: str) -> int:
    return int(channel.queue_declare(queue, passive=True).message_count)
