"""The report of `pulseload lag`, for people and for programs."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

from lookup.depth import Depth
from lookup.unread import Unread
from pulseload.settings import STAGES, Settings

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"))
_HEADS: Final = ("stage", "topic", "partition", "committed", "end", "unread", "oldest")


@dataclass(frozen=True, slots=True)
class Report:
    """What is known at a moment, and a line for each thing that is not."""

    time: datetime
    partitions: Sequence[Unread]
    queue: Depth | None
    waiting: int | None
    unknown: Sequence[str]


@dataclass(frozen=True, slots=True)
class Total:
    """A stage's unread messages, and the age of the oldest; None where a part is not known."""

    stage: str
    messages: int | None
    seconds: float | None


def totals(partitions: Iterable[Unread]) -> list[Total]:
    """Return the total of each stage of which anything is known, in the order of the flow."""
    rows = list(partitions)
    found = []
    for stage in STAGES:
        messages = [one.messages for one in rows if one.stage == stage]
        seconds = [one.seconds for one in rows if one.stage == stage]
        if messages:
            found.append(
                Total(
                    stage,
                    None if None in messages else sum(one or 0 for one in messages),
                    None if None in seconds else max(one or 0 for one in seconds),
                )
            )
    return found


def document(report: Report) -> dict[str, Any]:
    """Return a report as JSON says it."""
    return {
        "time": report.time.isoformat(timespec="seconds"),
        "stages": [asdict(one) for one in totals(report.partitions)],
        "partitions": [asdict(one) for one in report.partitions],
        "waiting": report.waiting,
        "queue": report.queue and asdict(report.queue),
        "unknown": list(report.unknown),
    }


def line(report: Report) -> str:
    """Return a report as one line of JSON."""
    return json.dumps(document(report))


def page(report: Report, settings: Settings) -> str:
    """Return a report as lines for a terminal."""
    return "\n".join(_page(report, settings))


def _page(report: Report, settings: Settings) -> Iterator[str]:
    yield f"{report.time:%Y-%m-%d %H:%M:%S}Z"
    if report.partitions:
        rows = [
            (
                *(one.stage, one.topic, str(one.partition), _count(one.committed)),
                *(_count(one.end), _count(one.messages), span(one.seconds)),
            )
            for one in report.partitions
        ]
        rows += [
            (one.stage, "all", "", "", "", _count(one.messages), span(one.seconds))
            for one in totals(report.partitions)
        ]
        yield from _table([_HEADS, *rows])
    if report.waiting is not None:
        yield f"jobs that wait for their push: {report.waiting:,}"
    if report.queue is not None:
        yield _queue(report.queue, settings)
    yield from (f"UNKNOWN  {one}" for one in report.unknown)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        texts = [text.ljust(width) for text, width in zip(row[:2], widths, strict=False)]
        numbers = [text.rjust(width) for text, width in zip(row[2:], widths[2:], strict=True)]
        yield "  ".join([*texts, *numbers])


def _queue(queue: Depth, settings: Settings) -> str:
    mark = "" if queue.state == "ok" else "WARNING  "
    text = f"{mark}{queue.name}: {queue.messages:,} messages"
    text += f" ({queue.ready:,} ready; bridges: {queue.bridges}), {queue.per_second:+,.1f} a second"
    limit = f"{settings.pulse_delete_depth:,}"
    if queue.state == "delete":
        return f"{text}; more than {limit}: Pulse Guardian deletes it"
    if queue.seconds_left is not None:
        return f"{text}; Pulse Guardian deletes it above {limit}, in {span(queue.seconds_left)}"
    return text


def _count(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


def span(seconds: float | None) -> str:
    """Return a time in its two largest units, `-` where it is not known."""
    if seconds is None:
        return "-"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join([*parts, f"{left} s"][:2])
