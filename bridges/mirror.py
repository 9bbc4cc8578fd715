"""From a Pulse message to the Kafka record that mirrors it."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

from bridges.deliveries import Delivery
from bridges.record import UNKNOWN_EXCHANGE, Record, dead_letter, too_large
from pulseload import headers
from pulseload.headers import Header
from pulseload.sources import Kind, Source
from pulseload.topics import JOBS_DEAD_LETTER, PUSHES_DEAD_LETTER, mirror

KEY_MAX_BYTES: Final = 255
"""A longer key is not taken from a body: the routing key, which is never longer, serves."""

READ_MAX_BYTES: Final = 65_536
"""A larger body is not read for its key."""

CC_MAX_BYTES: Final = 4_096
"""How much of the CC routing keys goes into a header."""

_PROPERTIES: Final = {
    "message_id": headers.MESSAGE_ID,
    "content_type": headers.CONTENT_TYPE,
    "content_encoding": headers.CONTENT_ENCODING,
    "timestamp": headers.TIMESTAMP,
}
_REDELIVERED: Final[Header] = (headers.REDELIVERED, b"true")


class Mirror:
    """The mirrors of some exchanges."""

    def __init__(self, sources: Iterable[Source]) -> None:
        self._sources = {
            source.exchange.encode(): (
                source.topic,
                source.kind,
                JOBS_DEAD_LETTER if source.kind == "jobs" else PUSHES_DEAD_LETTER,
            )
            for source in sources
        }

    def record(self, delivery: Delivery) -> Record:
        """Return the record that mirrors a message: its body unchanged, its metadata as headers.

        The key keeps what belongs together in order; see `key`. A body that was cut becomes a
        dead letter, and so does a message of an exchange that is no source (a binding of former
        times, or a message that was put into the queue by hand), whole.
        """
        source = self._sources.get(delivery.exchange)
        if source is None:
            exchange = delivery.exchange.decode(errors="replace")
            stray = Record(
                mirror(exchange),
                delivery.routing_key,
                delivery.body,
                _headers(delivery),
                JOBS_DEAD_LETTER,
            )
            if delivery.sha256 is not None:
                return too_large(stray, delivery.size, delivery.sha256)
            return dead_letter(
                stray, UNKNOWN_EXCHANGE, f"the exchange {exchange!r} is no source of this bridge"
            )
        topic, kind, letters = source
        if delivery.sha256 is not None:
            cut = Record(topic, delivery.routing_key, delivery.body, _headers(delivery), letters)
            return too_large(cut, delivery.size, delivery.sha256)
        found = key(kind, delivery.body) or delivery.routing_key
        return Record(topic, found, delivery.body, _headers(delivery), letters)


def key(kind: Kind, body: bytes) -> bytes | None:
    """Return what a body says it belongs to, None where it is not quickly told.

    For jobs that is `<project>:<revision>`, the push; for messages about pushes the repository.
    Of a list the first document counts.
    """
    if len(body) > READ_MAX_BYTES:
        return None
    try:
        document = orjson.loads(body)
    except ValueError:
        return None
    if isinstance(document, list):
        document = document[0] if document else None
    if not isinstance(document, dict):
        return None
    found = (_push if kind == "jobs" else _repository)(document)
    encoded = found.encode() if found else b""
    return encoded if 0 < len(encoded) <= KEY_MAX_BYTES else None


def _push(job: Mapping[str, Any]) -> str | None:
    origin = job.get("origin")
    if not isinstance(origin, dict):
        return None
    project = origin.get("project")
    revision = origin.get("revision") or origin.get("revision_hash")
    if isinstance(project, str) and isinstance(revision, str):
        return f"{project}:{revision}"
    return None


def _repository(message: Mapping[str, Any]) -> str | None:
    payload = message.get("payload")
    if isinstance(payload, dict) and isinstance(payload.get("repo_url"), str):
        url: str = payload["repo_url"]
        return url
    organization, repository = message.get("organization"), message.get("repository")
    if isinstance(organization, str) and isinstance(repository, str):
        return f"{organization}/{repository}"
    return None


def _headers(delivery: Delivery) -> list[Header]:
    """Return what AMQP tells of a message; what it does not tell is left out.

    AMQP itself bounds each value to 255 bytes, but for the CC keys.
    """
    found: list[Header] = [
        (headers.EXCHANGE, delivery.exchange),
        (headers.ROUTING_KEY, delivery.routing_key),
    ]
    if delivery.redelivered:
        found.append(_REDELIVERED)
    properties = delivery.properties
    for name, header in _PROPERTIES.items():
        if name in properties:
            found.append((header, str(properties[name]).encode(errors="replace")))
    table = properties.get("application_headers") or {}
    if copies := _cc(table):
        found.append((headers.CC, copies))
    for name in headers.TRACE:
        text = table.get(name)
        value = text.encode(errors="replace") if isinstance(text, str) else None
        if value is not None and len(value) <= headers.TRACE_MAX_BYTES:
            found.append((name, value))
    return found


def _cc(table: Mapping[Any, Any]) -> bytes | None:
    """Return the further routing keys of a message as a JSON list, as many as there is room for."""
    given = table.get("CC")
    if not isinstance(given, list):
        return None
    kept: list[str] = []
    size = 2
    for one in given:
        if isinstance(one, str):
            size += len(json.dumps(one)) + 2
            if size > CC_MAX_BYTES:
                break
            kept.append(one)
    return json.dumps(kept).encode() if kept else None
