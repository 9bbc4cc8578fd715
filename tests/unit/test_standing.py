"""Reading up to the ends that were seen, over a consumer that is none."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition

from lookup import reading
from lookup.reading import Standing
from pulseload.errors import Failure
from tests.examples import Message

ONE, TWO = TopicPartition("jobs.inbox", 0), TopicPartition("jobs.valid", 1)


class _Time(NamedTuple):
    offset: int


class Consumer:
    """Gives three records a poll of each partition that is not paused; marks have no record."""

    def __init__(self, records: Mapping[TopicPartition, Sequence[Message]], grows: int) -> None:
        self._records = records
        self._at: dict[TopicPartition, int] = {}
        self._grows = grows
        self.open: set[TopicPartition] = set()

    def seek(self, tp: TopicPartition, offset: int) -> None:
        self._at[tp] = offset

    def resume(self, *places: TopicPartition) -> None:
        self.open.update(places)

    def pause(self, *places: TopicPartition) -> None:
        self.open.difference_update(places)

    async def position(self, tp: TopicPartition) -> int:
        return self._at[tp]

    async def getmany(self, timeout_ms: int) -> dict[TopicPartition, list[Message]]:  # noqa: ARG002
        found = {}
        for tp in self.open:
            begin = self._at[tp]
            self._at[tp] += self._grows
            found[tp] = [
                one for one in self._records[tp] if begin <= one.offset < begin + self._grows
            ]
        return found

    async def offsets_for_times(self, times: Mapping[TopicPartition, int]) -> dict[Any, Any]:
        return {
            tp: next((_Time(one.offset) for one in self._records[tp] if one.timestamp >= ms), None)
            for tp, ms in times.items()
        }


def standing(grows: int = 3) -> tuple[Standing, Consumer]:
    consumer = Consumer(
        {
            ONE: [Message(b"", ONE.topic, offset=n, timestamp=n) for n in range(2, 20)],
            TWO: [Message(b"", TWO.topic, 1, offset=n, timestamp=n) for n in (0, 4, 5)],
        },
        grows,
    )
    begins, ends = {ONE: 2, TWO: 0}, {ONE: 10, TWO: 7}
    return Standing(consumer, begins, ends, {ONE: 6, TWO: -1}, 0), consumer


def visited(log: Standing, since: int | None = None) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []

    def visit(record: Any) -> None:
        found.append((record.topic, record.offset))

    asyncio.run(log.visit([ONE, TWO], visit, since))
    return sorted(found)


def test_all_up_to_the_ends_and_nothing_behind() -> None:
    log, consumer = standing()
    assert visited(log) == [
        *((ONE.topic, n) for n in range(2, 10)),
        *((TWO.topic, n) for n in (0, 4, 5)),
    ]
    assert log.records == 15
    assert consumer.open == set()
    assert (log.read, log.lag([ONE.topic]), log.lag([TWO.topic])) == ({ONE: 6, TWO: 0}, 4, 7)


def test_from_a_time_on() -> None:
    log, _ = standing()
    assert visited(log, since=5) == [*((ONE.topic, n) for n in range(5, 10)), (TWO.topic, 5)]
    assert visited(log, since=8) == [(ONE.topic, 8), (ONE.topic, 9)]
    assert visited(log, since=99) == []


def test_the_places_that_are_asked_for() -> None:
    log, _ = standing()
    assert log.places([ONE.topic, TWO.topic]) == [ONE, TWO]
    assert log.places([ONE.topic, TWO.topic], {1}) == [TWO]
    assert log.places(["other"]) == []


def test_a_kafka_that_gives_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "STALLED_SECONDS", -1)
    log, consumer = standing(grows=0)
    with pytest.raises(Failure, match=r"gives nothing of jobs\.inbox/0 behind offset 2 for"):
        visited(log)
    assert consumer.open == set()
