"""The bridge on real brokers: what it is given, and what it must not start with."""

import json
from collections import Counter
from hashlib import sha256
from typing import Any

import pytest

from pulseload import headers, topics
from pulseload.topics import Topic
from tests.examples import REVISION, body, hg_push, job
from tests.system.bridging import GUEST, PUSHES, TREEHERDER, ended, send, started
from tests.system.command import run
from tests.system.harness import Read, Sent, System, create_topics

BODIES: dict[str, tuple[bytes, dict[str, Any]]] = {
    "job": (body(job()), {"content_type": "application/json", "content_encoding": "utf-8"}),
    "list": (body([job(), job()]), {"content_type": "application/json"}),
    "text": (body(job()) + b"\n", {"content_type": "text/plain"}),
    "binary": (bytes(range(256)) * 20, {"content_type": "application/octet-stream"}),
    "empty": (b"", {"content_type": "application/json"}),
    "broken": (b'{"taskId": ', {"content_type": "application/json", "content_encoding": "utf-8"}),
    "not utf-8": ("é".encode("latin-1"), {"content_type": "text/plain"}),
    "latin-1": ("é".encode("latin-1"), {"content_encoding": "latin-1"}),
    "said to be packed": (b"as it is", {"application_headers": {"compression": "gzip"}}),
    "pickle": (b"\x80\x04N.", {"content_type": "application/x-python-serialize"}),
    "no properties": (b"{}", {}),
    "properties in latin-1": (b"{}", {"message_id": b"\xe9", "content_type": "text/plain"}),
    "several frames": (b"[" + b" " * 900_000 + b"]", {}),
}


def test_every_kind_of_body_arrives_as_it_was_sent(system: System) -> None:
    bridge = started(system)
    for name, (content, properties) in BODIES.items():
        send(system.pulse, TREEHERDER, name, content, **properties)
    records = system.read("pulse.taskcluster-treeherder.v1.jobs", count=len(BODIES))
    found = {record.header(headers.ROUTING_KEY): record for record in records}
    assert found.keys() == BODIES.keys()
    for name, (content, properties) in BODIES.items():
        record = found[name]
        assert record.value == content, name
        assert record.header(headers.EXCHANGE) == TREEHERDER
        readable = not isinstance(properties.get("message_id"), bytes)
        for property_name, header in (
            ("content_type", headers.CONTENT_TYPE),
            ("content_encoding", headers.CONTENT_ENCODING),
        ):
            expected = properties.get(property_name) if readable else None
            assert record.headers.get(header, b"").decode() == (expected or ""), name
        assert headers.REDELIVERED not in record.headers
    assert found["job"].key == f"try:{REVISION}".encode()
    assert found["list"].key == f"try:{REVISION}".encode()
    assert found["broken"].key == b"broken"
    ended(system, bridge)
    assert f"{len(BODIES)} messages mirrored" in bridge.log


def test_metadata_travels_as_headers(system: System) -> None:
    started(system)
    send(
        system.pulse,
        PUSHES,
        "integration/autoland",
        body(hg_push()),
        content_type="application/json",
        content_encoding="utf-8",
        message_id="message-1",
        timestamp=1_700_000_000,
        application_headers={"CC": ["route.one", "route.two"]},
    )
    (record,) = system.read("pulse.hgpushes.v1", count=1)
    assert record.json == hg_push()
    assert record.key == b"https://hg.mozilla.org/try"
    assert record.headers == {
        headers.EXCHANGE: PUSHES.encode(),
        headers.ROUTING_KEY: b"integration/autoland",
        headers.CONTENT_TYPE: b"application/json",
        headers.CONTENT_ENCODING: b"utf-8",
        headers.MESSAGE_ID: b"message-1",
        headers.TIMESTAMP: b"1700000000",
        headers.CC: b'["route.one", "route.two"]',
    }


