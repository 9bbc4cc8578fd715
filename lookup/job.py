"""All that Kafka keeps about one job."""

import time
from typing import NamedTuple

from lookup.answers import Answer, Moment, answer
from lookup.events import Event, Events
from lookup.reading import standing
from pipeline.joining import PENDING
from pulseload import topics
from pulseload.partitions import partition_of
from pulseload.settings import Settings


class Found(NamedTuple):
    """What there is, the inboxes that were looked through, and how many records were."""

    answer: Answer
    events: list[Event]
    inboxes: list[str]
    records: int


async def look(loaded: Settings, job_id: str, since: int | None) -> Found:
    """Look for a job in what came from `since` on (ms since 1970), or in all that is kept.

    What waits is looked at anyway. Raises Failure where Kafka or its topics fail.
    """
    sources = loaded.pulse_data_ingestion_sources
    mirrors = dict.fromkeys(one.topic for one in sources if one.kind == "jobs")
    inboxes = [*mirrors, topics.JOBS_INBOX]
    pending = topics.changelog(loaded.pulseload_app_id, PENDING)
    out = [topics.JOBS_VALID, topics.JOBS_JOINED, topics.JOBS_SUPPRESSED, topics.JOBS_EXPIRED]
    names = [*inboxes, topics.JOBS_DEAD_LETTER, *out, pending]
    async with standing(loaded, names) as log:
        events = Events(job_id, inboxes, pending, log.read)
        await log.visit(log.places([*inboxes, topics.JOBS_DEAD_LETTER]), events.visit, since)
        # Behind the inboxes all that is about a job lies in the partition of its push.
        numbers = {
            partition_of(push.encode(), loaded.pulseload_partitions) for push in events.pushes()
        }
        await log.visit(log.places(out, numbers), events.visit, since)
        # A job that waits may have come long ago, and may have named another push then.
        await log.visit(log.places([pending], numbers if since is None else ()), events.visit)
        all_events = events.all()
        at = Moment(int(time.time() * 1_000), loaded.pending_max_age * 1_000, log.workers)
        found = answer(all_events, at)
        if since is not None and found.word == "out-of-sight":
            # What came of it may be older than what was looked at.
            said = "out of sight: nothing came of it since then; leave the time out to look at all"
            found = found._replace(sentence=said)
        return Found(found, all_events, inboxes, log.records)
