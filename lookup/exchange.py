"""The messages of a Pulse exchange as they come, by a queue of one's own."""

import errno
import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, suppress
from threading import Event
from typing import Any, Final

from amqp.exceptions import AMQPError, ChannelError, NotFound

from bridges.deliveries import Delivery, handler
from bridges.record import KEPT_BYTES
from pulseload import amqp
from pulseload.errors import Failure
from pulseload.topics import INPUT_MAX_BYTES

PREFETCH: Final = 100
"""How many messages RabbitMQ hands out before it waits for acknowledgements."""

KEPT: Final = {"x-max-length": 1_000, "x-max-length-bytes": 64 * 1_048_576}
"""What waits at most in the queue; of more the oldest goes. Pulse Guardian has no cause to act."""

_TURN: Final = 0.3
"""Seconds after which it is looked whether to stop."""


def received(
    url: str, exchange: str, routing_key: str, stop: Event, ready: Callable[[], None]
) -> Generator[Delivery, None, None]:
    """Yield the messages that an exchange gets from now on, until `stop` is set.

    `ready` is called when none is missed any more. Raises Failure where RabbitMQ refuses, or the
    connection breaks.
    """
    arrived: deque[Delivery] = deque()
    frames = handler(arrived.append, INPUT_MAX_BYTES, KEPT_BYTES)
    with amqp.connected(url, frame_handler=frames) as opened:
        # kombu's own would connect again by itself, and the queue would be gone.
        connection = opened.connection
        _require(connection, exchange)
        name = f"queue/{amqp.user(url)}/inspect-{secrets.token_hex(8)}"
        with _queue(connection, name, exchange, routing_key) as channel:
            ready()
            while not stop.is_set():
                _drain(connection)
                while arrived and not stop.is_set():
                    delivery = arrived.popleft()
                    channel.basic_ack(delivery.tag)
                    yield delivery


def _require(connection: Any, exchange: str) -> None:
    try:
        with connection.channel() as channel:
            channel.exchange_declare(exchange, "topic", passive=True)
    except NotFound as error:
        hint = "" if exchange.startswith("exchange/") else "; Pulse's begin with exchange/"
        raise Failure(f"there is no exchange {exchange}{hint}") from error
    except ChannelError as error:
        raise Failure(f"{exchange}: {error.reply_text}") from error


@contextmanager
def _queue(connection: Any, name: str, exchange: str, routing_key: str) -> Iterator[Any]:
    """Have a queue, from which messages come, for as long as the block runs."""
    channel = connection.channel()
    try:
        channel.queue_declare(name, exclusive=True, auto_delete=True, arguments=KEPT)
        channel.queue_bind(name, exchange, routing_key)
        channel.basic_qos(0, PREFETCH, False)
        channel.basic_consume(name)
    except ChannelError as error:
        raise Failure(f"RabbitMQ refuses to read {exchange}: {error.reply_text}") from error
    try:
        yield channel
    finally:
        # It would go with the connection, but a moment later.
        with suppress(AMQPError, OSError):
            channel.queue_delete(name)


def _drain(connection: Any) -> None:
    try:
        connection.drain_events(timeout=_TURN)
    except TimeoutError as error:
        # What the system says of a broken connection is one, too.
        if error.errno == errno.ETIMEDOUT:
            raise
    connection.heartbeat_tick()
