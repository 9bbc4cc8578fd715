"""Messages as RabbitMQ delivers them: bytes, whatever they are.

kombu would decode a body by its `content_encoding`, unpack it by a header, fail on properties
that are no UTF-8 and hold a body of any size in memory. So the frames of a delivery are put
together here, below kombu; every other frame goes the usual way.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from struct import error as StructError  # noqa: N812 - an exception, whatever its name
from struct import unpack_from
from typing import Any, Final, NamedTuple

from amqp import method_framing
from amqp.exceptions import FrameSyntaxError, UnexpectedFrame
from amqp.serialization import decode_properties_basic

METHOD: Final = 1
HEADER: Final = 2
BODY: Final = 3

Frame = tuple[int, int, bytes]
"""Type, channel and payload of an AMQP frame."""

_DELIVER: Final = b"\x00\x3c\x00\x3c"


class Delivery(NamedTuple):
    """One message. Of a body that is too large, `body` is the beginning and `sha256` is given."""

    tag: int
    redelivered: bool
    exchange: bytes
    routing_key: bytes
    properties: Mapping[str, Any]
    body: bytes
    size: int
    sha256: str | None


def handler(
    deliver: Callable[[Delivery], None], max_bytes: int, kept_bytes: int
) -> Callable[[Any, Callable[..., Any]], Callable[[Frame], bool]]:
    """Return a `frame_handler` for amqp's Connection that gives deliveries to `deliver`.

    Of a body larger than `max_bytes` only the first `kept_bytes` are kept, while the rest
    passes by.
    """

    def frame_handler(connection: Any, callback: Callable[..., Any]) -> Callable[[Frame], bool]:
        others = method_framing.frame_handler(connection, callback)
        open_deliveries: dict[int, _Assembly] = {}

        def on_frame(frame: Frame) -> bool:
            kind, channel, payload = frame
            if kind == METHOD and payload.startswith(_DELIVER):
                if channel in open_deliveries:
                    raise UnexpectedFrame("a delivery inside another")
                open_deliveries[channel] = _Assembly(payload, max_bytes, kept_bytes)
            elif channel not in open_deliveries or kind not in (HEADER, BODY):
                return bool(others(frame))
            elif open_deliveries[channel].add(kind, payload):
                deliver(open_deliveries.pop(channel).delivery())
                connection.bytes_recv += 1
                return True
            # What heartbeats are judged by.
            connection.bytes_recv += 1
            return False

        return on_frame

    return frame_handler


class _Assembly:
    """A delivery of which not all frames have come."""

    def __init__(self, method: bytes, max_bytes: int, kept_bytes: int) -> None:
        self._head = _deliver_arguments(method)
        self._max_bytes = max_bytes
        self._kept_bytes = kept_bytes
        self._properties: dict[str, Any] | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._missing = 0
        self._digest: Any = None

    def add(self, kind: int, payload: bytes) -> bool:
        """Take the next frame; whether it was the last."""
        if kind == HEADER and self._properties is None:
            self._size = self._missing = _body_size(payload)
            self._properties = _properties(payload)
            if self._size > self._max_bytes:
                self._digest = sha256()
        elif kind == BODY and 0 < len(payload) <= self._missing:
            self._missing -= len(payload)
            if self._digest is None:
                self._parts.append(payload)
            else:
                self._digest.update(payload)
                if sum(map(len, self._parts)) < self._kept_bytes:
                    self._parts.append(payload)
        else:
            raise UnexpectedFrame("frames of a delivery that do not fit together")
        return self._missing == 0

    def delivery(self) -> Delivery:
        """Return what has come."""
        body = self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)
        if self._digest is None:
            return Delivery(*self._head, self._properties or {}, body, self._size, None)
        return Delivery(
            *self._head,
            self._properties or {},
            body[: self._kept_bytes],
            self._size,
            self._digest.hexdigest(),
        )


def _deliver_arguments(method: bytes) -> tuple[int, bool, bytes, bytes]:
    """Return tag, whether redelivered, exchange and routing key of a Basic.Deliver."""
    try:
        at = 5 + method[4]
        (tag,) = unpack_from(">Q", method, at)
        redelivered = bool(method[at + 8] & 1)
        exchange_at = at + 10
        exchange_end = exchange_at + method[at + 9]
        key_at = exchange_end + 1
        key_end = key_at + method[exchange_end]
    except (StructError, IndexError) as error:
        raise FrameSyntaxError("a delivery that cannot be read") from error
    if key_end > len(method):
        raise FrameSyntaxError("a delivery that is cut off")
    return tag, redelivered, method[exchange_at:exchange_end], method[key_at:key_end]


def _body_size(header: bytes) -> int:
    try:
        return int(unpack_from(">Q", header, 4)[0])
    except StructError as error:
        raise FrameSyntaxError("a content header that cannot be read") from error


def _properties(header: bytes) -> dict[str, Any]:
    """Return the properties in a content header, none where they cannot be read.

    A message must not be lost, nor stop those behind it, because a property is no UTF-8.
    """
    try:
        properties: dict[str, Any] = decode_properties_basic(header, 12)[0]
    except Exception:  # noqa: BLE001 - whatever py-amqp makes of a stranger's bytes
        return {}
    return properties
