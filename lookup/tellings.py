"""What Kafka's records tell of one push: who told of it, what is known in all, who was joined."""

from collections import deque
from typing import Any, Final, NamedTuple

from lookup.events import document_of, push_named
from pipeline.runtime.records import Record
from pulseload import headers, topics

MAX_KEPT: Final = 10
"""How many records, and how many joined jobs, are kept: the latest."""


class Telling(NamedTuple):
    """One record of the topic `pushes`: where it came from, when (ms), and what it knows.

    `before` is how many offsets stand before one that the join has not read yet, None where it
    has.
    """

    source: str
    time: int
    partition: int
    offset: int
    record: dict[str, Any]
    before: int | None


class Joined(NamedTuple):
    """One job that was joined with it."""

    job: str
    state: str
    result: str
    time: int
    partition: int
    offset: int


class Tellings:
    """What there is of one push, in records of its partition that are shown in order.

    `known` is all that is known of it, `tellings` and `joined` are the latest of each, and
    `joined_count` how many were joined.
    """

    def __init__(self, push: str, table: str, read: int) -> None:
        self._key = push.encode()
        self._needle = push.partition(":")[2].encode()
        self._table = table
        self._read = read
        self.known: dict[str, Any] | None = None
        self.known_at = 0
        self.joined_count = 0
        self.tellings: deque[Telling] = deque(maxlen=MAX_KEPT)
        self.joined: deque[Joined] = deque(maxlen=MAX_KEPT)

    def visit(self, record: Record) -> None:
        """Take what a record tells."""
        if record.topic == topics.JOBS_JOINED:
            self._join(record)
        elif record.key == self._key:
            # Without a value, it was forgotten.
            document = document_of(record.value) or None
            if record.topic == self._table:
                self.known, self.known_at = document, record.timestamp
            elif document is not None:
                self._tell(record, document)

    def _tell(self, record: Record, document: dict[str, Any]) -> None:
        # What has no exchange of Pulse was written to the inbox, by the pushlog bridge or others.
        exchange = dict(record.headers).get(headers.EXCHANGE) or topics.PUSHES_INBOX.encode()
        self.tellings.append(
            Telling(
                exchange.decode(errors="replace"),
                record.timestamp,
                record.partition,
                record.offset,
                document,
                record.offset - self._read if record.offset >= self._read else None,
            )
        )

    def _join(self, record: Record) -> None:
        if self._needle not in (record.value or b""):
            return
        document = document_of(record.value)
        job = document.get("job")
        if not isinstance(job, dict) or push_named(job).encode() != self._key:
            return
        self.joined_count += 1
        self.joined.append(
            Joined(
                (record.key or b"").decode(errors="replace"),
                str(job.get("state", "")),
                str(document.get("result", "")),
                record.timestamp,
                record.partition,
                record.offset,
            )
        )
