"""A record on its way to Kafka, and what becomes of one that is too large."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final, NamedTuple

from pulseload import events, headers
from pulseload.headers import Header

STAGE: Final = "bridge"
"""What the dead letters from here name as their stage."""

TOO_LARGE: Final = "too-large"
UNKNOWN_EXCHANGE: Final = "unknown-exchange"

MEANINGS: Final = {
    TOO_LARGE: "The body is more than Kafka takes: the value is its beginning.",
    UNKNOWN_EXCHANGE: "The message is from an exchange that is no source any more.",
}
"""What each reason of the bridge means."""

KEPT_BYTES: Final = 4_096
"""How much of a body that is too large its dead letter keeps."""


class Record(NamedTuple):
    """A record to be written, and the topic of its dead letter, should it be refused."""

    topic: str
    key: bytes
    value: bytes
    headers: Sequence[Header]
    dead_letter: str


def dead_letter(record: Record, reason: str, message: str, digest: str | None = None) -> Record:
    """Return a record as the dead letter of itself: same key and value, and headers with why.

    `digest` is the whole value's SHA-256, where the record holds only the beginning.
    """
    why = [
        (headers.ERROR_REASON, reason.encode()),
        (headers.ERROR_MESSAGE, message.encode()),
        (headers.ERROR_STAGE, STAGE.encode()),
        (headers.ERROR_TOPIC, record.topic.encode()),
        _event(record, digest or sha256(record.value).hexdigest()),
        *events.shared(STAGE, record.dead_letter),
    ]
    return record._replace(topic=record.dead_letter, headers=[*record.headers, *why])


def too_large(record: Record, size: int | None = None, digest: str | None = None) -> Record:
    """Return the dead letter of a record whose value is more than Kafka takes.

    It holds the value's first bytes; its headers tell the whole value's size in bytes and
    SHA-256. Where the record holds only the beginning, both are given.
    """
    size = len(record.value) if size is None else size
    digest = digest or sha256(record.value).hexdigest()
    letter = dead_letter(
        record._replace(value=record.value[:KEPT_BYTES]),
        TOO_LARGE,
        f"a body of {size} bytes is more than Kafka takes; "
        f"this is its beginning, of SHA-256 {digest}",
        digest,
    )
    known = [
        (headers.ERROR_SIZE, str(size).encode()),
        (headers.ERROR_SHA256, digest.encode()),
    ]
    return letter._replace(headers=[*letter.headers, *known])


def _event(record: Record, digest: str) -> Header:
    """Return the id of a message that is refused; one that is delivered again has the same."""
    told = [
        name.encode() + b"\0" + text for name, text in record.headers if name != headers.REDELIVERED
    ]
    whole = sha256(b"\0".join([*told, digest.encode()])).hexdigest()
    return events.CE_ID, f"{record.topic}@{whole}".encode()
