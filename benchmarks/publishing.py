"""Messages into RabbitMQ, and queues for them."""

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
