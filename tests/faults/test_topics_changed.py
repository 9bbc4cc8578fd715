"""Topics deleted, widened, truncated and made anew under a running worker.

Nothing may be counted as done that was not: a worker that cannot go on says which topic it is.
"""

import itertools
import re
import time

import pytest
from aiokafka import TopicPartition

from pipeline.joining import PENDING, PUSHES
from pipeline.runtime.batches import FETCH_WAIT_MS
from pulseload import topics
from tests.examples import OTHER_REVISION, REVISION, body, job, push, task_id
from tests.faults.topics import delete, truncate, widen
from tests.system.command import run
from tests.system.harness import Sent, Service, System, create_topics

_ANEW = itertools.count(1)

INBOX = TopicPartition(topics.JOBS_INBOX, 1)
POSITIONS = topics.changelog("pulseload", "join-positions")
PENDING_JOBS = topics.changelog("pulseload", PENDING)


def feed(system: System, numbers: range, revision: str = REVISION) -> None:
    """Write jobs of one push into one partition of the inbox."""
    jobs = [body(job(revision=revision, taskId=task_id(number))) for number in numbers]
    system.produce(INBOX.topic, *(Sent(one, partition=INBOX.partition) for one in jobs))


def joined(system: System, count: int = 0) -> list[str]:
    return [one.json["job"]["taskId"] for one in system.read(topics.JOBS_JOINED, count=count)]


def ids(*numbers: int) -> list[str]:
    return [task_id(number) for number in numbers]


def at_work(system: System) -> Service:
    """Return a worker that has joined five jobs and holds two that wait."""
    worker = system.worker(PULSELOAD_SESSION_TIMEOUT="6")
    worker.wait_for("ready; working")
    system.produce(topics.PUSHES_INBOX, body(push()))
    feed(system, range(5))
    feed(system, range(5, 7), OTHER_REVISION)
    assert joined(system, 5) == ids(*range(5))
    system.read(PENDING_JOBS, count=2)
    return worker


def ended(worker: Service, since: int = 0) -> str:
    """Wait until a worker ends by itself, and return why it says it does."""
    assert worker.wait() == 1
    said = worker.log[since:]
    assert "Traceback" not in said
    (reason,) = re.findall("(?:this worker ends|pulseload): (.*)", said)
    return str(reason)


def started(worker: Service) -> str:
    """Start a worker that cannot work, and return why it says it ends."""
    since = len(worker.log)
    worker.start()
    return ended(worker, since)


def make(system: System, *names: str) -> None:
    """Make topics as `pulseload topics` does, which changes none that is there."""
    done = run(system, "topics")
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in names)


def push_of_those_that_wait(system: System) -> None:
    system.produce(topics.PUSHES_INBOX, body(push(revision=OTHER_REVISION)))


def _another() -> str:
    """Return an app id that no test has used: the brokers are shared by all of them."""
    return f"anew-{next(_ANEW)}"


def start_anew(system: System) -> Service:
    """Do what docs/what-happens-when.md says under "start anew"."""
    delete(system, topics.JOBS_VALID)
    system.env["PULSELOAD_APP_ID"] = _another()
    make(system, topics.JOBS_VALID)
    worker = system.worker("anew")
    worker.wait_for("ready; working")
    return worker


@pytest.mark.faults
def test_an_input_topic_deleted(system: System) -> None:
    worker = at_work(system)
    delete(system, topics.JOBS_INBOX)
    assert topics.JOBS_INBOX in ended(worker)
    assert "jobs.inbox is missing; run `pulseload topics`" in started(worker)
    make(system, topics.JOBS_INBOX)
    assert "was made anew" in started(worker)
    start_anew(system)
    feed(system, range(7, 9))
    assert joined(system, 7) == ids(0, 1, 2, 3, 4, 7, 8)


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(3, marks=pytest.mark.faults),
        pytest.param(7, marks=pytest.mark.faults),
        50,
    ],
    ids=["shorter", "as long", "longer"],
)
def test_an_input_topic_made_anew_under_a_running_worker(system: System, count: int) -> None:
    worker = at_work(system)
    (inbox,) = [one for one in system.settings.topics if one.name == topics.JOBS_INBOX]
    worker.freeze()
    create_topics(system.kafka.url, [inbox])
    feed(system, range(10, 10 + count))
    worker.resume()
    assert topics.JOBS_INBOX in ended(worker)
    assert "was made anew" in started(worker)
    start_anew(system)
    assert joined(system, 5 + count) == ids(*range(5), *range(10, 10 + count))


