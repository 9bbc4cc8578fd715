"""`pulseload inspect`."""

import errno
import secrets
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from typing import Any, Final

import click
from amqp.exceptions import AMQPError, ChannelError, NotFound

from bridges.deliveries import Delivery, handler
from bridges.record import KEPT_BYTES
from commands.messages import Message, line, page, wanted
from commands.stopping import stop_noted, stoppable
from pulseload import amqp, settings
from pulseload.errors import Failure
from pulseload.topics import INPUT_MAX_BYTES

PREFETCH: Final = 100
"""How many messages RabbitMQ hands out before it waits for acknowledgements."""

KEPT: Final = {"x-max-length": 1_000, "x-max-length-bytes": 64 * 1_048_576}
"""What waits at most in the queue; of more the oldest goes. Pulse Guardian has no cause to act."""

_TURN: Final = 0.3
"""Seconds after which it is looked whether to stop."""

_NAME_MAX_BYTES: Final = 255


@click.command("inspect")
@click.argument("exchange")
@click.argument("routing_key", default="#")
@click.option("--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option(
    "--match",
    "conditions",
    metavar="TEXT|KEY=VALUE",
    multiple=True,
    help="Show only messages with this text, or with this value of a field of the body; "
    "given several times, all must hold.",
)
@click.option("--json", "as_json", is_flag=True, help="Show each message as one line of JSON.")
def inspect(
    exchange: str,
    routing_key: str,
    count: int | None,
    conditions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the messages of a Pulse exchange as they come, until it is stopped.

    ROUTING_KEY chooses among them; `*` stands for a word in it, `#` (the default) for any number of
    words. They are read by a queue of one's own that is gone at the end: the bridge's queue is left
    alone, and what was published before does not come.

    \b
    Examples:
      pulseload inspect exchange/taskcluster-treeherder/v1/jobs
      pulseload inspect exchange/taskcluster-treeherder/v1/jobs 'tc-treeherder.try.#' --count 1
      pulseload inspect exchange/hgpushes/v1 --match integration/autoland
      pulseload inspect exchange/taskcluster-treeherder/v1/jobs \\
        --match origin.project=autoland --match state=completed --json | jq .body.taskId
    """  # noqa: D301 - click's mark for text that keeps its lines
    for name, text in (("EXCHANGE", exchange), ("ROUTING_KEY", routing_key)):
        if len(text.encode(errors="replace")) > _NAME_MAX_BYTES:
            raise click.BadParameter("longer than 255 bytes", param_hint=name)
    url = settings.load().pulse_data_ingestion_config

    def ready() -> None:
        click.echo(f"listening to {exchange} by {routing_key!r}; Ctrl-C ends it", err=True)

    shown = others = 0
    with stoppable(), closing(received(url, exchange, routing_key, ready)) as deliveries:
        for delivery in deliveries:
            message = Message.of(delivery, datetime.now(UTC))
            if not wanted(message, conditions):
                others += 1
                continue
            click.echo(line(message) if as_json else page(message))
            shown += 1
            if shown == count:
                break
    click.echo(f"shown: {shown}, others: {others}", err=True)


def received(
    url: str, exchange: str, routing_key: str, ready: Callable[[], None]
) -> Generator[Delivery, None, None]:
    """Yield the messages that an exchange gets from now on, until the process is asked to stop.

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
        with stop_noted() as stop, _queue(connection, name, exchange, routing_key) as channel:
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
