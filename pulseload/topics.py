"""The Kafka topics: their names, and how each must be configured."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

JOBS_INBOX: Final = "jobs.inbox"
PUSHES_INBOX: Final = "pushes.inbox"
PUSHLOG_CURSORS: Final = "pushlog.cursors"
JOBS_VALID: Final = "jobs.valid"
PUSHES: Final = "pushes"
JOBS_JOINED: Final = "jobs.joined"
JOBS_EXPIRED: Final = "jobs.expired"
JOBS_SUPPRESSED: Final = "jobs.suppressed"
JOBS_DEAD_LETTER: Final = "jobs.dead-letter"
PUSHES_DEAD_LETTER: Final = "pushes.dead-letter"
STATUS: Final = "pulseload-status"
REPLAYED: Final = "pulseload-replayed"

INPUT_MAX_BYTES: Final = 1_048_588
"""`max.message.bytes` of what comes from outside: Kafka's own default."""

INNER_MAX_BYTES: Final = 3 * 1_048_576
"""`max.message.bytes` of what goes from stage to stage: a largest job, its key and its headers."""

OUTER_MAX_BYTES: Final = 8 * 1_048_576
"""`max.message.bytes` of what comes out, and of tables: a largest job with a largest push."""

SEGMENT_BYTES: Final = 64 * 1_048_576
"""`segment.bytes` of compacted topics."""

STATUS_RETENTION_MS: Final = 2 * 3_600_000
"""`retention.ms` of what the processes tell about themselves."""

STATUS_SEGMENT_MS: Final = 600_000
"""`segment.ms` there: only closed segments are deleted."""

DELETE_RETENTION_MS: Final = 24 * 3_600_000
"""`delete.retention.ms` of compacted topics: how long the mark of a deleted row is kept."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic as it must exist: a name, its partition count and its configuration."""

    name: str
    partitions: int
    config: dict[str, str]


def mirror(exchange: str) -> str:
    """Return the topic that mirrors an exchange.

    `exchange/taskcluster-treeherder/v1/jobs` is mirrored in
    `pulse.taskcluster-treeherder.v1.jobs`.
    """
    return "pulse." + exchange.removeprefix("exchange/").replace("/", ".")


def changelog(app_id: str, table: str) -> str:
    """Return the topic that a table's changes are written to."""
    return f"{app_id}-{table}-changelog"


def tables(stages: Iterable[str]) -> list[str]:
    """Return the names of the tables that the named stages keep."""
    names: list[str] = []
    for stage in stages:
        names.append(f"{stage}-positions")
        if stage == "join":
            names += ["pushes", "pending-jobs", "job-states"]
    return names


def required(
    app_id: str, partitions: int, exchanges: Iterable[str], stages: Iterable[str]
) -> list[Topic]:
    """Return every topic that bridges and pipeline need, in a fixed order.

    All have the same number of partitions: a job, its push and their tables meet by partition.
    The broker stamps each record's time (`LogAppendTime`), so that no client's clock decides
    how long a job waits or a record is kept. It also unpacks what a client has compressed: no
    reader needs a library for that, and none meets a record that is small only on the way.
    """
    outside = {
        "message.timestamp.type": "LogAppendTime",
        "compression.type": "uncompressed",
        "cleanup.policy": "delete",
        "max.message.bytes": str(INPUT_MAX_BYTES),
    }
    inner = {**outside, "max.message.bytes": str(INNER_MAX_BYTES)}
    outer = {**outside, "max.message.bytes": str(OUTER_MAX_BYTES)}
    compacted = {
        "cleanup.policy": "compact",
        # Kafka compacts closed segments only; a gigabyte of dead rows would be restored first.
        "segment.bytes": str(SEGMENT_BYTES),
        # How long a local copy of a table may sleep: `pipeline.runtime.store.STALE_SECONDS`.
        "delete.retention.ms": str(DELETE_RETENTION_MS),
    }
    found = [
        Topic(name, partitions, outside)
        for name in [*dict.fromkeys(map(mirror, exchanges)), JOBS_INBOX, PUSHES_INBOX]
    ]
    found.append(Topic(PUSHLOG_CURSORS, partitions, {**outside, **compacted}))
    found.append(Topic(JOBS_VALID, partitions, inner))
    found.append(Topic(PUSHES, partitions, {**inner, **compacted}))
    found += [
        Topic(name, partitions, outer)
        for name in (
            *(JOBS_JOINED, JOBS_EXPIRED, JOBS_SUPPRESSED),
            *(JOBS_DEAD_LETTER, PUSHES_DEAD_LETTER),
        )
    ]
    brief = {
        "retention.ms": str(STATUS_RETENTION_MS),
        "segment.ms": str(STATUS_SEGMENT_MS),
        "segment.bytes": str(SEGMENT_BYTES),
    }
    found.append(Topic(STATUS, partitions, {**outside, **brief}))
    found.append(Topic(REPLAYED, partitions, {**outside, **compacted}))
    found += [
        Topic(changelog(app_id, name), partitions, {**outer, **compacted})
        for name in tables(stages)
    ]
    return found
