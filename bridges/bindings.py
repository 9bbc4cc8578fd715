"""A queue's bindings: those that are wanted, and those that only the server knows of.

AMQP can add and remove bindings, but not list them; an HTTP API can.
"""

import base64
import json
from collections.abc import Iterable
from http.client import HTTPException
from typing import Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

from pulseload.amqp import shown
from pulseload.sources import Source

TIMEOUT: Final = 5.0
"""Seconds that the API has for each step of its answer."""

MAX_BYTES: Final = 8 * 1_048_576
"""A longer answer is not read."""


class Binding(NamedTuple):
    """What brings an exchange's messages with a matching routing key into the queue."""

    exchange: str
    routing_key: str


class UnknownBindings(Exception):  # noqa: N818 - nothing is wrong with the queue
    """The server could not be asked; the text says why, in one line, without a password."""


def wanted(sources: Iterable[Source]) -> list[Binding]:
    """Return the bindings that the sources call for."""
    return [Binding(source.exchange, key) for source in sources for key in source.bindings]


def stale(existing: Iterable[Binding], sources: Iterable[Source]) -> list[Binding]:
    """Return the existing bindings that no source calls for, sorted.

    The default exchange's, which RabbitMQ makes itself and names "", is none of them.
    """
    return sorted({one for one in existing if one.exchange} - set(wanted(sources)))


def existing(api: str, virtual_host: str, queue: str) -> set[Binding]:
    """Ask which bindings a queue has.

    `api` is the URL of Pulse Guardian, which asks for no password, or, with user and password
    in it, of RabbitMQ's management API. Raises UnknownBindings.
    """
    where = urlsplit(api)
    base = f"{where.scheme}://{where.netloc.rpartition('@')[2]}{where.path.rstrip('/')}"
    name = quote(queue, safe="")
    if where.username is None:
        request = Request(f"{base}/queue/{quote(queue)}/bindings")  # noqa: S310 - by the settings
    else:
        request = Request(  # noqa: S310 - http or https, by the settings' schema
            f"{base}/api/queues/{quote(virtual_host, safe='')}/{name}/bindings"
        )
        credentials = f"{unquote(where.username)}:{unquote(where.password or '')}".encode()
        # Unredirected: nobody else is told the password.
        request.add_unredirected_header(
            "Authorization", "Basic " + base64.b64encode(credentials).decode()
        )
    try:
        with urlopen(request, timeout=TIMEOUT) as reply:  # noqa: S310 - as above
            return _bindings(reply.read(MAX_BYTES + 1))
    except (OSError, HTTPException, ValueError, LookupError, TypeError, RecursionError) as error:
        raise UnknownBindings(f"{shown(api)}: {type(error).__name__}: {error}") from error


def _bindings(answer: bytes) -> set[Binding]:
    if len(answer) > MAX_BYTES:
        raise ValueError("the answer is too long")
    found = json.loads(answer)
    rows = found["bindings"] if isinstance(found, dict) else found
    bindings = {Binding(row["source"], row["routing_key"]) for row in rows}
    if not all(isinstance(part, str) for one in bindings for part in one):
        raise ValueError("the answer is of another form")
    return bindings
