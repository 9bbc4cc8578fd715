"""How the ledger begins, with a Kafka that is made up."""

import asyncio
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition

from bridges.pushlog import ledger
from bridges.pushlog.ledger import Ledger
from pulseload import kafka
from pulseload.errors import Failure
from pulseload.topics import PUSHES_INBOX, PUSHLOG_CURSORS
from tests.unit.settings_files import load

CURSOR = TopicPartition(PUSHLOG_CURSORS, 1)
EVERYWHERE = {TopicPartition(topic, n) for topic in (PUSHLOG_CURSORS, PUSHES_INBOX) for n in (0, 1)}


class Record:
    def __init__(self, push_id: int) -> None:
        self.key = b"https://hg.example.com/try"
        self.value = b'{"push_id": %d}' % push_id


class Broker:
    """Records of partitions; in those that are `orphaned` only the first is committed."""

    def __init__(self, orphaned: bool, mends: bool = True) -> None:
        self.records: dict[TopicPartition, list[Record]] = defaultdict(list)
        self.records[CURSOR] = [Record(7), Record(9)]
        self.orphaned = orphaned
        self.mends = mends
        self.asked_since = 0
        self.calls: list[str] = []
        self.aborted: set[TopicPartition] = set()

    def end(self, place: TopicPartition, isolation: str) -> int:
        if "abort" in self.calls and self.mends:
            # Not at once.
            self.asked_since += 1
            self.orphaned = self.orphaned and self.asked_since < 10
        known = self.records[place]
        if isolation == "read_committed" and self.orphaned:
            return min(len(known), 1)
        return len(known)

    def producer(self, **_: Any) -> "Producer":
        return Producer(self)

    def consumer(self, *, isolation_level: str, **_: Any) -> "Consumer":
        return Consumer(self, isolation_level)


class Producer:
    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._sent: set[TopicPartition] = set()

    async def start(self) -> None:
        self._broker.calls.append("start")

    async def begin_transaction(self) -> None:
        self._broker.calls.append("begin")

    async def send(self, topic: str, *, key: bytes, partition: int) -> asyncio.Future[None]:
        assert key is not None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(done.set_result, None)
        self._sent.add(TopicPartition(topic, partition))
        return done

    async def abort_transaction(self) -> None:
        self._broker.calls.append("abort")
        self._broker.aborted = self._sent
        if self._broker.mends:
            del self._broker.records[CURSOR][1:]


class Consumer:
    def __init__(self, broker: Broker, isolation: str) -> None:
        self._broker = broker
        self._isolation = isolation
        self._paused: set[TopicPartition] = set()
        self._positions: dict[TopicPartition, int] = {}

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    def assign(self, places: list[TopicPartition]) -> None:
        self._positions = dict.fromkeys(places, 0)

    def pause(self, *places: TopicPartition) -> None:
        self._paused |= set(places)

    def resume(self, *places: TopicPartition) -> None:
        self._paused -= set(places)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: self._broker.end(place, self._isolation) for place in places}

    async def position(self, place: TopicPartition) -> int:
        return self._positions[place]

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Record]]:
        assert timeout_ms > 0
        await asyncio.sleep(0)
        found = {}
        for place in self._positions.keys() - self._paused:
            end = self._broker.end(place, self._isolation)
            found[place] = self._broker.records[place][self._positions[place] : end]
            self._positions[place] = end
        return found


def start(broker: Broker, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    async def required(_: object) -> None:
        pass

    monkeypatch.setattr(kafka, "require", required)
    monkeypatch.setattr(ledger, "AIOKafkaProducer", broker.producer)
    monkeypatch.setattr(ledger, "AIOKafkaConsumer", broker.consumer)
    monkeypatch.setattr(ledger, "TRANSACTION_SECONDS", 1)
    return asyncio.run(Ledger(load(folder, pulseload_partitions=2)).start())


def test_where_nothing_is_left_open_the_cursors_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = Broker(orphaned=False)
    assert start(broker, tmp_path, monkeypatch) == {"https://hg.example.com/try": 9}
    assert broker.calls == ["start"]


def test_what_kafka_left_without_an_end_is_aborted_before_cursors_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broker = Broker(orphaned=True)
    assert start(broker, tmp_path, monkeypatch) == {"https://hg.example.com/try": 7}
    assert broker.calls == ["start", "begin", "abort"]
    assert broker.aborted == EVERYWHERE
    assert "Kafka lost the end of a transaction of pulseload-pushlog" in caplog.text


def test_an_abort_that_kafka_forgets_too_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failure, match="did not let pulseload-pushlog begin"):
        start(Broker(orphaned=True, mends=False), tmp_path, monkeypatch)