def test_exchanges_and_bindings(system: System) -> None:
    system.env["PULSE_DATA_INGESTION_SOURCES"] = json.dumps(
        [
            {
                "exchange": TREEHERDER,
                "destinations": ["tc-treeherder", "tc-treeherder-stage"],
                "projects": ["mozilla-inbound.#", "try.*"],
                "routing_keys": ["route.tc-treeherder.#"],
            },
            {"exchange": PUSHES, "routing_keys": ["try", "integration/*"]},
        ]
    )
    bridge = started(system)
    assert system.pulse.bindings() == {
        (TREEHERDER, "tc-treeherder.mozilla-inbound.#"),
        (TREEHERDER, "tc-treeherder.try.*"),
        (TREEHERDER, "tc-treeherder-stage.mozilla-inbound.#"),
        (TREEHERDER, "tc-treeherder-stage.try.*"),
        (TREEHERDER, "route.tc-treeherder.#"),
        (PUSHES, "try"),
        (PUSHES, "integration/*"),
    }
    queue = system.pulse.queue()
    assert queue is not None
    assert (queue["durable"], queue["auto_delete"]) == (True, False)
    keys = ["tc-treeherder.mozilla-inbound.a.b", "tc-treeherder.other.a", "tc-treeherder.try.a.b"]
    for key in [*keys, "tc-treeherder-stage.try.a"]:
        send(system.pulse, TREEHERDER, key, b"{}")
    # Two of its keys are bound: it comes once, under its first.
    both = {"CC": ["route.tc-treeherder.x", "tc-treeherder.try.y"]}
    send(system.pulse, TREEHERDER, "primary.x", b"{}", application_headers=both)
    send(system.pulse, PUSHES, "integration.autoland", b"{}")
    send(system.pulse, PUSHES, "try", b"{}")
    jobs = system.read("pulse.taskcluster-treeherder.v1.jobs", count=3)
    assert Counter(record.header(headers.ROUTING_KEY) for record in jobs) == {
        "tc-treeherder.mozilla-inbound.a.b": 1,
        "tc-treeherder-stage.try.a": 1,
        "primary.x": 1,
    }
    pushes = system.read("pulse.hgpushes.v1", count=1)
    assert [record.header(headers.ROUTING_KEY) for record in pushes] == ["try"]
    ended(system, bridge)
    # Nothing else came: neither what is not bound, nor the same message for each binding.
    assert len(system.read("pulse.taskcluster-treeherder.v1.jobs")) == 3
    assert len(system.read("pulse.hgpushes.v1")) == 1


def test_ones_own_exchange_is_made(system: System) -> None:
    own = "exchange/tester/jobs"
    system.env["PULSE_DATA_INGESTION_SOURCES"] = json.dumps([{"exchange": own}])
    create_topics(system.kafka.url, [Topic("pulse.tester.jobs", 4, {})])
    started(system)
    send(system.pulse, own, "key", b"{}")
    (record,) = system.read("pulse.tester.jobs", count=1)
    assert record.value == b"{}"


def test_what_has_one_key_keeps_its_order(system: System) -> None:
    started(system)
    contents = [
        body({"origin": {"project": f"project-{number % 7}", "revision": REVISION}, "n": number})
        for number in range(700)
    ]
    system.pulse.publish(GUEST, *contents)
    by_key: dict[bytes | None, list[bytes | None]] = {}
    for record in system.read("pulse.guest.jobs", count=len(contents)):
        by_key.setdefault(record.key, []).append(record.value)
    assert by_key == {
        f"project-{number}:{REVISION}".encode(): contents[number::7] for number in range(7)
    }


def test_a_key_lies_where_kafkas_own_partitioner_puts_it(system: System) -> None:
    started(system)
    contents = [body({"origin": {"project": f"p{n}", "revision": REVISION}}) for n in range(40)]
    system.pulse.publish(GUEST, *contents)
    records = system.read("pulse.guest.jobs", count=40)
    # aiokafka's default partitioner is the one of Kafka's own clients.
    system.produce("jobs.inbox", *(Sent(b"", record.key) for record in records))
    elsewhere = {record.key: record.partition for record in system.read("jobs.inbox", count=40)}
    assert {record.key: record.partition for record in records} == elsewhere
    assert len(set(elsewhere.values())) > 1


