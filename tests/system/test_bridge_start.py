"""What the bridge must not start with, nor go on with: one line, and a status that is not 0."""

import re
from urllib.parse import quote

import pytest

from pulseload.topics import Topic
from tests.system.bridging import started
from tests.system.harness import Service, System, create_topics, eventually

CASES = {
    "wrong password": (
        "PULSE_DATA_INGESTION_CONFIG",
        "amqp://tester:wrong-word@{rabbitmq}/{vhost}",
        r"RabbitMQ at {rabbitmq} refuses user 'tester': wrong password",
    ),
    "no such user": (
        "PULSE_DATA_INGESTION_CONFIG",
        "amqp://nobody:wrong-word@{rabbitmq}/{vhost}",
        "refuses user 'nobody'",
    ),
    "nobody listens": (
        "PULSE_DATA_INGESTION_CONFIG",
        "amqp://tester:wrong-word@127.0.0.1:1/",
        "nothing listens at 127.0.0.1:1; is RabbitMQ running",
    ),
    "no such virtual host": (
        "PULSE_DATA_INGESTION_CONFIG",
        "amqp://tester:not-a-secret@{rabbitmq}/none",
        "no virtual host 'none'",
    ),
    "unknown exchange": (
        "PULSE_DATA_INGESTION_SOURCES",
        "[{{exchange: exchange/guest/nojobs}}, {{exchange: exchange/tester/own}}]",
        "unknown exchange exchange/guest/nojobs; mend pulse_data_ingestion_sources",
    ),
    "no kafka": ("KAFKA_URL", "kafka://127.0.0.1:1", "Kafka at 127.0.0.1:1 does not answer"),
    "other partitions": (
        "PULSELOAD_PARTITIONS",
        "3",
        "topic pulse.guest.jobs has 4 partitions, not 3",
    ),
    "no topics": (
        "PULSELOAD_APP_ID",
        "another",
        "topic another-validate-positions-changelog is missing; run `pulseload topics`",
    ),
    "wrong setting": ("PULSE_PREFETCH", "many", 'PULSE_PREFETCH is "many"; allowed'),
}


def failed(bridge: Service, text: str) -> None:
    """See that it ended with one line that names the thing, and has told no password."""
    assert bridge.wait() == 1
    last = bridge.log.strip().splitlines()[-1]
    assert re.match(f"pulseload: .*{re.escape(text)}", last), last
    assert "Traceback" not in bridge.log
    assert not re.search("wrong-word|not-a-secret", bridge.log)


@pytest.mark.parametrize("case", CASES)
def test_one_line_says_why_it_cannot_start(system: System, case: str) -> None:
    names = {"rabbitmq": system.pulse.broker.address, "vhost": system.pulse.vhost}
    variable, value, text = CASES[case]
    create_topics(
        system.kafka.url,
        [Topic("pulse.guest.nojobs", 4, {}), Topic("pulse.tester.own", 4, {})],
    )
    bridge = system.bridge(**{variable: value.format(**names)})
    failed(bridge, text.format(**names))
    # And nothing beside it, but for what was done before it failed.
    assert all(
        " INFO bridge: " in line or line.startswith("pulseload: ")
        for line in bridge.log.strip().splitlines()
    )


def test_a_queue_that_is_another(system: System) -> None:
    vhost = system.pulse.vhost
    path = f"queues/{vhost}/{quote('queue/tester/jobs', safe='')}"
    system.pulse.broker.api("PUT", path, {"durable": False, "auto_delete": True})
    failed(system.bridge(), "RabbitMQ refuses queue/tester/jobs: PRECONDITION_FAILED")


def test_a_password_that_is_changed_ends_the_bridge(system: System) -> None:
    bridge = started(system)
    api = system.pulse.broker.api
    api("PUT", "users/tester", {"password": "another-word", "tags": ""})
    ours = f"vhosts/{system.pulse.vhost}/connections"
    eventually(lambda: api("GET", ours), "the management API knows of the connection")
    for connection in api("GET", ours):
        api("DELETE", f"connections/{quote(connection['name'])}")
    failed(bridge, "refuses user 'tester': wrong password")
