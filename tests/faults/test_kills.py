"""Workers killed with -9 at any moment: each job ends in exactly one place, in order."""

import random

import pytest

from tests.faults.load import Event, Feeder, check, plan
from tests.faults.workers import kill_one, restart_if_ended, start
from tests.system.harness import System

PER_SECOND = 500


@pytest.mark.parametrize(
    ("names", "kills"),
    [
        (("one", "two"), 8),
        pytest.param(("one",), 50, marks=pytest.mark.faults),
        pytest.param(("one", "two"), 50, marks=pytest.mark.faults),
    ],
    ids=["two-workers-8", "one-worker-50", "two-workers-50"],
)
def test_every_job_once_and_in_order_though_workers_are_killed(
    system: System, names: tuple[str, ...], kills: int
) -> None:
    dice = random.Random(len(names))
    events = plan(seed=len(names), jobs=kills * 2 * PER_SECOND, pushes=10 * kills)
    services = {name: start(system, name) for name in names}
    feeder = Feeder(system.kafka.url, events, per_second=PER_SECOND)
    feeder.start()
    for _ in range(kills):
        kill_one(system, services, dice)
    feeder.finish()
    for service in services.values():
        restart_if_ended(service)
    check(system, events)
    assert [service.terminate() for service in services.values()] == [0] * len(names)
    check_a_fresh_copy(system, events)


def check_a_fresh_copy(system: System, events: list[Event]) -> None:
    """A worker without any local state finds nothing left to do, and does nothing twice."""
    fresh = start(system, "fresh")
    fresh.wait_for("ready; working")
    assert fresh.terminate() == 0
    check(system, events)
