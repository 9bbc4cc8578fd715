"""What a worker cannot work with, it says in one line, and ends."""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from local import ROOT, ports
from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from pipeline.state import StateFolder
from pulseload import topics
from tests.system.harness import BIN, System, create_topics
from tests.system.pulse import Pulse


@pytest.fixture(scope="module")
def system(
    kafka: Kafka, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """Topics for workers none of which comes to work."""
    rabbitmq.start()
    pulse = Pulse(rabbitmq, "worker-start")
    yield System(kafka, pulse, tmp_path_factory.mktemp("start")).prepare()
    rabbitmq.delete_vhost(pulse.vhost)


def refused(system: System, *arguments: str, **env: str) -> str:
    """Start a worker that must not come to work, and return its one line."""
    done = subprocess.run(
        [BIN / "faust", "-A", "pipeline", "worker", *arguments],
        env={**system.env, **env},
        cwd=system.folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done
    assert done.stderr.startswith("pulseload: ")
    assert done.stderr.count("\n") == 1
    assert "not-a-secret" not in done.stdout + done.stderr
    return done.stderr.removeprefix("pulseload: ").rstrip("\n")


def test_kafka_unreachable(system: System) -> None:
    (port,) = ports.free(1)
    said = refused(system, KAFKA_URL=f"kafka://127.0.0.1:{port}")
    assert f"127.0.0.1:{port}" in said
    assert "is it running" in said


def test_topics_missing(system: System) -> None:
    said = refused(system, PULSELOAD_APP_ID="other")
    assert "other-validate-positions-changelog is missing; run `pulseload topics`" in said
    assert "4 more problems" in said


def test_other_partition_counts(system: System) -> None:
    said = refused(system, PULSELOAD_PARTITIONS="3")
    assert "has 4 partitions, not 3; set pulseload_partitions to the count that all" in said


def test_a_topic_that_could_lose_records(system: System) -> None:
    (inbox,) = [one for one in system.settings.topics if one.name == topics.JOBS_INBOX]
    unsafe = replace(inbox, config={**inbox.config, "message.timestamp.type": "CreateTime"})
    create_topics(system.kafka.url, [unsafe])
    try:
        said = refused(system)
        assert "jobs.inbox has message.timestamp.type=CreateTime instead of LogAppendTime" in said
        assert "pulseload topics --alter" in said
    finally:
        create_topics(system.kafka.url, [inbox])


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("KAFKA_URL", "kafka://127.0.0.1:0", ["kafka://127.0.0.1:0", "host:port"]),
        ("PULSELOAD_PARTITIONS", "many", ["many"]),
        ("PULSELOAD_STAGES", "validate,jion", ["jion", "join"]),
        ("PULSELOAD_STAGES", "", ["PULSELOAD_STAGES"]),
        ("PENDING_MAX_AGE", "a week", ["a week", "7d"]),
        ("PULSELOAD_REPOSITORIES", "none.yml", ["none.yml"]),
        ("PULSE_DATA_INGESTION_SOURCES", "[{}]", ["exchange"]),
        ("PULSE_DATA_INGESTION_CONFIG", "http://tester:not-a-secret@pulse/", ["amqps://"]),
        ("PULSELOAD_CONFIG", "none.yml", ["none.yml"]),
    ],
)
def test_a_broken_value(system: System, name: str, value: str, words: list[str]) -> None:
    said = refused(system, **{name: value})
    assert name in said
    assert all(word in said for word in words), said


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("kafka_url: [", ["is no YAML", "line"]),
        ("kafka_urls: kafka://127.0.0.1", ["unknown key", "kafka_url"]),
        ("pulseload_partitions: many\n", ["pulseload_partitions", "many"]),
        ("just text", ["key: value"]),
    ],
)
def test_a_broken_settings_file(
    system: System, tmp_path: Path, content: str, words: list[str]
) -> None:
    path = tmp_path / "broken.yml"
    path.write_text(content)
    said = refused(system, PULSELOAD_CONFIG=str(path))
    assert all(word in said for word in [*words, str(path)]), said


@pytest.mark.parametrize("name", ["pulse-job", "hg-push", "settings"])
def test_a_broken_schema(system: System, tmp_path: Path, name: str) -> None:
    copy = tmp_path / "schemas"
    shutil.copytree(ROOT / "schemas", copy)
    (copy / f"{name}.yml").write_text("type: [")
    said = refused(system, PYTHONPATH=str(tmp_path))
    assert said.startswith(f"{copy}/{name}.yml: cannot be read: ")


def test_a_home_that_cannot_be_written(system: System, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    said = refused(system, PULSELOAD_HOME=str(file / "home"))
    assert f"cannot keep state in {file}/home/" in said
    assert "set PULSELOAD_HOME" in said


def test_a_state_folder_in_use(system: System, tmp_path: Path) -> None:
    taken = StateFolder(tmp_path, "one")
    said = refused(system, PULSELOAD_HOME=str(tmp_path), PULSELOAD_INSTANCE_ID="one")
    assert "'one'" in said
    assert str(taken.path) in said
    assert "PULSELOAD_INSTANCE_ID of its own" in said
