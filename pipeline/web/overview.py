"""Whether all is well, from what the processes have told: one verdict, and the figures for it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.web.history import total
from pulseload import status
from pulseload.status import Status

LATE_SECONDS: Final = 60.0
"""How far behind a stage may be until the page calls it late."""

_SAMPLE: Final = re.compile(r"(?P<name>[a-z_]+)\{(?P<labels>.*)\}")
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass(frozen=True, slots=True)
class StageLag:
    """How far one stage is behind: messages, seconds, and the partitions nobody works on."""

    name: str
    messages: int
    seconds: float
    orphaned: Sequence[int]


@dataclass(frozen=True, slots=True)
class Overview:
    """What the front page says.

    `settling` is whether a process has begun and is not at work yet. Times are in seconds; `queue`
    is None where nobody knows.
    """

    problems: Sequence[str]
    settling: bool
    notes: Sequence[str]
    stages: Sequence[StageLag]
    waiting: int
    oldest_waiting: float
    queue: int | None
    dead_letters: Sequence[tuple[str, str, int]]
    suppressed: Sequence[tuple[str, int]]
    expired: Sequence[tuple[str, int]]
    live: Sequence[Status]
    gone: Sequence[Status]


def labelled(samples: Mapping[str, float], name: str) -> Iterable[tuple[dict[str, str], float]]:
    """Yield the labels and value of each sample of a metric."""
    for key, value in samples.items():
        match = _SAMPLE.fullmatch(key)
        if match and match["name"] == name:
            yield dict(_LABEL.findall(match["labels"])), value


def overview(
    told: Iterable[Status],
    now: int,
    *,
    stages: Sequence[str],
    partitions: int,
    silent: float,
    warn_depth: int = 2_000,
    delete_depth: int = 8_000,
) -> Overview:
    """Judge what processes have told by `now` (ms since 1970).

    `silent` is for how many seconds Kafka has not answered this page; what it shows is as old then.
    """
    every = sorted(told, key=lambda one: (one.kind, one.name))
    limit = now - int((status.GONE_SECONDS + silent) * 1_000)
    live = [one for one in every if one.at >= limit and one.state != status.ENDED]
    gone = [one for one in every if one.at < limit and one.state != status.ENDED]
    workers = [one for one in live if one.kind == "worker"]
    lags = [_lag(stage, workers, partitions) for stage in stages]
    problems: list[str] = []
    notes: list[str] = []
    if silent > status.GONE_SECONDS:
        problems.append(f"Kafka has not answered for {span(silent)}: all below is as old")
    if not workers:
        problems.append("No worker is at work: start one with `faust -A pipeline worker`")
    for lag in lags:
        if workers and lag.orphaned:
            numbers = ", ".join(map(str, lag.orphaned))
            text = f"Nobody works on {lag.name}'s partitions {numbers} right now"
            (notes if _between(workers) else problems).append(text)
        if lag.seconds > LATE_SECONDS:
            problems.append(f"{lag.name} is {span(lag.seconds)} behind, {lag.messages:,} messages")
    for one in workers:
        left = one.samples.get("pulseload_restore_rows_left", 0)
        if left:
            notes.append(f"Worker {one.name} is restoring its tables: {left:,.0f} rows left")
        for labels, seconds in labelled(one.samples, "pulseload_held_up_seconds"):
            if seconds > status.STALL_SECONDS:
                problems.append(
                    f"A transaction that somebody left open has held up {labels['topic']}/"
                    f"{labels['partition']} for {span(seconds)}: nothing behind it can be read"
                )
        for labels, seconds in labelled(one.samples, "pulseload_stalled_seconds"):
            if seconds > status.STALL_SECONDS:
                problems.append(
                    f"Worker {one.name} has committed nothing in {labels['stage']} for "
                    f"{span(seconds)}, though there is something to do"
                )
    bridges = [one for one in live if one.kind == "bridge"]
    queue = _queue(bridges)
    if not bridges:
        problems.append("No bridge is running: nothing comes from Pulse (`pulseload bridge`)")
    elif queue is None:
        problems.append("RabbitMQ does not answer the bridge: nobody knows how deep the queue is")
    elif queue > delete_depth:
        problems.append(
            f"{queue:,} messages wait in Pulse's queue: Pulse Guardian deletes it above "
            f"{delete_depth:,}"
        )
    elif queue > warn_depth:
        problems.append(
            f"{queue:,} messages wait in Pulse's queue, more than {warn_depth:,}; Pulse Guardian "
            f"deletes it above {delete_depth:,}"
        )
    notes += [
        f"The {one.kind} {one.name} has been silent for {span((now - one.at) / 1_000)}"
        for one in gone
    ]
    return Overview(
        problems,
        any(one.state != status.WORKING for one in live),
        notes,
        lags,
        int(sum(total(one.samples, "pulseload_jobs_waiting") for one in workers)),
        max(
            (
                seconds
                for one in workers
                for _, seconds in labelled(one.samples, "pulseload_oldest_waiting_seconds")
            ),
            default=0.0,
        ),
        queue,
        [
            (topic, reason, count)
            for (topic, reason), count in _summed(
                every, "pulseload_dead_letters_total", "topic", "reason"
            )
        ],
        [(key[0], n) for key, n in _summed(every, "pulseload_jobs_suppressed_total", "reason")],
        [(key[0], n) for key, n in _summed(every, "pulseload_jobs_expired_total", "reason")],
        live,
        gone,
    )


def span(seconds: float) -> str:
    """Return a time span as a person says it.

    >>> span(7), span(300), span(7260), span(200_000)
    ('7 s', '5 min', '2 h 1 min', '2 d 7 h')
    """
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    if whole < 7_200:
        return f"{whole // 60} min"
    if whole < 172_800:
        return f"{whole // 3_600} h {whole % 3_600 // 60} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


def _lag(stage: str, workers: Iterable[Status], partitions: int) -> StageLag:
    messages, seconds = 0.0, 0.0
    owned: set[int] = set()
    for one in workers:
        for labels, value in labelled(one.samples, "pulseload_lag_messages"):
            if labels["stage"] == stage:
                messages += value
                owned.add(int(labels["partition"]))
        for labels, value in labelled(one.samples, "pulseload_lag_seconds"):
            if labels["stage"] == stage:
                seconds = max(seconds, value)
    return StageLag(stage, int(messages), seconds, sorted(set(range(partitions)) - owned))


def _between(workers: Iterable[Status]) -> bool:
    return any(one.state != status.WORKING for one in workers)


def _queue(bridges: Iterable[Status]) -> int | None:
    for one in bridges:
        known = one.samples.get("pulseload_amqp_queue_messages")
        silent = one.samples.get("pulseload_amqp_silent_seconds", 0.0)
        if known is not None and silent <= status.GONE_SECONDS:
            return int(known)
    return None


def _summed(every: Iterable[Status], name: str, *labels: str) -> list[tuple[tuple[str, ...], int]]:
    counts: dict[tuple[str, ...], float] = {}
    for one in every:
        for found, value in labelled(one.samples, name):
            key = tuple(found.get(label, "") for label in labels)
            counts[key] = counts.get(key, 0.0) + value
    return sorted(((key, int(n)) for key, n in counts.items() if n), key=lambda pair: -pair[1])
