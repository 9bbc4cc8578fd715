"""Workers that end at each step of the protocol: whatever Kafka and the copy hold then is right."""

import signal

import pytest

from pipeline.runtime.steps import Step
from pulseload import topics
from tests.examples import body, job, push, task_id
from tests.faults.copies import check_copies
from tests.faults.history import Fed
from tests.faults.load import Event, Feeder, check, plan
from tests.faults.workers import crash, start, wipe
from tests.system.harness import Sent, System, produce

STAGES = ("validate", "join")
LIST = 1_000
"""How many jobs come in one body: a few such bodies are more than one transaction takes."""


def go_on(system: System, events: list[Event]) -> None:
    """Let an ordinary worker do the rest, and judge everything."""
    worker = start(system, "one")
    check(system, events)
    assert worker.terminate() == 0
    check_copies(system, ["one"])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize(
    ("step", "later"),
    [
        (Step.SENT, 0),
        (Step.COMMITTED, 0),
        pytest.param(Step.DRAFTED, 0, marks=pytest.mark.faults),
        # The request to commit is on its way, or Kafka is at it, or its answer.
        pytest.param(Step.SENT, 1, marks=pytest.mark.faults),
        pytest.param(Step.SENT, 4, marks=pytest.mark.faults),
        pytest.param(Step.WRITTEN, 0, marks=pytest.mark.faults),
    ],
    ids=str,
)
def test_a_worker_that_ends_in_a_transaction(
    system: System, stage: str, step: Step, later: int
) -> None:
    events = plan(seed=later, jobs=1_200, pushes=20)
    crashing = crash(system, stage, step, 3, later)
    feeder = Feeder(system.kafka.url, events, per_second=1_000)
    feeder.start()
    assert crashing.wait() == -signal.SIGKILL
    feeder.finish()
    go_on(system, events)


def backlog(jobs: int) -> list[Event]:
    """Return jobs of one push, and after them the push: all on one partition."""
    revision = "ab" * 20
    key = f"try:{revision}"
    events = []
    for number in range(jobs):
        value = body(job(revision=revision, taskId=task_id(number)))
        fed = Fed(task_id(number), key, "joined")
        events.append(Event(topics.JOBS_INBOX, key.encode(), value, fed))
    record = body(push(project="try", revision=revision))
    return [*events, Event(topics.PUSHES_INBOX, key.encode(), record)]


def feed(system: System, events: list[Event]) -> None:
    """Write events, in order for each topic."""
    for topic in dict.fromkeys(event.topic for event in events):
        records = [Sent(event.value, event.key) for event in events if event.topic == topic]
        produce(system.kafka.url, topic, records)


@pytest.mark.faults
def test_a_worker_that_ends_in_the_middle_of_a_long_release(system: System) -> None:
    events = backlog(20_000)
    feed(system, events[:-1])
    worker = start(system, "one")
    worker.wait_for("ready; working")
    system.read(topics.changelog("pulseload", "pending-jobs"), count=20_000)
    assert worker.terminate() == 0
    feed(system, events[-1:])
    # What is done in several transactions here is the release alone.
    assert crash(system, "join", Step.CONTINUED, 3).wait() == -signal.SIGKILL
    go_on(system, events)


def test_a_worker_that_ends_in_the_middle_of_a_large_batch(system: System) -> None:
    events = backlog(12_000)
    jobs = [event.value for event in events[:-1]]
    lists = [b"[%b]" % b",".join(jobs[at : at + LIST]) for at in range(0, len(jobs), LIST)]
    produce(system.kafka.url, topics.JOBS_INBOX, [Sent(value, events[0].key) for value in lists])
    feed(system, events[-1:])
    assert crash(system, "validate", Step.CONTINUED, 1).wait() == -signal.SIGKILL
    go_on(system, events)


@pytest.mark.parametrize(
    "stage", ["join", pytest.param("validate", marks=pytest.mark.faults)], ids=str
)
def test_a_worker_that_ends_in_the_middle_of_a_restore(system: System, stage: str) -> None:
    events = plan(seed=7, jobs=6_000, pushes=60)
    late = [event for event in events if event.topic == topics.PUSHES_INBOX]
    feed(system, [event for event in events if event.fed is not None])
    worker = start(system, "one")
    worker.wait_for("ready; working")
    system.read(topics.changelog("pulseload", "pending-jobs"), count=5_900)
    assert worker.terminate() == 0
    wipe(system, "one")
    # Each table's partition comes in a part of its own.
    assert crash(system, stage, Step.RESTORED, 3).wait() == -signal.SIGKILL
    feed(system, late)
    go_on(system, events)
