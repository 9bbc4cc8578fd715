"""The bridge on real brokers that restart, break and refuse."""

import json
import re
import signal
from collections.abc import Callable

import pytest
from kombu import Connection

from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from pulseload import topics
from pulseload.topics import Topic
from tests.system.bridging import (
    GUEST,
    PUSHES,
    TREEHERDER,
    Load,
    arrived,
    ended,
    repeated,
    send,
    started,
)
from tests.system.command import run
from tests.system.harness import System, create_topics

STOP_OR_KILL = pytest.mark.parametrize(
    "how", [pytest.param("stop", marks=pytest.mark.faults), "kill"]
)


def interrupt(broker: Kafka | RabbitMQ, how: str) -> None:
    stop: Callable[[], None] = getattr(broker, how)
    stop()
    assert not broker.running
    broker.start()


@STOP_OR_KILL
def test_rabbitmq_restarts_under_load(system: System, how: str) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        interrupt(system.pulse.broker, how)
        bridge.wait_for("taking messages", times=2)
        load.more(500)
    found = arrived(system, load)
    if how == "stop":
        # A killed RabbitMQ has forgotten what it delivered.
        assert repeated(found)["unmarked"] == 0
    ended(system, bridge)


@STOP_OR_KILL
def test_kafka_restarts_under_load(system: System, how: str) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        interrupt(system.kafka, how)
        load.more(500)
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)


def test_kafka_is_away_for_a_while(system: System) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        system.kafka.kill()
        bridge.wait_for("Kafka is silent")
        load.more(1_000)
        assert bridge.running
        system.kafka.start()
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)


def test_kafka_freezes(system: System) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        system.kafka.process.signal(signal.SIGSTOP)
        bridge.wait_for("Kafka is silent")
        system.kafka.process.signal(signal.SIGCONT)
        load.more(500)
    assert repeated(arrived(system, load)) == {}
    ended(system, bridge)


def test_the_bridge_is_killed_under_load(system: System) -> None:
    started(system, "declaring").kill()
    with Load(system.pulse) as load:
        for number in range(6):
            bridge = started(system, f"bridge-{number}")
            load.more(300)
            bridge.kill()
        last = started(system, "last")
    found = arrived(system, load)
    assert repeated(found)["unmarked"] == 0
    ended(system, last)


def test_the_bridge_is_stopped_under_load(system: System) -> None:
    ended(system, started(system, "declaring"))
    with Load(system.pulse) as load:
        for number, sign in enumerate((signal.SIGTERM, signal.SIGINT) * 2):
            bridge = started(system, f"bridge-{number}")
            load.more(500)
            bridge.process.signal(sign)
            assert bridge.wait() == 0
            assert "Traceback" not in bridge.log
        started(system, "last")
    # What was in hand had been confirmed and acknowledged: nothing comes twice.
    assert repeated(arrived(system, load)) == {}


@pytest.mark.faults
def test_the_bridge_is_stopped_while_kafka_is_away(system: System) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        system.kafka.kill()
        bridge.wait_for("Kafka is silent")
        assert bridge.terminate() == 0
        assert "Traceback" not in bridge.log
        system.kafka.start()
        started(system, "again")
    assert repeated(arrived(system, load))["unmarked"] == 0


def test_a_dead_letter_that_kafka_refuses_is_waited_for(system: System) -> None:
    letters = Topic(topics.JOBS_DEAD_LETTER, 4, {"max.message.bytes": "1000"})
    create_topics(system.kafka.url, [letters])
    bridge = started(system)
    send(system.pulse, "", "queue/tester/jobs", b"x" * 2_000)
    bridge.wait_for(f"a record of .* bytes for {letters.name}: .*topics --alter", times=2)
    with Load(system.pulse) as load:
        assert run(system, "topics", "--alter").returncode == 0
        (letter,) = system.read(letters.name, count=1)
        load.more(500)
    assert letter.value == b"x" * 2_000
    assert repeated(arrived(system, load)) == {}
    assert bridge.log.count("taking messages") == 1
    ended(system, bridge)
    assert len(system.read(letters.name, count=1)) == 1


def test_two_bridges_share_a_queue(system: System) -> None:
    bridges = [started(system, name) for name in ("one", "two")]
    with Load(system.pulse) as load:
        load.more(1_000)
    found = arrived(system, load)
    assert repeated(found) == {}
    mirrored = []
    for bridge in bridges:
        assert bridge.terminate() == 0
        mirrored += [int(count) for count in re.findall(r"(\d+) messages mirrored", bridge.log)]
    assert sum(mirrored) == len(found)
    assert min(mirrored) > 0


def test_the_queue_is_deleted_under_load(system: System) -> None:
    system.env["PULSE_DATA_INGESTION_SOURCES"] = json.dumps(
        [
            {"exchange": GUEST, "routing_keys": [f"try.{number}" for number in range(20)]},
            {"exchange": TREEHERDER},
            {"exchange": PUSHES, "routing_keys": ["try.*", "other"]},
        ]
    )
    bridge = started(system)
    before = system.pulse.bindings()
    assert len(before) == 23
    exchanges = (GUEST, TREEHERDER, PUSHES)
    with Load(system.pulse, *exchanges):
        for times in (2, 3):
            system.pulse.delete_queue()
            bridge.wait_for("taking messages", times=times)
            assert system.pulse.bindings() == before
            for exchange in exchanges:
                send(system.pulse, exchange, "try.7", f'{{"number": -{times}}}'.encode())
    for topic in ("pulse.guest.jobs", "pulse.taskcluster-treeherder.v1.jobs", "pulse.hgpushes.v1"):
        system.read(
            topic, until=lambda records: {-2, -3} <= {one.json["number"] for one in records}
        )
    ended(system, bridge)


def test_a_queue_that_was_deleted_while_no_bridge_ran_is_told(system: System) -> None:
    told = "made the queue .*: what was published before now does not come"
    bridge = started(system)
    bridge.wait_for(told)
    assert bridge.terminate() == 0
    bridge.start()
    bridge.wait_for("taking messages", times=2)
    assert len(re.findall(told, bridge.log)) == 1
    assert bridge.terminate() == 0
    system.pulse.delete_queue()
    bridge.start()
    bridge.wait_for("taking messages", times=3)
    assert len(re.findall(told, bridge.log)) == 2
    assert bridge.terminate() == 0


def test_what_is_in_hand_when_the_queue_is_deleted_goes_to_kafka(system: System) -> None:
    bridge = started(system)
    system.kafka.process.signal(signal.SIGSTOP)
    for number in range(300):
        send(system.pulse, GUEST, "key", f'{{"number": {number}}}'.encode())
    bridge.wait_for("Kafka is silent")
    system.pulse.delete_queue()
    system.kafka.process.signal(signal.SIGCONT)
    bridge.wait_for("the queue was deleted")
    numbers = [one.json["number"] for one in system.read("pulse.guest.jobs", count=300)]
    assert numbers == list(range(300))


def test_an_exchange_that_is_gone_is_waited_for(system: System) -> None:
    bridge = started(system)
    with Connection(system.pulse.admin_url) as connection:
        connection.default_channel.exchange_delete(PUSHES)
    system.pulse.delete_queue()
    bridge.wait_for(f"unknown exchange {PUSHES}.*trying again")
    system.pulse.declare(PUSHES)
    bridge.wait_for("taking messages", times=2)
    send(system.pulse, PUSHES, "try", b"{}")
    system.read("pulse.hgpushes.v1", count=1)
