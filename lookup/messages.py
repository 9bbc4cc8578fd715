"""Messages of Pulse for people to read: which are wanted, and how they are shown."""

import json
import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from bridges.deliveries import Delivery

_FIELD: Final = re.compile(r"([\w-]+(?:\.[\w-]+)*)=(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Message:
    """A message, and what its body says if that is JSON."""

    received: datetime
    exchange: str
    routing_key: str
    copies: list[str]
    timestamp: int | None
    body: bytes
    size: int
    is_json: bool
    document: Any

    @classmethod
    def of(cls, delivery: Delivery, received: datetime) -> "Message":
        """Read a delivery; no bytes make it raise. A body that was cut counts as text."""
        is_json, document = (False, None) if delivery.sha256 else _decoded(delivery.body)
        table = delivery.properties.get("application_headers") or {}
        copies = table.get("CC")
        return cls(
            received=received,
            exchange=delivery.exchange.decode(errors="replace"),
            routing_key=delivery.routing_key.decode(errors="replace"),
            copies=[str(one) for one in copies] if isinstance(copies, list) else [],
            timestamp=delivery.properties.get("timestamp"),
            body=delivery.body,
            size=delivery.size,
            is_json=is_json,
            document=document,
        )

    @property
    def text(self) -> str:
        """The body as text; bytes that are no UTF-8 are written as escapes."""
        return self.body.decode(errors="backslashreplace")

    @property
    def cut(self) -> bool:
        """Whether only the beginning of the body is there."""
        return len(self.body) < self.size


def _decoded(body: bytes) -> tuple[bool, Any]:
    """Return whether a body is JSON that can be written again, and what it says."""
    try:
        return True, json.loads(body.decode(), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError):
        return False, None


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{text} cannot be written as JSON")
    return number


def wanted(message: Message, conditions: Sequence[str]) -> bool:
    """Return whether a message meets all conditions.

    `key=value` asks for a field of the body, where a dot leads into an object and each item of a
    list counts; anything else for a text in the body or in a routing key.
    """
    return all(_meets(message, condition) for condition in conditions)


def _meets(message: Message, condition: str) -> bool:
    if (field := _FIELD.fullmatch(condition)) is None:
        keys = (message.routing_key, *message.copies)
        return condition.encode(errors="replace") in message.body or any(
            condition in key for key in keys
        )
    if not message.is_json:
        return False
    try:
        found = _values(message.document, field[1].split("."))
        return any(_written(value) == field[2] for value in found)
    except RecursionError:
        return False


def _values(document: Any, path: Sequence[str]) -> Iterator[Any]:
    if isinstance(document, list):
        for item in document:
            yield from _values(item, path)
    elif not path:
        yield document
    elif isinstance(document, dict) and path[0] in document:
        yield from _values(document[path[0]], path[1:])


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def line(message: Message) -> str:
    """Return a message as one line of JSON."""
    shown: dict[str, Any] = {
        "received": message.received.isoformat(timespec="milliseconds"),
        "exchange": message.exchange,
        "routing_key": message.routing_key,
        "cc": message.copies,
        "timestamp": message.timestamp,
        "size": message.size,
        "cut": message.cut,
    }
    if message.is_json:
        try:
            return json.dumps({**shown, "body": message.document})
        except RecursionError:
            pass
    return json.dumps({**shown, "text": message.text})


def page(message: Message) -> str:
    """Return a message as lines for a terminal, which nothing in it can command."""
    size = f"{message.size:,} bytes"
    if message.cut:
        size += f", the first {len(message.body):,} of them"
    head = f"{message.received:%Y-%m-%d %H:%M:%S}Z  {message.routing_key}  {size}"
    also = [f"also {key}" for key in message.copies]
    return "\n".join(map(_harmless, [head, *also, *_body(message).split("\n"), ""]))


def _body(message: Message) -> str:
    if message.is_json:
        try:
            return json.dumps(message.document, indent=2, ensure_ascii=False)
        except RecursionError:
            pass
    return message.text


def _harmless(text: str) -> str:
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else json.dumps(one)[1:-1] for one in text)
