"""The `pulseload` command on real brokers, run as a user runs it."""

import asyncio
import json
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from kombu import Connection

from local import ports
from local.kafka import Kafka
from pulseload import kafka as admin
from pulseload.kafka import Existing
from pulseload.topics import Topic
from tests.examples import job
from tests.system.command import QUEUE, bind, failed, run
from tests.system.harness import BIN, System, create_topics
from tests.system.pulse import Pulse

OWN = "exchange/tester/jobs"
TREEHERDER = "exchange/taskcluster-treeherder/v1/jobs"
HG = "exchange/hgpushes/v1"


@pytest.fixture
def bare(kafka: Kafka, pulse: Pulse, tmp_path: Path) -> Iterator[System]:
    """Brokers on which nothing has been made."""
    asyncio.run(_delete_topics(kafka.url))
    own = System(kafka, pulse, tmp_path)
    yield own
    own.close()


async def _delete_topics(servers: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=servers)
    await client.start()
    try:
        if names := await client.list_topics():
            await client.delete_topics(names)
        while names:
            await asyncio.sleep(0.05)
            names = await client.list_topics()
    finally:
        await client.close()


def existing(system: System, topics: Sequence[Topic]) -> dict[str, Existing]:
    async def ask() -> dict[str, Existing]:
        async with admin.admin(system.settings) as client:
            return await admin.existing(client, [topic.name for topic in topics])

    return asyncio.run(ask())


# topics


def test_topics_makes_what_is_missing_and_then_leaves_it(bare: System) -> None:
    wanted = bare.settings.topics
    first = run(bare, "topics", "--json")
    assert first.returncode == 0
    report = json.loads(first.stdout)
    assert report["created"] == [topic.name for topic in wanted]
    found = existing(bare, wanted)
    assert admin.problems(wanted, found) == []
    assert {one.partitions for one in found.values()} == {bare.settings.pulseload_partitions}
    second = run(bare, "topics", "--json")
    assert second.returncode == 0
    assert json.loads(second.stdout) == {
        "created": [],
        "altered": [],
        "left": [topic.name for topic in wanted],
        "problems": [],
    }


def test_topics_of_another_partition_count_are_said_and_left(bare: System, kafka: Kafka) -> None:
    wrong = replace(bare.settings.topics[0], partitions=3)
    create_topics(kafka.url, [wrong])
    done = run(bare, "topics")
    assert done.returncode == 1
    assert f"PROBLEM  {wrong.name} has 3 partitions, not 4; set pulseload_partitions" in done.stdout
    assert list(existing(bare, bare.settings.topics)) == [wrong.name]
    right = run(bare, "topics", PULSELOAD_PARTITIONS="3")
    assert right.returncode == 0
    assert {one.partitions for one in existing(bare, bare.settings.topics).values()} == {3}


def test_topics_changes_a_configuration_only_when_told(bare: System, kafka: Kafka) -> None:
    wanted = bare.settings.topics[0]
    create_topics(
        kafka.url, [replace(wanted, config={"cleanup.policy": "compact", "retention.ms": "12345"})]
    )
    told = run(bare, "topics")
    assert told.returncode == 1
    assert f"PROBLEM  {wanted.name} has " in told.stdout
    assert "cleanup.policy=compact instead of delete" in told.stdout
    assert existing(bare, [wanted])[wanted.name].config["cleanup.policy"] == "compact"
    altered = run(bare, "topics", "--alter")
    assert altered.returncode == 0
    assert f"altered  {wanted.name}\n" in altered.stdout
    now = existing(bare, [wanted])[wanted.name]
    assert now.own == {**wanted.config, "retention.ms": "12345"}


def test_topics_that_kafka_refuses_to_make(bare: System) -> None:
    said = failed(run(bare, "topics", PULSELOAD_REPLICATION="3"))
    assert "Kafka refuses to create " in said
    assert "replication factor of 3" in said


def test_topics_where_kafka_does_not_answer(bare: System) -> None:
    (port,) = ports.free(1)
    said = failed(run(bare, "topics", KAFKA_URL=f"127.0.0.1:{port}"))
    assert f"Kafka at 127.0.0.1:{port} does not answer within 10 s" in said


