"""A broker whose clock is set back or forward while jobs wait: none may expire early for it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local import ports
from local.kafka import Kafka
from local.reader import Read
from pipeline import joining
from pipeline.pending import Waiting
from pulseload import headers, topics
from pulseload.topics import Topic
from tests.examples import body, job, task_id
from tests.faults.load import waiting
from tests.system.harness import TIMEOUT, System, create_topics, eventually

AGE = 30
"""How long a job may wait, in seconds: enough to set a clock meanwhile on a busy machine."""
JUMP = 300
PENDING = topics.changelog("pulseload", joining.PENDING)
CLOCK = Topic("clock", 1, {"message.timestamp.type": "LogAppendTime"})

SetClock = Callable[[int], None]


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file that says by how many seconds the broker's clock is wrong."""
    return tmp_path_factory.mktemp("clock") / "shown"


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, shown: Path) -> Iterator[Kafka]:
    """A running Kafka whose clock a file sets; time that only runs on is left as it is."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
    shown.write_text("+0\n")
    port, controller_port = ports.free(2)
    broker = Kafka(tmp_path_factory.mktemp("kafka"), port, controller_port)
    try:
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("LD_PRELOAD", str(library))
            environment.setenv("FAKETIME_TIMESTAMP_FILE", str(shown))
            environment.setenv("FAKETIME_CACHE_DURATION", "1")
            environment.setenv("FAKETIME_DONT_FAKE_MONOTONIC", "1")
            # With it all that Java waits for would end at once, again and again.
            environment.setenv("FAKETIME_FORCE_MONOTONIC_FIX", "0")
            broker.start()
        yield broker
        # Killed, it would leave shared memory behind.
        broker.stop()
    finally:
        broker.kill()


@pytest.fixture
def set_clock(system: System, shown: Path) -> Iterator[SetClock]:
    """Return what makes the broker's clock wrong by some seconds; it is right in the end."""
    create_topics(system.kafka.url, [CLOCK])

    def stamp() -> int:
        system.produce(CLOCK.name, b"")
        return system.read(CLOCK.name)[-1].timestamp

    def set_to(seconds: int) -> None:
        before = stamp()
        wrong = int(shown.read_text())
        new = shown.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.replace(shown)
        jump = (seconds - wrong) * 1_000
        eventually(lambda: abs(stamp() - before - jump) < JUMP * 500, "the broker's clock is set")

    yield set_to
    set_to(0)


def wait(system: System, number: int) -> int:
    """Let a job wait, and return since when, by the broker's clock."""
    system.produce(topics.JOBS_INBOX, body(job(taskId=task_id(number))))

    def of_job(rows: list[Read]) -> list[int]:
        read = [Waiting.unpack(row.value) for row in rows if row.value is not None]
        return [row.since for row in read if row.job_id == task_id(number).encode()]

    (since,) = of_job(system.read(PENDING, until=of_job))
    return since


def left(system: System, number: int, count: int) -> int:
    """Return when a job, the last of so many that did, expired, by the broker's clock."""
    last = system.read(topics.JOBS_EXPIRED, count=count, timeout=2 * TIMEOUT)[-1]
    assert last.key == task_id(number).encode()
    assert last.headers[headers.EXPIRED_REASON] == joining.PUSH_UNKNOWN
    return last.timestamp


def test_set_back_nothing_expires_early(system: System, set_clock: SetClock) -> None:
    worker = system.worker(PENDING_MAX_AGE=f"{AGE}s")
    before = wait(system, 1)
    set_clock(-JUMP)
    behind = wait(system, 2)
    assert behind < before
    # The first came earlier, but by this clock its time has not come.
    assert left(system, 2, count=1) - behind >= AGE * 1_000
    assert waiting(system.read(PENDING)) == [task_id(1)]
    set_clock(0)
    wait(system, 3)
    assert left(system, 1, count=2) - before >= AGE * 1_000
    assert worker.terminate() == 0
    assert waiting(system.read(PENDING)) == [task_id(3)]


def test_set_forward_nothing_expires_early(system: System, set_clock: SetClock) -> None:
    worker = system.worker(PENDING_MAX_AGE=f"{AGE}s")
    before = wait(system, 1)
    set_clock(JUMP)
    ahead = wait(system, 2)
    assert ahead - before > AGE * 1_000
    # The worker's clock, which is right, is the lesser now.
    assert left(system, 1, count=1) - JUMP * 1_000 - before >= AGE * 1_000
    set_clock(0)
    wait(system, 3)
    assert worker.terminate() == 0
    assert waiting(system.read(PENDING)) == [task_id(2), task_id(3)]
