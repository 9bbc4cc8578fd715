"""Trouble on the way between workers and Kafka; the broker itself is well all the time."""

import random
import time
from collections.abc import Callable, Iterator

import pytest

from local.kafka import Kafka
from tests.faults.connections import kafka_behind_a_proxy, supervised
from tests.faults.load import Feeder, check, plan
from tests.faults.proxy import Direction, Proxy
from tests.faults.workers import start
from tests.system.harness import Service, System, eventually

DIRECTIONS: tuple[Direction, Direction] = ("up", "down")


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, Proxy]]:
    with kafka_behind_a_proxy(tmp_path_factory.mktemp("kafka")) as both:
        yield both


@pytest.fixture(scope="module")
def kafka(brokers: tuple[Kafka, Proxy]) -> Kafka:
    return brokers[0]


@pytest.fixture
def way(brokers: tuple[Kafka, Proxy], system: System) -> Iterator[Proxy]:
    """The way that workers go to Kafka, while the tests go straight."""
    proxy = brokers[1]
    system.env["KAFKA_URL"] = f"kafka://{proxy.address}"
    yield proxy
    # What was half-open goes, too.
    proxy.cut()
    proxy.restore()


HALF_OPEN_SECONDS = 600
"""How long a program may take to leave half-open connections: each request times out on its own."""


HALF_OPEN_IDLE_SECONDS = 60
"""The same with nothing in hand, where one time-out is all: twice what it is."""


def run(system: System, seed: int, trouble: Callable[[], None], per_second: float = 400) -> Service:
    """Feed a worker, bring trouble over it meanwhile, and judge what became of all jobs."""
    events = plan(seed=seed, jobs=4_000, pushes=40)
    worker = start(system, "one")
    worker.wait_for("ready; working")
    with supervised(worker):
        feeder = Feeder(system.kafka.url, events, per_second)
        feeder.start()
        time.sleep(1)
        trouble()
        feeder.finish()
        check(system, events, timeout=HALF_OPEN_SECONDS)
    assert "Traceback" not in worker.log
    return worker


@pytest.mark.faults
def test_latency_is_borne(system: System, way: Proxy) -> None:
    worker = run(system, 21, lambda: way.delay(0.05))
    assert way.delayed > 1_000_000
    assert "this worker ends" not in worker.log
    assert worker.terminate() == 0


def test_a_cut_of_some_seconds_under_load(system: System, way: Proxy) -> None:
    before = way.cuts

    def cut() -> None:
        way.cut()
        time.sleep(5)
        way.restore()

    run(system, 22, cut)
    assert way.cuts > before


@pytest.mark.faults
def test_half_open_for_longer_than_the_session_timeout(system: System, way: Proxy) -> None:
    before = way.swallowed

    def half_open() -> None:
        way.half_open()
        time.sleep(12)
        way.restore()

    run(system, 23, half_open)
    assert way.swallowed > before


@pytest.mark.faults
def test_a_worker_that_was_half_open_with_nothing_to_do(system: System, way: Proxy) -> None:
    before = way.swallowed
    worker = start(system, "one")
    worker.wait_for("ready; working")
    with supervised(worker):
        time.sleep(2)
        way.half_open()
        time.sleep(12)
        way.restore()
        events = plan(seed=27, jobs=500, pushes=20)
        feeder = Feeder(system.kafka.url, events, per_second=500)
        feeder.start()
        feeder.finish()
        check(system, events, timeout=HALF_OPEN_IDLE_SECONDS)
    assert way.swallowed > before
    assert "Traceback" not in worker.log


@pytest.mark.faults
def test_another_takes_over_from_a_worker_that_is_half_open(system: System, way: Proxy) -> None:
    before = way.swallowed
    events = plan(seed=24, jobs=6_000, pushes=60)
    cut_off = start(system, "one")
    system.env["KAFKA_URL"] = f"kafka://{system.kafka.url}"
    other = start(system, "two")
    for worker in (cut_off, other):
        worker.wait_for("ready; working")
    with supervised(cut_off, other):
        feeder = Feeder(system.kafka.url, events, per_second=400)
        feeder.start()
        time.sleep(2)
        way.half_open()
        # Nothing gets past the proxy, so it is the other that does all of it.
        feeder.finish()
        check(system, events, timeout=120)
        way.restore()
        # It may end before it comes back, so that `wait_for` would give it up.
        ready = "ready; working"
        eventually(lambda: cut_off.log.count(ready) > 1, "it is back", HALF_OPEN_SECONDS)
        check(system, events)
    assert way.swallowed > before
    assert "Traceback" not in cut_off.log + other.log


def test_connections_reset_in_mid_batch(system: System, way: Proxy) -> None:
    dice = random.Random(25)
    struck = dict.fromkeys(DIRECTIONS, 0)

    def reset() -> None:
        # Where a reset falls is chance: enough of them, for some among the records of a batch.
        for _ in range(15):
            for direction in DIRECTIONS:
                before = way.resets
                way.reset_after(dice.randrange(100_000), direction)
                eventually(lambda: way.resets > before, "a reset")  # noqa: B023 - called now
                struck[direction] += b'"taskId"' in way.withheld
            if min(struck.values()) == 3:
                break

    run(system, 25, reset)
    assert min(struck.values()) == 3, struck


@pytest.mark.faults
def test_a_slow_drip_for_some_seconds(system: System, way: Proxy) -> None:
    before = way.dripped

    def drip() -> None:
        way.drip(20_000)
        time.sleep(15)
        way.restore()

    run(system, 26, drip)
    assert way.dripped > before
