"""The bridge that asks GitHub while Kafka fails, or another bridge has taken over."""

import asyncio
import gc
import logging
from pathlib import Path
from typing import Any

import pytest
from aiokafka import ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaConnectionError, KafkaError, ProducerFenced

from bridges import sessions
from bridges.github import bridge
from pulseload import kafka
from pulseload.errors import Failure
from tests.examples import GITHUB, body, github_push
from tests.github_api import Answer, GitHubAPI, row
from tests.unit.settings_files import load

PLACE = TopicPartition("pulse.taskcluster-github.v1.push", 0)
HEAD = f"{2:040x}"
COMPARED = f"/repos/mozilla/lamp.shade/compare/{'b' * 40}...{HEAD}"


class Done(Exception):  # noqa: N818 - no error
    """All that the mirror holds has been committed."""


class Broker:
    """A mirror with one message, and a Kafka that fails as often as it is told to."""

    def __init__(self, *failures: KafkaError) -> None:
        self.failures = list(failures)
        self.refuses: KafkaError | None = None
        self.interrupted = bool(failures)
        self.position = 0
        self.written: list[bytes] = []

    def consumer(self, *_: object, **__: object) -> "Client":
        return Client(self)

    def producer(self, **options: object) -> "Client":
        assert options["transactional_id"] == "pulseload-github-pushes"
        return Client(self)


class Client:
    """A consumer and a producer."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._open: list[bytes] = []
        self._position = 0

    async def start(self) -> None:
        if self._broker.refuses:
            raise self._broker.refuses

    async def stop(self) -> None:
        if self._broker.interrupted:
            raise asyncio.CancelledError  # Of a task of its own, as aiokafka's consumer does.

    async def getmany(self, **_: object) -> dict[TopicPartition, list[ConsumerRecord[Any, Any]]]:
        if self._broker.position:
            raise Done
        value = body(github_push(commits=()))
        record = ConsumerRecord(*PLACE, 0, 0, 0, None, value, None, 0, 0, ())
        return {PLACE: [record]}

    async def begin_transaction(self) -> None:
        self._open = []

    async def send(self, _: str, __: bytes, key: bytes, **___: object) -> "asyncio.Future[None]":
        sent = asyncio.get_running_loop().create_future()
        if self._broker.failures:
            # As aiokafka has it: in several futures, of which not all are waited for.
            failure = self._broker.failures.pop(0)
            sent.set_exception(failure)
            asyncio.get_running_loop().create_future().set_exception(failure)
        else:
            self._open.append(key)
            sent.set_result(None)
        return sent

    async def send_offsets_to_transaction(
        self, offsets: dict[TopicPartition, int], group: str
    ) -> None:
        assert group == "pulseload-github-pushes"
        self._position = offsets[PLACE]

    async def commit_transaction(self) -> None:
        self._broker.written += self._open
        self._broker.position = self._position


def run(broker: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> GitHubAPI:
    """Run the bridge until the message is committed, or the bridge fails."""

    async def required(_: object) -> None:
        pass

    monkeypatch.setattr(kafka, "require", required)
    monkeypatch.setattr(bridge, "AIOKafkaConsumer", broker.consumer)
    monkeypatch.setattr(bridge, "AIOKafkaProducer", broker.producer)
    monkeypatch.setattr(sessions, "FIRST_PAUSE", 0.0)
    rows = [{"name": "lamp", "url": GITHUB, "kind": "git"}]
    api = GitHubAPI({COMPARED: [Answer({"commits": [row(1), row(2)]})]})

    async def work() -> None:
        async with api:
            await bridge.run(
                load(folder, pulseload_github_api=api.url, pulseload_repositories=rows)
            )

    asyncio.run(work())
    return api


def test_kafka_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(KafkaConnectionError("gone"), KafkaConnectionError("gone"))
    with pytest.raises(Done):
        run(broker, tmp_path, monkeypatch)
    assert broker.written == [f"lamp:{HEAD}".encode()]
    told = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    line = "Kafka has not confirmed pushes of GitHub (KafkaConnectionError: gone)"
    assert told == [f"{line} (waiting for Kafka)"]


def test_a_bridge_that_was_taken_over_ends_with_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(ProducerFenced())
    with pytest.raises(Failure) as failure:
        run(broker, tmp_path, monkeypatch)
    assert str(failure.value) == (
        "another github-pushes bridge has taken over as pulseload-github-pushes; run one only"
    )
    gc.collect()
    assert "never retrieved" not in caplog.text
    assert broker.written == []


def test_kafka_must_be_there_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broker = Broker()
    broker.refuses = KafkaConnectionError("gone")
    with pytest.raises(Failure, match="Kafka did not let pulseload-github-pushes begin"):
        run(broker, tmp_path, monkeypatch)