# check


def findings(done: subprocess.CompletedProcess[str], verdict: str) -> list[str]:
    assert done.stderr == ""
    return [one["text"] for one in json.loads(done.stdout) if one["verdict"] == verdict]


def test_check_finds_nothing_wrong(system: System) -> None:
    done = run(system, "check")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "PROBLEM" not in done.stdout
    assert f"{TREEHERDER} exists" in done.stdout
    assert f"{len(system.settings.topics)} topics are as they must be, 4 partitions" in done.stdout


def test_check_of_bindings(system: System) -> None:
    pulse = system.pulse
    sources = [source.exchange for source in system.settings.pulse_data_ingestion_sources]
    pulse.declare("exchange/other/v1/jobs")
    bind(pulse, *sources)
    assert findings(run(system, "check", "--json"), "unknown") == [
        "the bindings of queue/tester/jobs: set pulse_bindings_api to have them looked at"
    ]
    system.env["PULSE_BINDINGS_API"] = pulse.broker.management_url
    good = run(system, "check", "--json")
    assert good.returncode == 0
    assert "queue/tester/jobs has the 5 bindings that the settings name" in findings(good, "ok")

    with Connection(pulse.url) as connection, connection.channel() as channel:
        channel.queue_unbind(QUEUE, HG, "#")
        channel.queue_bind(QUEUE, "exchange/other/v1/jobs", "old.#")
    bad = run(system, "check", "--json", "--section", "pulse")
    assert bad.returncode == 1
    missing, stale = findings(bad, "problem")
    assert missing.startswith(f"queue/tester/jobs is not bound to {HG} by #; start the bridge")
    assert stale.startswith(
        "queue/tester/jobs is bound to exchange/other/v1/jobs by old.# for no setting; start the"
    )


def test_check_of_a_bindings_api_that_refuses(system: System) -> None:
    bind(system.pulse)
    api = system.pulse.broker.management_url.replace("guest:guest", "guest:not-a-secret")
    done = run(system, "check", "--json", "--section", "pulse", PULSE_BINDINGS_API=api)
    assert done.returncode == 1
    (problem,) = findings(done, "problem")
    assert "401" in problem
    assert "mend pulse_bindings_api" in problem
    assert "not-a-secret" not in done.stdout


def test_check_says_all_that_is_wrong_at_once(bare: System) -> None:
    bare.pulse.declare(TREEHERDER)
    bare.env["PULSE_DATA_INGESTION_SOURCES"] = json.dumps(
        [{"exchange": TREEHERDER}, {"exchange": HG}, {"exchange": OWN}]
    )
    done = run(bare, "check", "--json", PULSELOAD_PARTITION="5")
    assert done.returncode == 1
    problems = findings(done, "problem")
    assert problems[0].startswith("PULSELOAD_PARTITION is no setting")
    assert "jobs.inbox is missing; run `pulseload topics`" in problems
    assert problems[-1].startswith(f"{HG} does not exist; mend pulse_data_ingestion_sources")
    assert f"{OWN} is not there yet; the bridge makes it when it starts" in findings(done, "ok")


def test_check_goes_on_where_a_broker_is_missing(system: System) -> None:
    (port,) = ports.free(1)
    done = run(
        system,
        "check",
        "--json",
        KAFKA_URL=f"127.0.0.1:{port}",
        PULSE_DATA_INGESTION_CONFIG=system.pulse.url.replace("not-a-secret", "wrong"),
    )
    assert done.returncode == 1
    kafka, pulse = findings(done, "problem")
    assert kafka.startswith(f"Kafka at 127.0.0.1:{port} does not answer")
    assert "refuses user 'tester': wrong password" in pulse


# bridge


def test_bridge_runs_until_it_is_told_to_end(system: System) -> None:
    pulse = system.pulse
    bridge = system.program("bridge", str(BIN / "pulseload"), "bridge")
    bridge.wait_for("is bound to")
    body = json.dumps(job()).encode()
    pulse.publish(TREEHERDER, body)
    (record,) = system.read("pulse.taskcluster-treeherder.v1.jobs", count=1)
    assert record.value == body
    assert bridge.terminate() == 0
