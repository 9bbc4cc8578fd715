"""Workers that come and go under load, and ends and rebalances in the midst of a restore."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from pulseload import topics
from tests.examples import body, push
from tests.faults.load import Event, Feeder, check, plan
from tests.faults.supervising import Supervisor
from tests.faults.workers import start, wipe
from tests.system.harness import Service, System, eventually

pytestmark = pytest.mark.faults

BIG = 50_000
"""How many rows a big state has."""


def tasks(worker: Service) -> list[str]:
    """Return the tasks that a worker has said last that it works on."""
    lines = [line for line in worker.log.splitlines() if "ready; working on " in line]
    found = lines[-1].rpartition("ready; working on ")[2].strip() if lines else "none"
    return [] if found == "none" else found.split(", ")


def parts(seed: int, count: int) -> tuple[list[Event], list[list[Event]]]:
    """Return a load, and the same in so many parts: each is fed while something happens."""
    events = plan(seed=seed, jobs=1_200 * count, pushes=60)
    size = -(-len(events) // count)
    return events, [events[n : n + size] for n in range(0, len(events), size)]


@contextmanager
def fed(system: System, events: list[Event]) -> Iterator[None]:
    """Feed events while the block runs, which begins when the first have been joined."""
    seen = len(system.read(topics.JOBS_JOINED))
    feeder = Feeder(system.kafka.url, events, per_second=200)
    feeder.start()
    system.read(topics.JOBS_JOINED, count=seen + 20)
    assert feeder.is_alive()
    yield
    feeder.finish()


def shared(*workers: Service) -> bool:
    """Whether each task is with one of these workers, and only with one."""
    return sorted(task for worker in workers for task in tasks(worker)) == sorted(
        f"{stage}/{number}" for stage in ("validate", "join") for number in range(4)
    )


def one_of(system: System, name: str) -> Service:
    """Start a worker without an instance id, as one does who only wants more of them."""
    return system.worker(name, PULSELOAD_SESSION_TIMEOUT="6")


def test_from_one_worker_to_three_and_back(system: System) -> None:
    events, (first, second, third) = parts(seed=41, count=3)
    one = one_of(system, "one")
    one.wait_for("ready; working")
    with fed(system, first):
        two, three = one_of(system, "two"), one_of(system, "three")
        for worker in (two, three):
            worker.wait_for("ready; working")
    eventually(lambda: shared(one, two, three) and len(tasks(one)) < 8, "the work is shared")
    with fed(system, second):
        assert two.terminate() == 0
    with fed(system, third):
        assert three.terminate() == 0
    eventually(lambda: shared(one), "one has all of it back")
    check(system, events)
    assert one.terminate() == 0
    assert "Traceback" not in one.log + two.log + three.log


def test_more_workers_than_partitions(system: System) -> None:
    names = ("one", "two", "three", "four", "five", "six")
    workers = [one_of(system, name) for name in names]
    for worker in workers:
        worker.wait_for("ready; working")
    eventually(lambda: shared(*workers), "the work is shared")
    idle = [worker for worker in workers if not tasks(worker)]
    busy = [worker for worker in workers if tasks(worker)]
    assert idle
    assert all("ready; working on none" in worker.log for worker in idle)
    events, (only,) = parts(seed=42, count=1)
    with fed(system, only):
        for worker in busy:
            worker.kill()
    eventually(lambda: shared(*idle), "those that had none have taken over")
    check(system, events)
    assert [worker.terminate() for worker in idle] == [0] * len(idle)


@pytest.mark.parametrize("static", [True, False], ids=["instance-ids", "no-instance-ids"])
def test_a_rolling_restart_of_two_workers(system: System, static: bool) -> None:
    workers = [(start if static else one_of)(system, name) for name in ("one", "two")]
    for worker in workers:
        worker.wait_for("ready; working")
    eventually(lambda: shared(*workers), "the work is shared")
    events, fourths = parts(seed=43, count=4)
    for part, worker in zip(fourths, [*workers, *workers], strict=True):
        times = worker.log.count("ready; working")
        with fed(system, part):
            assert worker.terminate() == 0
            worker.start()
        worker.wait_for("ready; working", times=times + 1)
    check(system, events)
    assert [worker.terminate() for worker in workers] == [0, 0]
    assert "Traceback" not in workers[0].log + workers[1].log


def big_state(system: System, seed: int) -> tuple[Service, list[Event]]:
    """Return a worker that has ended, and whose local copy of a big state is gone."""
    events = plan(seed=seed, jobs=BIG, pushes=50, never=1, invalid=0)
    worker = start(system, "one")
    worker.wait_for("ready; working")
    feeder = Feeder(system.kafka.url, events, per_second=100_000)
    feeder.start()
    feeder.finish()
    check(system, events)
    assert worker.terminate() == 0
    wipe(system, "one")
    return worker, events


def restoring(system: System, worker: Service) -> int:
    """Freeze a worker in the midst of a restore; return how long its log was when it began."""
    began = len(worker.log)
    state = system.folder / "one-state/state/one/join"
    worker.start()
    end = time.monotonic() + 60
    while len(list(state.glob("*/CURRENT"))) < 4:
        assert time.monotonic() < end, "no store has been opened"
        time.sleep(0.002)
    worker.freeze()
    assert "restored" not in worker.log[began:], "the restore was over too soon"
    return began


def all_pushes_come(system: System, events: list[Event]) -> list[Event]:
    """Let every job's push come, and return events with the places that follow."""
    known = {event.key: event for event in events if event.fed is not None}
    announced = [
        Event(
            topics.PUSHES_INBOX,
            key,
            body(push(project="try", revision=key.decode().partition(":")[2])),
        )
        for key in known
    ]
    feeder = Feeder(system.kafka.url, announced, per_second=10_000)
    feeder.start()
    feeder.finish()
    return [
        Event(event.topic, event.key, event.value, event.fed._replace(place="joined"))
        for event in events
        if event.fed is not None
    ]


def test_a_worker_killed_in_the_midst_of_a_restore(system: System) -> None:
    worker, events = big_state(system, seed=44)
    for _ in range(3):
        restoring(system, worker)
        worker.kill()
    worker.start()
    worker.wait_for(r"restored \d+ rows")
    check(system, events)
    check(system, all_pushes_come(system, events))
    assert worker.terminate() == 0
    assert "does not fit" not in worker.log


def group_state(system: System) -> str:
    """Return what Kafka says of the group: Stable, PreparingRebalance, …"""

    async def asked() -> str:
        admin = AIOKafkaAdminClient(bootstrap_servers=system.kafka.url)
        await admin.start()
        try:
            (answer,) = await admin.describe_consumer_groups([system.settings.pulseload_app_id])
            return str(answer.groups[0][2])
        finally:
            await admin.close()

    return asyncio.run(asked())


@pytest.mark.parametrize("long", [False, True], ids=["in-time", "after-its-session"])
def test_a_rebalance_in_the_midst_of_a_restore(system: System, long: bool) -> None:
    worker, events = big_state(system, seed=45)
    began = restoring(system, worker)
    other = start(system, "two")
    if long:
        # All of it goes to the other, that restores it, while the first knows of nothing.
        eventually(lambda: shared(other), "the other has all of it")
    else:
        eventually(lambda: "Rebalance" in group_state(system), "a rebalance begins")
    with Supervisor(worker, other):
        worker.resume()
        eventually(lambda: shared(worker, other) and tasks(worker), "the work is shared", 120)
        check(system, events)
        check(system, all_pushes_come(system, events))
    assert "Traceback" not in worker.log[began:] + other.log
    assert [worker.terminate(), other.terminate()] == [0, 0]
