"""CloudEvents 1.0: the headers that make a record an event, in Kafka's binary content mode.

Source and id together name an event, and name it the same however often it is made. So an id is
where the record stood that the event was made of, which becomes one event and no other; beside it
stands what a topic that is made anew would not repeat, the job's id. What a message brings along
under these names goes no further than the stage that reads it.
"""

from functools import cache
from typing import Final

from pulseload import topics
from pulseload.headers import Header

CE_ID: Final = "ce_id"
CE_SOURCE: Final = "ce_source"
CE_TYPE: Final = "ce_type"
CE_SPECVERSION: Final = "ce_specversion"

SPECVERSION: Final = "1.0"

TYPES: Final = {
    topics.JOBS_JOINED: "pulseload.job.joined",
    topics.JOBS_EXPIRED: "pulseload.job.expired",
    topics.JOBS_SUPPRESSED: "pulseload.job.suppressed",
    topics.JOBS_DEAD_LETTER: "pulseload.job.refused",
    topics.PUSHES_DEAD_LETTER: "pulseload.push.refused",
}
"""By each topic of events, their type."""


def source(stage: str) -> str:
    """Return the source of a stage's events, a relative URI."""
    return f"/pulseload/{stage}"


@cache
def shared(stage: str, topic: str) -> tuple[Header, ...]:
    """Return the headers that all events of a stage in a topic have alike."""
    return (
        (CE_SOURCE, source(stage).encode()),
        (CE_TYPE, TYPES[topic].encode()),
        (CE_SPECVERSION, SPECVERSION.encode()),
    )


def of_job(job_id: bytes, partition: int, offset: int) -> Header:
    """Return the id of what becomes of an update of a job: where it stands in `jobs.valid`."""
    return CE_ID, b"%b@%d-%d" % (job_id, partition, offset)


def of_record(topic: str, partition: int, offset: int, index: int | None = None) -> Header:
    """Return the id of what becomes of a record, or of the item at `index` in its list."""
    place = f"{topic}@{partition}-{offset}"
    return CE_ID, (place if index is None else f"{place}-{index}").encode()
