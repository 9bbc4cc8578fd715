"""The queue on Pulse, its exchanges and its bindings, as RabbitMQ must have them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from amqp.exceptions import ChannelError, NotFound

from bridges import bindings
from pulseload.errors import Failure
from pulseload.settings import Settings

_SHOWN: Final = 10

log = logging.getLogger(__name__)


def name(settings: Settings) -> str:
    """Return the queue's name; Pulse lets a user have no others."""
    return f"queue/{settings.amqp_user}/{settings.pulse_queue}"


def declare(connection: Any, settings: Settings) -> None:
    """Declare exchanges, queue and every binding on an open amqp connection.

    The exchanges must exist, but for the user's own, which are made. Bindings that no source
    calls for are removed where an API tells of them. Raises Failure where RabbitMQ refuses, and
    what amqp raises where the connection breaks.
    """
    _declare_exchanges(connection, settings)
    mine = name(settings)
    wanted = bindings.wanted(settings.pulse_data_ingestion_sources)
    try:
        with _channel(connection, mine) as channel:
            channel.queue_declare(mine, passive=True)
    except NotFound:
        log.warning("made the queue %s: what was published before now does not come", mine)
    with _channel(connection, mine) as channel:
        channel.queue_declare(mine, durable=True, auto_delete=False)
    for binding in wanted:
        with _channel(connection, f"the binding of {mine} to {binding.exchange}") as channel:
            channel.queue_bind(mine, *binding)
    shown = ", ".join(f"{one.exchange} by {one.routing_key}" for one in wanted[:_SHOWN])
    more = f" and {len(wanted) - _SHOWN} more" if wanted[_SHOWN:] else ""
    log.info("%s is bound to %s%s", mine, shown, more)
    if settings.pulse_bindings_api is not None:
        _prune(connection, settings, settings.pulse_bindings_api)


def _declare_exchanges(connection: Any, settings: Settings) -> None:
    unknown = []
    for source in settings.pulse_data_ingestion_sources:
        exchange = source.exchange
        try:
            with _channel(connection, exchange) as channel:
                channel.exchange_declare(exchange, "topic", passive=True)
        except NotFound:
            if exchange.startswith(f"exchange/{settings.amqp_user}/"):
                with _channel(connection, exchange) as channel:
                    channel.exchange_declare(exchange, "topic", durable=True, auto_delete=False)
                log.info("made the exchange %s", exchange)
            else:
                unknown.append(exchange)
    if unknown:
        raise Failure(
            f"unknown exchange {', '.join(unknown)}; mend pulse_data_ingestion_sources, or wait "
            "until its owner has made it"
        )


def _prune(connection: Any, settings: Settings, api: str) -> None:
    mine = name(settings)
    try:
        existing = bindings.existing(api, connection.virtual_host, mine)
    except bindings.UnknownBindings as error:
        log.warning("bindings of former times stay, if there are any: %s", error)
        return
    for binding in bindings.stale(existing, settings.pulse_data_ingestion_sources):
        with _channel(connection, f"to remove the binding of {mine}") as channel:
            channel.queue_unbind(mine, *binding)
        log.info("removed the binding of %s to %s by %s", mine, *binding)


@contextmanager
def _channel(connection: Any, what: str) -> Iterator[Any]:
    """Open a channel, as RabbitMQ closes the one on which it refuses something."""
    try:
        with connection.channel() as channel:
            yield channel
    except NotFound:
        raise
    except ChannelError as error:
        raise Failure(f"RabbitMQ refuses {what}: {error.reply_text}") from error
