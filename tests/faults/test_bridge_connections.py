"""Trouble on the way between a bridge and its two brokers, which are well all the time."""

import random
import re
import time
from collections.abc import Iterator

import pytest

from local.kafka import Kafka
from tests.faults.connections import kafka_behind_a_proxy
from tests.faults.proxy import Direction, Proxy
from tests.system.bridging import GUEST, Load, arrived, ended, repeated, send, started
from tests.system.harness import Read, System, eventually

TOPIC = "pulse.guest.jobs"
BASIC_ACK = b"\x00\x3c\x00\x50"
"""Class and method in the frame of an acknowledgement."""


@pytest.fixture(scope="module")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Kafka, Proxy]]:
    with kafka_behind_a_proxy(tmp_path_factory.mktemp("kafka")) as both:
        yield both


@pytest.fixture(scope="module")
def kafka(brokers: tuple[Kafka, Proxy]) -> Kafka:
    return brokers[0]


@pytest.fixture
def to_kafka(brokers: tuple[Kafka, Proxy], system: System) -> Iterator[Proxy]:
    """The way that a bridge goes to Kafka, while the tests go straight."""
    proxy = brokers[1]
    system.env["KAFKA_URL"] = f"kafka://{proxy.address}"
    yield proxy
    # What was half-open goes, too.
    proxy.cut()
    proxy.restore()


@pytest.fixture
def to_pulse(system: System) -> Iterator[Proxy]:
    """The way that a bridge goes to RabbitMQ."""
    pulse = system.pulse
    with Proxy(pulse.broker.port) as proxy:
        url = pulse.url.replace(pulse.broker.address, proxy.address)
        system.env["PULSE_DATA_INGESTION_CONFIG"] = url
        yield proxy


def by_number(system: System, records: int) -> dict[int, list[Read]]:
    """Wait for so many records, and return them by the numbers of their messages."""
    found: dict[int, list[Read]] = {}
    for record in system.read(TOPIC, count=records):
        found.setdefault(record.json["number"], []).append(record)
    return found


def reset(way: Proxy, direction: Direction, count: int) -> None:
    before = way.resets
    way.reset_after(count, direction)
    eventually(lambda: way.resets > before, "a reset")


def reset_in_batches(way: Proxy, direction: Direction, within: int, times: int = 3) -> None:
    """Reset connections until so many of the resets have struck among messages."""
    dice = random.Random(within)
    struck = 0
    for _ in range(10 * times):
        reset(way, direction, dice.randrange(within))
        struck += b'"number"' in way.withheld
        if struck == times:
            return
    pytest.fail(f"of {10 * times} resets only {struck} struck among messages")


# Bridge and Kafka.


def test_kafka_is_cut_off_for_some_seconds(system: System, to_kafka: Proxy) -> None:
    before = to_kafka.cuts
    bridge = started(system)
    with Load(system.pulse) as load:
        to_kafka.cut()
        bridge.wait_for("Kafka is silent")
        to_kafka.restore()
        load.more(500)
    assert to_kafka.cuts > before
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)


def test_connections_to_kafka_are_reset_in_mid_batch(system: System, to_kafka: Proxy) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        reset_in_batches(to_kafka, "up", 50_000)
        for count in range(0, 100, 25):
            # Somewhere in a confirmation.
            reset(to_kafka, "down", count)
        load.more(500)
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)


@pytest.mark.faults
def test_connections_to_kafka_are_half_open(system: System, to_kafka: Proxy) -> None:
    before = to_kafka.swallowed
    bridge = started(system)
    with Load(system.pulse) as load:
        to_kafka.half_open()
        bridge.wait_for("Kafka is silent")
        time.sleep(10)
        to_kafka.restore()
        bridge.wait_for("Kafka has confirmed|taking messages", times=2, timeout=120)
        load.more(500)
    assert to_kafka.swallowed > before
    assert repeated(arrived(system, load))["unmarked"] == 0
    # Two time-outs, as one ends before the way is open again.
    waited = re.findall(r"Kafka has confirmed after (\d+) s", bridge.log)
    assert all(int(seconds) < 40 for seconds in waited), waited
    ended(system, bridge)


