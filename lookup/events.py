"""What Kafka's records tell of one job: an event for each, by the stage that it stands for."""

from collections import deque
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final, Literal, NamedTuple

from aiokafka import TopicPartition

from pipeline import jobs
from pipeline.bodies import decode
from pipeline.joining import EXPIRED_PUSH
from pipeline.pending import Waiting
from pipeline.refusals import Refusal
from pipeline.runtime.records import Record
from pulseload import headers, topics
from pulseload.headers import EXPIRED_REASON, SUPPRESSED_REASON

Stage = Literal["inbox", "valid", "waiting", "joined", "suppressed", "expired", "dead-letter"]
STAGES: Final[tuple[Stage, ...]] = (
    "inbox",
    "valid",
    "waiting",
    "dead-letter",
    "joined",
    "suppressed",
    "expired",
)

MAX_EVENTS: Final = 500
"""How many events of each stage are kept, the latest of each partition."""


class Event(NamedTuple):
    """One record about a job.

    `time` is ms since 1970, of a job that waits that of its arrival. `reason` and `detail` say why
    it was refused, suppressed or expired, how it ended, or where it came from. `before` is how
    many offsets stand before one that the pipeline has not read yet, None where it has. `waits` is
    whether it waits now.
    """

    stage: Stage
    topic: str
    partition: int
    offset: int
    time: int
    state: str = ""
    push: str = ""
    reason: str = ""
    detail: str = ""
    before: int | None = None
    waits: bool = False

    @property
    def place(self) -> str:
        """Where the record stands."""
        return f"{self.topic}/{self.partition}/{self.offset}"


