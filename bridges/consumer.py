"""The Pulse side of a bridge: one connection, its deliveries and their acknowledgements."""

import errno
from contextlib import suppress
from struct import error as StructError  # noqa: N812 - an exception, whatever its name
from typing import Any, Final

from amqp.exceptions import AMQPError, ChannelError, ConsumerCancelled

from bridges import queue
from bridges.deliveries import Delivery, handler
from bridges.record import KEPT_BYTES
from pulseload import amqp
from pulseload.errors import Failure
from pulseload.settings import Settings
from pulseload.topics import INPUT_MAX_BYTES

TAKE_MESSAGES: Final = 500
"""How many messages are taken at once."""

TAKE_BYTES: Final = 4 * 1_048_576
"""How many bytes of bodies are enough for once."""

READ_BYTES: Final = 8_192
"""How much is asked of the system at once. More would be copied about for longer, as amqp moves
what is left with each piece that it takes."""

LINGER: Final = 0.001
"""Seconds to wait for one more message before those that came are handed on."""

READ_TIMEOUT: Final = 30
"""Seconds that RabbitMQ may take for an answer while all is declared."""

WRITE_TIMEOUT: Final = 3
"""Seconds that RabbitMQ may take to accept what is written."""

# py-amqp says AttributeError, too, where a connection has gone, and KeyError of a frame that comes
# late, for a channel that is closed.
_ERRORS: Final = (AMQPError, OSError, StructError, AttributeError, LookupError)


class Lost(Exception):  # noqa: N818 - it happens to every connection
    """The connection, or the queue behind it, is gone; the text says why, in one line."""


class LoginRefused(Failure):
    """RabbitMQ does not let the user in, and to try again is no use."""


class Consumer:
    """One connection to Pulse, from its opening to its end.

    Making one connects, declares what `queue.declare` says and begins to consume. It blocks, as
    every method does, and only one call at a time may run. Raises Failure where something must
    be mended, LoginRefused among them. Methods raise Lost, from then on always.
    """

    def __init__(self, settings: Settings) -> None:
        self.full = True
        """Whether there may be more messages than were taken."""
        self._taken: list[Delivery] = []
        self._taken_bytes = 0
        self._lost: Lost | None = None
        # RabbitMQ is to have more to hand out while these are on their way to Kafka.
        self._enough = max(1, min(TAKE_MESSAGES, settings.pulse_prefetch // 2))
        self._amqp = self._connect(settings.pulse_data_ingestion_config)
        try:
            queue.declare(self._amqp, settings)
            self._channel = self._amqp.channel()
            self._channel.basic_qos(0, settings.pulse_prefetch, False)
            self._channel.basic_consume(queue.name(settings))
        except Failure:
            self._amqp.collect()
            raise
        except ChannelError as error:
            self._amqp.collect()
            name = queue.name(settings)
            raise Failure(f"RabbitMQ refuses {name} or its bindings: {error.reply_text}") from error
        except _ERRORS as error:
            self._amqp.collect()
            raise amqp.failure(settings.pulse_data_ingestion_config, error) from error

    def _connect(self, url: str) -> Any:
        connection = amqp.connection(url)
        connection.transport_options |= {
            "frame_handler": handler(self._deliver, INPUT_MAX_BYTES, KEPT_BYTES),
            "read_timeout": READ_TIMEOUT,
            "write_timeout": WRITE_TIMEOUT,
        }
        try:
            # kombu's own `connect` would connect again by itself, now and later.
            connected = connection.transport.establish_connection()
        except _ERRORS as error:
            failure = amqp.failure(url, error)
            if isinstance(error, amqp.LOGIN_ERRORS):
                raise LoginRefused(*failure.args) from error
            raise failure from error
        # amqp asks for what is missing of a frame, nine times a message; it keeps what is too much.
        transport = connected.transport
        receive = transport._quick_recv
        transport._quick_recv = lambda wanted: receive(max(wanted, READ_BYTES))
        return connected

    def _deliver(self, delivery: Delivery) -> None:
        if self._lost is None:
            self._taken.append(delivery)
            self._taken_bytes += len(delivery.body)

    def fileno(self) -> int:
        """Return the number of the connection's file, which is readable when something comes."""
        return int(self._amqp.sock.fileno())

    @property
    def silence(self) -> float:
        """Seconds after which `beat` or `take` must be called."""
        return max(1.0, float(self._amqp.heartbeat) / 3)

    def take(self) -> list[Delivery]:
        """Return the messages that are there, in the order of the queue; wait for none."""
        if self._lost is not None:
            raise self._lost
        self.full = True
        try:
            self._amqp.sock.settimeout(LINGER)
            try:
                while len(self._taken) < self._enough and self._taken_bytes < TAKE_BYTES:
                    self._amqp.drain_events()
            except TimeoutError as error:
                if error.errno == errno.ETIMEDOUT:
                    raise
                self.full = False
            self._amqp.sock.settimeout(None)
            self._amqp.heartbeat_tick()
        except _ERRORS as error:
            lost = self._lose(error)
            # What came before goes to Kafka: of a queue that is deleted it does not come again.
            if not self._taken:
                raise lost from error
        taken, self._taken, self._taken_bytes = self._taken, [], 0
        return taken

    def acknowledge(self, delivery: Delivery) -> None:
        """Tell RabbitMQ that this delivery and all before it are done with."""
        if self._lost is not None:
            raise self._lost
        try:
            self._channel.basic_ack(delivery.tag, multiple=True)
        except _ERRORS as error:
            raise self._lose(error) from error

    def beat(self) -> None:
        """Show RabbitMQ that we live, while nothing is taken."""
        if self._lost is None:
            try:
                self._amqp.send_heartbeat()
            except _ERRORS as error:
                self._lose(error)

    def close(self) -> None:
        """End the connection, in good order where it stands; RabbitMQ then has all that was said.

        What is not acknowledged it will deliver again.
        """
        if self._lost is None:
            self._lost = Lost("the connection is closed")
            with suppress(*_ERRORS):
                self._amqp.close()
        self._amqp.collect()

    def _lose(self, error: Exception) -> Lost:
        match error:
            case ConsumerCancelled():
                text = "the queue was deleted"
            case AMQPError():
                text = f"RabbitMQ ended the connection: {error.reply_text}"
            case _:
                text = f"the connection to RabbitMQ broke: {type(error).__name__}: {error}"
        self._lost = Lost(text)
        return self._lost
