"""Nodes of a cluster of three killed and restarted under load: nothing is lost or doubled."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from local.kafka import Kafka
from local.reader import Read
from pulseload import topics
from tests.faults.cluster import Cluster, ClusterSystem
from tests.faults.load import Event, Feeder, check, plan
from tests.faults.supervising import Supervisor
from tests.faults.workers import loaded, restart_if_ended
from tests.system.harness import Service, eventually
from tests.system.pulse import Pulse

pytestmark = pytest.mark.faults


@pytest.fixture
def system(pulse: Pulse, tmp_path: Path) -> Iterator[ClusterSystem]:
    """A cluster of its own for each test, with its topics."""
    cluster = Cluster(tmp_path / "kafka")
    own = ClusterSystem(cluster, pulse, tmp_path)
    try:
        cluster.start()
        yield own.prepare()
    finally:
        own.close()
        cluster.kill()


def joining(system: ClusterSystem, seed: int) -> tuple[Service, Feeder, list[Event]]:
    """Return a worker at work on what a feeder feeds."""
    events = plan(seed=seed, jobs=6_000, pushes=60)
    worker, feeder = loaded(system, events, per_second=120)
    system.read(topics.JOBS_JOINED, count=200)
    return worker, feeder, events


def joined_more(system: ClusterSystem, worker: Service, feeder: Feeder, count: int = 200) -> None:
    """Wait until more is joined, or all is fed: the worker goes on, restarted where it ended."""
    seen = len(system.read(topics.JOBS_JOINED))

    def there(records: list[Read]) -> bool:
        restart_if_ended(worker)
        return len(records) >= seen + count or not feeder.is_alive()

    system.read(topics.JOBS_JOINED, until=there, timeout=120)


def ended(node: Kafka, end: Callable[[], None]) -> None:
    """End a node by `kill` or `stop`, and make sure that it was there until then."""
    before = node.running
    end()
    assert (before, node.running) == (True, False)


def finish(system: ClusterSystem, worker: Service, feeder: Feeder, events: list[Event]) -> None:
    """Feed the rest, and judge what became of it all."""
    feeder.finish()
    with Supervisor(worker):
        check(system, events, timeout=180)
    assert worker.terminate() == 0
    assert "Traceback" not in worker.log
    assert "read up to" not in worker.log


@pytest.mark.parametrize(
    "busy", [topics.JOBS_JOINED, topics.JOBS_INBOX, topics.changelog("pulseload", "pending-jobs")]
)
def test_the_leader_of_busy_partitions_killed(system: ClusterSystem, busy: str) -> None:
    worker, feeder, events = joining(system, seed=21)
    node = system.cluster.nodes[system.cluster.leader(busy)]
    assert feeder.is_alive()
    ended(node, node.kill)
    # Two nodes are enough to go on.
    joined_more(system, worker, feeder)
    node.start()
    joined_more(system, worker, feeder)
    finish(system, worker, feeder, events)


@pytest.mark.parametrize("of_transactions", [False, True], ids=["group", "transactions"])
def test_the_coordinator_killed(system: ClusterSystem, of_transactions: bool) -> None:
    worker, feeder, events = joining(system, seed=22)
    name = "pulseload-join-0" if of_transactions else "pulseload"
    number = system.cluster.coordinator(name, of_transactions=of_transactions)
    node = system.cluster.nodes[number]
    assert feeder.is_alive()
    ended(node, node.kill)
    joined_more(system, worker, feeder)
    eventually(
        lambda: system.cluster.coordinator(name, of_transactions=of_transactions) != number,
        "another coordinates",
    )
    node.start()
    finish(system, worker, feeder, events)


def test_a_rolling_restart_of_all_nodes(system: ClusterSystem) -> None:
    worker, feeder, events = joining(system, seed=23)
    for node in system.cluster.nodes.values():
        assert feeder.is_alive()
        ended(node, node.stop)
        system.cluster.start()
        restart_if_ended(worker)
    finish(system, worker, feeder, events)


def test_two_of_three_nodes_killed_hold_the_work_up_and_lose_nothing(
    system: ClusterSystem,
) -> None:
    worker, feeder, events = joining(system, seed=24)
    assert feeder.is_alive()
    for node in list(system.cluster.nodes.values())[:2]:
        ended(node, node.kill)
    time.sleep(5)
    system.cluster.start()
    joined_more(system, worker, feeder)
    finish(system, worker, feeder, events)
