"""Nothing but what is invalid, as fast as it comes: all of it is told, and what is good goes on."""

import pytest

from pulseload import topics
from tests.examples import body, job, push, task_id
from tests.faults.history import Fed
from tests.faults.load import Event, check
from tests.faults.workers import loaded
from tests.system.harness import System, memory_peak

pytestmark = pytest.mark.faults

PER_SECOND = 2_000
SECONDS = 60
REVISION = "cd" * 20
KEY = f"try:{REVISION}"


def flood() -> list[Event]:
    """Return a minute of invalid jobs, and some good ones behind them."""
    events = [
        Event(topics.PUSHES_INBOX, KEY.encode(), body(push(project="try", revision=REVISION)))
    ]
    for number in range(PER_SECOND * SECONDS + 200):
        document = job(revision=REVISION, taskId=task_id(number))
        good = number >= PER_SECOND * SECONDS
        if not good:
            document["state"] = "exploded"
        fed = Fed(task_id(number), KEY, "joined" if good else "dead-lettered")
        # Over all partitions, so that a list of keys is not what bounds it.
        key = KEY.encode() if good else b"%d" % (number % 97)
        events.append(Event(topics.JOBS_INBOX, key, body(document), fed))
    return events


def test_a_minute_of_invalid_jobs(system: System) -> None:
    events = flood()
    worker, feeder = loaded(system, events, PER_SECOND)
    feeder.finish()
    check(system, events)
    assert memory_peak(worker) < 400
    assert worker.terminate() == 0
    # Each is a record of its own; the log does not grow with them.
    assert len(worker.log) < 100_000
