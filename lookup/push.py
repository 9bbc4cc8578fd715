"""What Kafka keeps about one push."""

from typing import Any, Final, NamedTuple

from lookup.reading import standing
from lookup.saying import ago, counted, moment, since
from lookup.tellings import Tellings
from lookup.waiting import WaitingJob, WaitingJobs
from pipeline.joining import PENDING, PUSHES
from pulseload import topics
from pulseload.partitions import partition_of
from pulseload.settings import Settings

DAY_MS: Final = 86_400_000


class Found(NamedTuple):
    """What there is; `unread` is how many messages about pushes nobody has validated yet."""

    tellings: Tellings
    waiting: list[WaitingJob]
    unread: int
    began: int


async def look(loaded: Settings, key: str, began: int) -> Found:
    """Look for a push by its key, and for jobs that were joined with it since `began` (ms).

    Raises Failure where Kafka or its topics fail.
    """
    table, pending = (topics.changelog(loaded.pulseload_app_id, one) for one in (PUSHES, PENDING))
    sources = loaded.pulse_data_ingestion_sources
    mirrors = dict.fromkeys(one.topic for one in sources if one.kind != "jobs")
    inboxes = [*mirrors, topics.PUSHES_INBOX]
    number = [partition_of(key.encode(), loaded.pulseload_partitions)]
    names = [topics.PUSHES, topics.JOBS_JOINED, table, pending, *inboxes]
    async with standing(loaded, names) as log:
        ((place, read),) = ((tp, log.read[tp]) for tp in log.places([topics.PUSHES], number))
        tellings, waiting = Tellings(key, table, read), WaitingJobs(key)
        await log.visit([place, *log.places([table], number)], tellings.visit)
        await log.visit(log.places([topics.JOBS_JOINED], number), tellings.visit, began)
        await log.visit(log.places([pending], number), waiting.visit)
        return Found(tellings, waiting.found(), log.lag(inboxes), began)


def record_of(tellings: Tellings) -> dict[str, Any] | None:
    """Return the richest record: what the join knows, else the last that it will read."""
    if tellings.known is not None or not tellings.tellings:
        return tellings.known
    last = tellings.tellings[-1]
    return None if last.before is None else last.record


def sentence(key: str, found: Found, now: int) -> str:
    """Return in one sentence what is known of a push."""
    tellings, waiting = found.tellings, found.waiting
    if tellings.known is not None:
        said = f"known: the join has a record of {key}, of {ago(tellings.known_at, now)}"
    elif record_of(tellings) is not None:
        said = (
            f"not read yet: a record of {key} came at {ago(tellings.tellings[-1].time, now)}, with"
            f" {counted(tellings.tellings[-1].before or 0, 'record')} before it to be read by join"
        )
    else:
        said = f"unknown: no source that was read has told of {key}"
        if found.unread:
            said += f"; {counted(found.unread, 'message')} about pushes still to be read"
    if waiting:
        oldest = min(one.since for one in waiting)
        said += f"; {counted(len(waiting), 'job')} waiting since {since(oldest, now)}"
    else:
        said += "; no job waiting"
    joined = counted(tellings.joined_count, "message") + " of jobs"
    return f"{said}; {joined} joined since {moment(found.began)}"