# Between Kafka's confirmation and the acknowledgement.


def test_the_acknowledgement_does_not_reach_rabbitmq(system: System, to_pulse: Proxy) -> None:
    bridge = started(system)
    to_pulse.reset_after(0, "up")
    for number in range(10):
        send(system.pulse, GUEST, "key", f'{{"number": {number}}}'.encode())
    eventually(lambda: to_pulse.resets == 1, "a reset")
    assert BASIC_ACK in to_pulse.withheld
    bridge.wait_for("taking messages", times=2)
    eventually(lambda: (system.pulse.queue() or {}).get("messages") == 0, "all is acknowledged")
    found = by_number(system, 10)
    assert found.keys() == set(range(10))
    # What was confirmed and not acknowledged came again, and says so.
    assert repeated(found)["marked"] >= 1
    assert repeated(found)["unmarked"] == 0
    ended(system, bridge)


def test_rabbitmq_is_cut_off_while_kafka_confirms(
    system: System, to_kafka: Proxy, to_pulse: Proxy
) -> None:
    bridge = started(system)
    to_kafka.delay(2)
    send(system.pulse, GUEST, "key", b'{"number": 1}')
    # It is in Kafka now, and the confirmation on its way for as long again.
    system.read(TOPIC, count=1)
    to_pulse.cut()
    # The bridge's connection, and the one that asks how deep the queue is.
    assert to_pulse.cuts >= 1
    to_kafka.restore()
    bridge.wait_for("trying again")
    to_pulse.restore()
    bridge.wait_for("taking messages", times=2)
    assert repeated(by_number(system, 2)) == {"marked": 1}
    ended(system, bridge)


# Bridge and RabbitMQ.


def test_rabbitmq_is_cut_off_for_some_seconds(system: System, to_pulse: Proxy) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        to_pulse.cut()
        # The bridge's connection, and the one that asks how deep the queue is.
        assert to_pulse.cuts >= 1
        bridge.wait_for("nothing listens at .* \\(trying again", times=2)
        to_pulse.restore()
        bridge.wait_for("taking messages", times=2)
        load.more(500)
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)


def test_connections_to_rabbitmq_are_reset_in_mid_batch(system: System, to_pulse: Proxy) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        reset_in_batches(to_pulse, "down", 100_000, times=2)
        # Within an acknowledgement.
        reset(to_pulse, "up", 10)
        load.more(500)
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)


@pytest.mark.faults
def test_connections_to_rabbitmq_are_half_open(system: System, to_pulse: Proxy) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        to_pulse.half_open()
        # No heartbeat of RabbitMQ's comes: that is how it is found out.
        bridge.wait_for("trying again", timeout=180)
        to_pulse.restore()
        bridge.wait_for("taking messages", times=2, timeout=120)
        load.more(500)
    assert to_pulse.swallowed > 0
    # RabbitMQ, too, must find out, before it delivers again what that connection had.
    eventually(lambda: (system.pulse.queue() or {}).get("messages") == 0, "all taken", timeout=240)
    assert repeated(arrived(system, load))["unmarked"] == 0
    ended(system, bridge)


@pytest.mark.faults
def test_rabbitmq_drips(system: System, to_pulse: Proxy) -> None:
    bridge = started(system)
    with Load(system.pulse) as load:
        to_pulse.drip(5_000)
        time.sleep(75)
        assert to_pulse.dripped > 100_000
        # It is slow, but it lives: that is no reason to begin anew.
        assert bridge.log.count("taking messages") == 1
        to_pulse.restore()
        load.more(500)
    assert repeated(arrived(system, load)) == {}
    ended(system, bridge)