def test_an_input_topic_made_anew_while_no_worker_runs(system: System) -> None:
    worker = at_work(system)
    assert worker.terminate() == 0
    (inbox,) = [one for one in system.settings.topics if one.name == topics.JOBS_INBOX]
    create_topics(system.kafka.url, [inbox])
    # It is longer than what was read of its predecessor.
    feed(system, range(10, 60))
    assert "was made anew" in started(worker)


def test_records_deleted_before_a_running_worker_read_them_are_told(system: System) -> None:
    worker = at_work(system)
    worker.freeze()
    # A fetch that is with Kafka already would bring the first of them.
    time.sleep(20 * FETCH_WAIT_MS / 1_000)
    feed(system, range(10, 20))
    truncate(system, INBOX, before=14)
    worker.resume()
    assert "jobs.inbox/1 has no offset 7" in ended(worker)
    worker.start()
    worker.wait_for(r"jobs.inbox/1: 7 records were deleted by retention before they were read")
    assert joined(system, 8) == ids(*range(5), *range(17, 20))


@pytest.mark.faults
@pytest.mark.parametrize("name", [topics.JOBS_JOINED, topics.JOBS_DEAD_LETTER, topics.JOBS_VALID])
def test_a_topic_that_is_written_to_deleted(system: System, name: str) -> None:
    worker = at_work(system)
    delete(system, name)
    feed(system, range(10, 13))
    system.produce(INBOX.topic, Sent(b"bad", partition=INBOX.partition))
    feed(system, range(13, 16))
    ended(worker)
    assert f"{name} is missing; run `pulseload topics`" in started(worker)
    make(system, name)
    if name == topics.JOBS_VALID:
        assert "was made anew" in started(worker)
        start_anew(system)
        # All that the inbox holds is worked through again.
        again = ids(*range(5), *range(5), *range(10, 16))
        assert sorted(joined(system, len(again))) == sorted(again)
        return
    worker.start()
    before = [] if name == topics.JOBS_JOINED else ids(*range(5))
    assert joined(system, len(before) + 6) == [*before, *ids(*range(10, 16))]
    (letter,) = system.read(topics.JOBS_DEAD_LETTER, count=1)
    assert letter.value == b"bad"
    push_of_those_that_wait(system)
    everything = [*before, *ids(5, 6, *range(10, 16))]
    assert sorted(joined(system, len(everything))) == sorted(everything)


@pytest.mark.faults
@pytest.mark.parametrize(
    "name",
    [
        POSITIONS,
        PENDING_JOBS,
        topics.changelog("pulseload", PUSHES),
    ],
)
def test_a_changelog_deleted(system: System, name: str) -> None:
    worker = at_work(system)
    delete(system, name)
    feed(system, range(10, 13))
    feed(system, range(13, 16), OTHER_REVISION)
    push_of_those_that_wait(system)
    ended(worker)
    assert f"{name} is missing; run `pulseload topics`" in started(worker)
    make(system, name)
    assert "start anew under another PULSELOAD_APP_ID" in started(worker)


@pytest.mark.parametrize("name", [topics.JOBS_INBOX, topics.JOBS_VALID, topics.JOBS_JOINED])
def test_a_topic_widened(system: System, name: str) -> None:
    worker = at_work(system)
    widen(system, name, partitions=6)
    # Nobody reads the new partitions, and what is in them is not taken for read.
    apart = Sent(body(job(taskId=task_id(20))), partition=5)
    if name == topics.JOBS_INBOX:
        system.produce(name, apart)
    feed(system, range(10, 13))
    assert joined(system, 8) == ids(*range(5), *range(10, 13))
    assert worker.terminate() == 0
    assert f"{name} has 6 partitions, not 4" in started(worker)
    delete(system, topics.JOBS_VALID, topics.PUSHES)
    system.env |= {"PULSELOAD_APP_ID": _another(), "PULSELOAD_PARTITIONS": "6"}
    others = [
        one.name
        for one in system.settings.topics
        if not one.name.endswith("-changelog")
        and one.name not in (name, topics.JOBS_VALID, topics.PUSHES)
    ]
    widen(system, *others, partitions=6)
    make(system, topics.JOBS_VALID)
    system.worker("anew").wait_for("ready; working")
    push_of_those_that_wait(system)
    everything = [*range(7), *range(10, 13), *([20] if name == topics.JOBS_INBOX else [])]
    before = ids(*range(5), *range(10, 13))
    found = joined(system, len(before) + len(everything))
    assert sorted(found) == sorted([*before, *ids(*everything)])
