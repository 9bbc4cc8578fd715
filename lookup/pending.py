"""Which jobs wait, by the changelog of the table `pending-jobs`."""

import heapq
from collections.abc import Iterable

from lookup.reading import standing
from lookup.waiting import Wait, WaitingJob, WaitingJobs, Waits
from pipeline.joining import PENDING
from pulseload import topics
from pulseload.partitions import partition_of
from pulseload.settings import Settings


async def waits_of(loaded: Settings) -> list[Wait]:
    """Return which pushes are waited for. Raises Failure where Kafka or its topics fail."""
    changelog = topics.changelog(loaded.pulseload_app_id, PENDING)
    found: list[Wait] = []
    async with standing(loaded, [changelog]) as log:
        # One by one: what is kept of a partition's rows is let go before the next.
        for place in log.places([changelog]):
            waits = Waits()
            await log.visit([place], waits.visit)
            found += waits.found()
    return found


async def jobs_of(loaded: Settings, push: str) -> list[WaitingJob]:
    """Return the jobs that wait for a push. Raises Failure where Kafka or its topics fail."""
    changelog = topics.changelog(loaded.pulseload_app_id, PENDING)
    number = partition_of(push.encode(), loaded.pulseload_partitions)
    async with standing(loaded, [changelog]) as log:
        jobs = WaitingJobs(push)
        await log.visit(log.places([changelog], [number]), jobs.visit)
    return jobs.found()


def oldest(waits: Iterable[Wait], limit: int) -> list[Wait]:
    """Return those that have been waited for the longest, at most so many."""
    return heapq.nsmallest(limit, waits, key=lambda one: (one.since, one.push))