def too_large(record: Read, content: bytes, topic: str) -> None:
    assert record.value == content[:4_096]
    assert record.header(headers.ERROR_REASON) == "too-large"
    assert record.header(headers.ERROR_STAGE) == "bridge"
    assert record.header(headers.ERROR_TOPIC) == topic
    assert record.header(headers.ERROR_SIZE) == str(len(content))
    assert record.header(headers.ERROR_SHA256) == sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("exchange", "mirror", "letters"),
    [
        (GUEST, "pulse.guest.jobs", topics.JOBS_DEAD_LETTER),
        (PUSHES, "pulse.hgpushes.v1", topics.PUSHES_DEAD_LETTER),
    ],
)
def test_a_body_larger_than_kafka_takes(
    system: System, exchange: str, mirror: str, letters: str
) -> None:
    bridge = started(system)
    large = b"{" + b"x" * 20_000_000
    # Neither this one nor, with its headers, the other is taken; the last one just so.
    limit = topics.INPUT_MAX_BYTES
    contents = {"large": large, "over": b"y" * limit, "at": b"z" * (limit - 10), "next": b"{}"}
    fitting = b"w" * (limit - 300)
    for key, content in contents.items():
        send(system.pulse, exchange, key, content, content_type="text/plain")
    send(system.pulse, exchange, "fits", fitting)
    records = {one.header(headers.ROUTING_KEY): one for one in system.read(letters, count=3)}
    assert records.keys() == {"large", "over", "at"}
    for key, record in records.items():
        too_large(record, contents[key], mirror)
        assert record.header(headers.CONTENT_TYPE) == "text/plain"
        assert record.key == key.encode()
    assert {record.value for record in system.read(mirror, count=2)} == {b"{}", fitting}
    ended(system, bridge)


def test_a_topic_that_takes_less_than_it_should(system: System) -> None:
    own = "exchange/tester/jobs"
    system.env["PULSE_DATA_INGESTION_SOURCES"] = json.dumps([{"exchange": own}])
    create_topics(system.kafka.url, [Topic("pulse.tester.jobs", 4, {"max.message.bytes": "20000"})])
    contents = [body({"number": number, "pad": "x" * 3_000}) for number in range(300)]
    contents[150] = body({"number": 150, "pad": "x" * 30_000})
    assert started(system, "declaring").terminate() == 0
    system.pulse.publish(own, *contents)
    bridge = started(system)
    bridge.wait_for("a record of .* bytes for pulse.tester.jobs: .*topics --alter")
    assert run(system, "topics", "--alter").returncode == 0
    found = [record.json["number"] for record in system.read("pulse.tester.jobs", count=300)]
    # One key, so one partition; in order, and nothing twice.
    assert found == list(range(300))
    ended(system, bridge)
    assert system.read(topics.JOBS_DEAD_LETTER) == []


def test_a_message_that_no_exchange_brought(system: System) -> None:
    bridge = started(system)
    send(system.pulse, "", "queue/tester/jobs", b"by hand")
    (record,) = system.read(topics.JOBS_DEAD_LETTER, count=1)
    assert record.value == b"by hand"
    assert record.header(headers.ERROR_REASON) == "unknown-exchange"
    ended(system, bridge)


def test_bindings_of_former_times_are_removed_where_an_api_tells_of_them(system: System) -> None:
    api = system.pulse.broker.management_url
    before = json.dumps(
        [{"exchange": GUEST, "routing_keys": ["old", "kept"]}, {"exchange": PUSHES}]
    )
    assert started(system, "former", PULSE_DATA_INGESTION_SOURCES=before).terminate() == 0
    now = json.dumps([{"exchange": GUEST, "routing_keys": ["kept", "new"]}])
    without = started(system, "without", PULSE_DATA_INGESTION_SOURCES=now)
    assert without.terminate() == 0
    assert (GUEST, "old") in system.pulse.bindings()
    pruning = started(system, "pruning", PULSE_DATA_INGESTION_SOURCES=now, PULSE_BINDINGS_API=api)
    assert system.pulse.bindings() == {(GUEST, "kept"), (GUEST, "new")}
    send(system.pulse, GUEST, "old", b"1")
    send(system.pulse, GUEST, "new", b"2")
    assert [one.value for one in system.read("pulse.guest.jobs", count=1)] == [b"2"]
    assert pruning.terminate() == 0


@pytest.mark.parametrize("api", ["http://guest:wrong-word@{}", "http://127.0.0.1:1"])
def test_an_api_that_does_not_tell_stops_nothing(system: System, api: str) -> None:
    management = system.pulse.broker.management_url.rpartition("@")[2]
    bridge = started(system, PULSE_BINDINGS_API=api.format(management))
    assert "WARNING" in bridge.log
    assert "wrong-word" not in bridge.log
    send(system.pulse, GUEST, "key", b"{}")
    system.read("pulse.guest.jobs", count=1)
    assert bridge.terminate() == 0
