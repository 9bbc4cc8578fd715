"""Updates repeated and out of order, and workers killed: no job's history goes backwards."""

import random
from collections.abc import Callable

import pytest

from pulseload import topics
from tests.faults.copies import check_copies
from tests.faults.lifecycles import Left, Outcome, check, expected, plan, problems
from tests.faults.load import Event, Feeder
from tests.faults.workers import kill_one, restart_if_ended, start, wipe
from tests.system.harness import System

PER_SECOND = 500


def test_the_load_has_something_of_everything() -> None:
    wanted = expected(plan(seed=1, jobs=400, pushes=8))
    reasons = [one.reason for left in wanted.suppressed.values() for one in left]
    assert {reasons.count(word) > 20 for word in ("repeat", "stale", "completed")} == {True}
    assert sum(map(len, wanted.joined.values())) > 1.5 * len(reasons)


def test_a_wrong_outcome_is_seen() -> None:
    events = plan(seed=1, jobs=40, pushes=1)
    ((key, joined),) = expected(events).joined.items()
    changes: list[Callable[[list[Left]], object]] = [
        lambda left: left.pop(),
        lambda left: left.append(left[0]),
        lambda left: left.reverse(),
        lambda left: left.insert(0, Left(left[0].job, "pending", None)),
    ]
    for change in changes:
        found = expected(events)
        change(found.joined[key])
        assert len(problems(expected(events), found)) == 1
    assert problems(expected(events), expected(events)) == []
    assert len(problems(expected(events), Outcome(joined={key: joined}))) == 1


@pytest.mark.parametrize(
    ("names", "kills"),
    [(("one", "two"), 8), pytest.param(("one", "two"), 40, marks=pytest.mark.faults)],
    ids=["8", "40"],
)
def test_each_update_once_and_none_backwards_though_workers_are_killed(
    system: System, names: tuple[str, ...], kills: int
) -> None:
    dice = random.Random(kills)
    events: list[Event] = plan(seed=kills, jobs=kills * 350, pushes=4 * kills)
    services = {name: start(system, name) for name in names}
    feeder = Feeder(system.kafka.url, events, per_second=PER_SECOND)
    feeder.start()
    while feeder.is_alive() and kills:
        kill_one(system, services, dice)
        kills -= 1
    feeder.finish()
    for service in services.values():
        restart_if_ended(service)
    check(system, events)
    assert [service.terminate() for service in services.values()] == [0] * len(names)
    check_copies(system, names)


def test_what_is_fed_once_more_is_suppressed_and_nothing_else_changes(system: System) -> None:
    events = plan(seed=5, jobs=300, pushes=5)
    worker = start(system, "one")
    for _ in range(2):
        feeder = Feeder(system.kafka.url, events, per_second=5_000)
        feeder.start()
        feeder.finish()
    check(system, [*events, *events])
    count = len(system.read(topics.JOBS_JOINED))
    worker.kill()
    wipe(system, "one")
    worker.start()
    feeder = Feeder(system.kafka.url, events, per_second=5_000)
    feeder.start()
    feeder.finish()
    check(system, [*events, *events, *events])
    assert len(system.read(topics.JOBS_JOINED)) == count
    assert worker.terminate() == 0
