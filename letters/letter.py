"""A letter: one record that was put aside; why, what it was before, and where it goes back to."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from aiokafka.producer.message_accumulator import BatchBuilder

from pipeline.runtime.draft import Output
from pipeline.runtime.records import Record
from pulseload import headers
from pulseload.headers import Header
from pulseload.sources import kind_of
from pulseload.topics import (
    INPUT_MAX_BYTES,
    JOBS_EXPIRED,
    JOBS_INBOX,
    PUSHES_DEAD_LETTER,
    PUSHES_INBOX,
    REPLAYED,
)

_OWN: Final = "pulseload."
_ADDED: Final = (_OWN, "ce_")
"""What the names of all headers begin with that pulseload adds to a letter."""


class Position(NamedTuple):
    """Where a letter stands in its topic; written as `2/17`."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}/{self.offset}"

    @classmethod
    def read(cls, text: str) -> "Position | None":
        """Return the position that a text is, or None where it is none."""
        found = re.fullmatch("([0-9]{1,9})/([0-9]{1,18})", text)
        return cls(int(found[1]), int(found[2])) if found else None


@dataclass(frozen=True, slots=True)
class Letter:
    """One record that was put aside. `timestamp` is when, in milliseconds since 1970."""

    topic: str
    position: Position
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[Header]

    @classmethod
    def of(cls, record: Record) -> "Letter":
        """Return a record as a letter."""
        position = Position(record.partition, record.offset)
        # Kafka has null values of headers.
        given = [(name, value or b"") for name, value in record.headers]
        return cls(record.topic, position, record.timestamp, record.key, record.value, given)

    @property
    def time(self) -> str:
        """When it was put aside, to the millisecond."""
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=self.timestamp)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def word(self) -> str:
        """What happened to it."""
        return "expired" if self.topic == JOBS_EXPIRED else "error"

    @property
    def why(self) -> dict[str, str]:
        """What pulseload's headers tell, by the last part of their names: `reason`, …."""
        prefix = f"{_OWN}{self.word}."
        return {
            name.removeprefix(prefix): value.decode(errors="replace")
            for name, value in self.headers
            if name.startswith(prefix)
        }

    @property
    def reason(self) -> str:
        """The word for programs; empty where a stranger wrote the record."""
        return self.why.get("reason", "")

    @property
    def origin(self) -> str:
        """Where it came from: the record's place, and in a list; of an expired job its push."""
        why = self.why
        if "push" in why:
            return why["push"]
        place = "/".join(why[part] for part in ("topic", "partition", "offset") if part in why)
        return f"{place}[{why['index']}]" if "index" in why else place

    @property
    def job_id(self) -> str | None:
        """The `taskId`, where the value has one."""
        document = self.document
        found = document.get("taskId") if isinstance(document, dict) else None
        return found if isinstance(found, str) else None

    @property
    def document(self) -> Any:
        """The value as JSON, or None where it is none."""
        try:
            return json.loads((self.value or b"").decode())
        except (ValueError, RecursionError):
            return None

    @property
    def inbox(self) -> str:
        """The topic that takes it back.

        The bridge puts what comes of an exchange that is no source among the jobs, whatever it is.
        """
        exchange = dict(self.headers).get(headers.EXCHANGE, b"").decode(errors="replace")
        stray = self.reason == "unknown-exchange" and kind_of(exchange) != "jobs"
        return PUSHES_INBOX if stray or self.topic == PUSHES_DEAD_LETTER else JOBS_INBOX

    @property
    def back(self) -> Output:
        """The record as it came: its key, its bytes, its headers, in the same partition.

        In one partition letters keep the order in which they were put aside.
        """
        given = [header for header in self.headers if not header[0].startswith(_ADDED)]
        return Output(self.inbox, self.position.partition, self.key, self.value, given)

    @property
    def fault(self) -> str | None:
        """Why it cannot be sent again, if so."""
        if self.value is None:
            return "no value"
        if "size" in self.why:
            return "only its beginning was kept"
        # What a batch of this record alone takes is what Kafka holds against the topic's limit.
        alone = BatchBuilder(1, 0, is_transactional=1)
        alone.append(timestamp=None, key=self.key, value=self.value, headers=self.back.headers)
        return f"larger than {self.inbox} takes" if alone.size() > INPUT_MAX_BYTES else None

    @property
    def mark(self) -> Output:
        """What says that it was sent again.

        The time tells it from the letter at the same place of a topic that was made anew.
        """
        return mark(self.topic, self.position, str(self.timestamp).encode())


def mark(topic: str, position: Position, value: bytes | None) -> Output:
    """Return the row about a letter of a topic; without a value it is forgotten."""
    return Output(REPLAYED, position.partition, f"{topic}/{position}".encode(), value, [])


def marked(topic: str, key: bytes | None) -> int | None:
    """Return the offset that a row is about; None where it is about no letter of this topic."""
    found = re.fullmatch(rb"(.+)/[0-9]+/([0-9]+)", key or b"")
    return int(found[2]) if found and found[1] == topic.encode() else None


@dataclass(frozen=True, slots=True)
class Selection:
    """Which letters are meant: those of some reasons (of any, where none is named) and times."""

    reasons: frozenset[str] = frozenset()
    since: int | None = None
    until: int | None = None

    def takes(self, letter: Letter) -> bool:
        """Whether a letter is meant."""
        return (
            (not self.reasons or letter.reason in self.reasons)
            and (self.since is None or letter.timestamp >= self.since)
            and (self.until is None or letter.timestamp < self.until)
        )