class Events:
    """The events of one job, taken from the records that it is shown.

    `inboxes` are the topics that jobs come in by, `pending` the changelog of waiting jobs, `read`
    how far the pipeline has read. Those of a partition must come in order.
    """

    def __init__(
        self,
        job_id: str,
        inboxes: Collection[str],
        pending: str,
        read: Mapping[TopicPartition, int],
    ) -> None:
        self._text, self._id = job_id, job_id.encode()
        self._quoted = b'"%b"' % self._id
        # JSON may write a slash as `\/`; the longest part without one is as rare as the whole.
        self._needle = max(self._id.split(b"/"), key=len)
        self._read = read
        self._rows: dict[tuple[int, bytes], Event] = {}
        self._found: dict[Stage, deque[Event]] = {
            stage: deque(maxlen=MAX_EVENTS) for stage in STAGES
        }
        self._visitors: Mapping[str, Callable[[Record], None]] = {
            **dict.fromkeys(inboxes, self._inbox),
            pending: self._row,
            topics.JOBS_VALID: self._valid,
            topics.JOBS_DEAD_LETTER: self._dead_letter,
            topics.JOBS_JOINED: self._joined,
            topics.JOBS_SUPPRESSED: self._suppressed,
            topics.JOBS_EXPIRED: self._expired,
        }

    def visit(self, record: Record) -> None:
        """Take what a record tells."""
        self._visitors[record.topic](record)

    def all(self) -> list[Event]:
        """Return the events in the order of their times."""
        found = [event for events in self._found.values() for event in events]
        found += self._rows.values()
        return sorted(found, key=lambda one: (one.time, STAGES.index(one.stage), one.offset))

    def pushes(self) -> set[str]:
        """Return the pushes that the job names where it came in."""
        return {event.push for event in self._found["inbox"] if event.push}

    def _inbox(self, record: Record) -> None:
        told = dict(record.headers)
        way = [told.get(headers.EXCHANGE), told.get(headers.ROUTING_KEY)]
        again = ["redelivered"] if headers.REDELIVERED in told else []
        detail = " ".join([*(_text(one) for one in way if one), *again])
        for index, job in self._jobs(record.value):
            item = [] if index is None else [f"item {index}"]
            self._add("inbox", record, job, detail=" ".join([*item, detail]).strip())

    def _dead_letter(self, record: Record) -> None:
        told = dict(record.headers)
        for _, job in self._jobs(record.value):
            reason = _text(told.get(headers.ERROR_REASON))
            detail = _text(told.get(headers.ERROR_MESSAGE))
            self._add("dead-letter", record, job, reason=reason, detail=detail)

    def _valid(self, record: Record) -> None:
        told = dict(record.headers)
        if told.get(headers.JOB_ID) == self._id:
            state = _text(told.get(headers.JOB_STATE))
            self._add("valid", record, {"state": state}, push=_text(record.key))

    def _row(self, record: Record) -> None:
        place = record.partition, record.key or b""
        if record.value is None:
            left = self._rows.pop(place, None)
            if left is not None:
                self._found["waiting"].append(left._replace(waits=False))
        elif self._needle in record.value:
            row = Waiting.unpack(record.value)
            if row.job_id == self._id:
                event = self._event("waiting", record, document_of(row.job))
                push = push_of_row(place[1])
                self._rows[place] = event._replace(time=row.since, push=push, waits=True)

    def _joined(self, record: Record) -> None:
        if record.key == self._id:
            document = document_of(record.value)
            found, result = document.get("job"), document.get("result")
            job = found if isinstance(found, dict) else {}
            ended = job.get("state") == "completed" and isinstance(result, str)
            self._add("joined", record, job, reason=str(result) if ended else "")

    def _suppressed(self, record: Record) -> None:
        if record.key == self._id:
            told = dict(record.headers)
            reason = _text(told.get(SUPPRESSED_REASON))
            before = _text(told.get(headers.PREVIOUS_STATE))
            self._add("suppressed", record, document_of(record.value), reason=reason, detail=before)

    def _expired(self, record: Record) -> None:
        if record.key == self._id:
            told = dict(record.headers)
            reason, push = _text(told.get(EXPIRED_REASON)), _text(told.get(EXPIRED_PUSH))
            self._add("expired", record, document_of(record.value), reason=reason, push=push)

    def _jobs(self, body: bytes | None) -> Iterator[tuple[int | None, dict[str, Any]]]:
        """Yield index and document of the job in a body; no document where it cannot be read."""
        if body is None or self._needle not in body:
            return
        items = decode(body)
        if isinstance(items, Refusal):
            if self._quoted in body:
                yield None, {}
            return
        for item in items:
            if isinstance(item.document, Refusal):
                if self._quoted in item.raw:
                    yield item.index, {}
            elif item.document.get("taskId") == self._text:
                yield item.index, item.document

    def _add(
        self,
        stage: Stage,
        record: Record,
        job: Mapping[str, Any],
        *,
        push: str = "",
        reason: str = "",
        detail: str = "",
    ) -> None:
        event = self._event(stage, record, job)
        self._found[stage].append(
            event._replace(push=push or event.push, reason=reason, detail=detail)
        )

    def _event(self, stage: Stage, record: Record, job: Mapping[str, Any]) -> Event:
        before = None
        if stage in ("inbox", "valid"):
            read = self._read[TopicPartition(record.topic, record.partition)]
            before = record.offset - read if record.offset >= read else None
        state = job.get("state")
        return Event(
            stage,
            record.topic,
            record.partition,
            record.offset,
            record.timestamp,
            state if isinstance(state, str) else "",
            push_named(job),
            before=before,
        )


def push_of_row(key: bytes) -> str:
    """Return the push of a row of `pending-jobs`."""
    return _text(key.rpartition(b"\0")[0].replace(b"\xc0\x80", b"\0"))


def push_named(job: object) -> str:
    """Return the push that a job names, valid or not; nothing where it names none."""
    origin = job.get("origin") if isinstance(job, dict) else None
    if not isinstance(origin, dict) or not isinstance(origin.get("project"), str):
        return ""
    named = [origin.get("revision")]
    named += [origin.get("revision_hash")] if origin.get("kind") == "hg.mozilla.org" else []
    if not any(isinstance(one, str) for one in named):
        return ""
    try:
        return jobs.push_of({"origin": origin}).decode()
    except KeyError:
        # What is no valid job may name none.
        return ""


def document_of(value: bytes | None) -> dict[str, Any]:
    """Return the object that a value is; an empty one where it is none."""
    items = decode(value)
    if isinstance(items, Refusal) or isinstance(items[0].document, Refusal):
        return {}
    return items[0].document


def _text(value: bytes | None) -> str:
    return (value or b"").decode(errors="replace")
