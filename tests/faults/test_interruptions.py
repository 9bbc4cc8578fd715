"""Workers and brokers interrupted: frozen, rebalanced, restarted, robbed of their state."""

import random
import time

import pytest

from pulseload import topics
from tests.faults.copies import check_copies
from tests.faults.load import Feeder, check, plan
from tests.faults.supervising import Supervisor
from tests.faults.workers import loaded, restart_if_ended, start, wipe
from tests.system.harness import System


def test_a_worker_frozen_beyond_the_session_timeout_does_no_harm(system: System) -> None:
    events = plan(seed=3, jobs=6_000, pushes=60)
    services = [start(system, name) for name in ("one", "two")]
    for service in services:
        service.wait_for("ready; working")
    feeder = Feeder(system.kafka.url, events, per_second=300)
    feeder.start()
    for service in services:
        time.sleep(1)
        service.freeze()
        time.sleep(9)
        service.resume()
        time.sleep(1)
        for other in services:
            restart_if_ended(other)
    feeder.finish()
    for service in services:
        restart_if_ended(service)
    check(system, events)
    assert any("was taken over by another worker" in service.log for service in services)


def test_workers_that_come_before_the_first_commit_lose_nothing(system: System) -> None:
    events = plan(seed=6, jobs=3_000, pushes=30)
    feeder = Feeder(system.kafka.url, events, per_second=3_000)
    feeder.start()
    dice = random.Random(6)
    services = []
    for name in ("one", "two", "three"):
        services.append(system.worker(name))
        time.sleep(dice.uniform(0.5, 1.5))
    feeder.finish()
    check(system, events)
    assert [service.terminate() for service in services] == [0, 0, 0]


@pytest.mark.faults
def test_a_state_folder_deleted_under_a_running_worker_costs_a_restore(system: System) -> None:
    events = plan(seed=4, jobs=14_000, pushes=40)
    service, feeder = loaded(system, events, per_second=500)
    for _ in range(3):
        wipe(system, "one")
        time.sleep(1)
        service.kill()
        service.start()
        time.sleep(1.5)
    wipe(system, "one")
    assert service.wait() == 1
    assert "cannot be written" in service.log
    assert "Traceback" not in service.log
    service.start()
    feeder.finish()
    check(system, events)


def test_a_worker_asked_to_end_while_kafka_is_away(system: System) -> None:
    events = plan(seed=15, jobs=3_000, pushes=40)
    service, feeder = loaded(system, events, per_second=400)
    system.read(topics.JOBS_JOINED, count=300)
    system.kafka.kill()
    assert service.terminate() == 1
    assert "Traceback" not in service.log
    assert "CancelledError" not in service.log
    system.kafka.start()
    service.start()
    feeder.finish()
    check(system, events)


def test_kafka_killed_and_restarted_under_load(system: System) -> None:
    events = plan(seed=5, jobs=6_000, pushes=60)
    service, feeder = loaded(system, events, per_second=400)
    time.sleep(2)
    # A worker that waits for a transaction in vain ends, sooner or later.
    with Supervisor(service):
        system.kafka.kill()
        time.sleep(2)
        system.kafka.start()
        feeder.finish()
        check(system, events)


@pytest.mark.parametrize("times", [2, pytest.param(6, marks=pytest.mark.faults)])
def test_kafka_stopped_and_restarted_under_load(system: System, times: int) -> None:
    # Each stop may make Kafka forget the end of a transaction.
    events = plan(seed=8, jobs=1_500 * times, pushes=15 * times)
    service, feeder = loaded(system, events, per_second=400)
    with Supervisor(service):
        for _ in range(times):
            time.sleep(2)
            system.kafka.stop()
            system.kafka.start()
        feeder.finish()
        check(system, events)
    assert service.terminate() == 0
    check_copies(system, ["one"])


@pytest.mark.faults
def test_kafka_away_for_longer_than_every_timeout(system: System) -> None:
    events = plan(seed=9, jobs=3_000, pushes=30)
    service, feeder = loaded(system, events, per_second=400)
    time.sleep(2)
    # A worker that starts meanwhile ends again, as a supervisor would see it.
    with Supervisor(service, at_most=20):
        system.kafka.kill()
        time.sleep(90)
        system.kafka.start()
        feeder.finish()
        check(system, events, timeout=180)
    assert service.terminate() == 0
    check_copies(system, ["one"])
