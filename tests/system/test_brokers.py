"""The brokers on this machine: started, stopped, killed, and their data still there."""

from collections.abc import Callable
from pathlib import Path

import pytest
from amqp.exceptions import AccessRefused
from kombu import Connection, Exchange, Queue

from local import ports
from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from pulseload.errors import Failure
from pulseload.topics import Topic
from tests.system.harness import (
    Sent,
    System,
    create_topics,
    eventually,
    processes_in,
    produce,
    read_all,
)
from tests.system.pulse import Pulse

STOPS: list[Callable[[Kafka | RabbitMQ], None]] = [
    lambda broker: broker.stop(),
    lambda broker: broker.kill(),
]


@pytest.mark.parametrize("stop", STOPS, ids=["stop", "kill"])
def test_kafka_keeps_its_data(kafka: Kafka, stop: Callable[[Kafka | RabbitMQ], None]) -> None:
    kafka.start()
    create_topics(kafka.url, [Topic("kept", 2, {})])
    produce(kafka.url, "kept", [b"one", b"two"])
    stop(kafka)
    assert not kafka.running
    kafka.start()
    assert {record.value for record in read_all(kafka.url, "kept")} == {b"one", b"two"}


@pytest.mark.parametrize("stop", STOPS, ids=["stop", "kill"])
def test_rabbitmq_keeps_its_data(pulse: Pulse, stop: Callable[[Kafka | RabbitMQ], None]) -> None:
    broker = pulse.broker
    pulse.declare("exchange/tester/kept")
    with Connection(pulse.url) as connection:
        Queue("queue/tester/jobs", Exchange("exchange/tester/kept", "topic"), "#", durable=True)(
            connection.default_channel
        ).declare()
    pulse.publish("exchange/tester/kept", b"one", b"two")
    stop(broker)
    assert not broker.running
    broker.start()
    with Connection(pulse.url) as connection:
        channel = connection.default_channel
        got = [channel.basic_get("queue/tester/jobs", no_ack=True) for _ in range(3)]
    assert [message and message.body for message in got] == ["one", "two", None]


def test_nothing_of_a_broker_is_left(tmp_path: Path) -> None:
    port, management, dist, _ = ports.free(4)
    broker = RabbitMQ(tmp_path, port, management, dist)
    broker.start()
    assert processes_in(tmp_path)
    broker.stop()
    eventually(lambda: not processes_in(tmp_path), "all its processes have ended")


def test_a_broker_started_by_another_process_is_known(kafka: Kafka) -> None:
    kafka.start()
    other = Kafka(kafka.process.log.parent, kafka.port, kafka.controller_port)
    assert other.running
    other.start()
    assert other.process.pid == kafka.process.pid


def test_a_taken_port_is_named(kafka: Kafka, tmp_path: Path) -> None:
    kafka.start()
    with pytest.raises(Failure, match=f"^port {kafka.port} \\(Kafka\\) cannot be opened"):
        Kafka(tmp_path, kafka.port, ports.free(1)[0]).start()


def test_a_user_of_pulse_may_make_only_what_is_its_own(pulse: Pulse) -> None:
    pulse.declare("exchange/other/jobs")
    with Connection(pulse.url) as connection:
        Exchange("exchange/tester/jobs", "topic")(connection.default_channel).declare()
    with (
        Connection(pulse.url) as connection,
        pytest.raises(AccessRefused),
    ):
        Exchange("exchange/other/more", "topic")(connection.default_channel).declare()


def test_records_are_read_as_written(system: System) -> None:
    sent = Sent(b"value", b"key", [("pulse.exchange", b"exchange/tester/jobs")], 3)
    system.produce("jobs.inbox", sent, Sent(None, b"key", (), 3))
    first, second = system.read("jobs.inbox", count=2)
    assert (first.value, first.key, first.partition) == (b"value", b"key", 3)
    assert first.header("pulse.exchange") == "exchange/tester/jobs"
    assert second.value is None
    assert system.read("jobs.joined") == []
