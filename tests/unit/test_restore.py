"""A copy is brought up to its changelogs; one of another generation is made anew."""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition

from pipeline.runtime.restore import Changelog, restore
from pipeline.runtime.store import GENERATION, Store

POSITIONS, ROWS = TopicPartition("positions", 0), TopicPartition("rows", 0)
TABLES = [POSITIONS.topic, ROWS.topic]


class Record(NamedTuple):
    offset: int
    key: bytes
    value: bytes | None


class Consumer:
    """A consumer of changelogs in memory; a poll brings one record of each."""

    def __init__(self, logs: Mapping[TopicPartition, list[tuple[bytes, bytes | None]]]) -> None:
        self._logs = {
            place: [Record(number, key, value) for number, (key, value) in enumerate(records)]
            for place, records in logs.items()
        }
        self._at: dict[TopicPartition, int] = {}

    async def beginning_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: list[TopicPartition]) -> dict[TopicPartition, int]:
        return {place: len(self._logs[place]) for place in places}

    async def position(self, place: TopicPartition) -> int:
        return self._at[place]

    async def getmany(self, **_: int) -> dict[TopicPartition, list[Record]]:
        polled = {tp: self._logs[tp][at : at + 1] for tp, at in self._at.items()}
        polled = {tp: records for tp, records in polled.items() if records}
        for tp in polled:
            self._at[tp] += 1
        return polled

    def seek(self, place: TopicPartition, offset: int) -> None:
        self._at[place] = offset

    def resume(self, *places: TopicPartition) -> None:
        assert places


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "0", TABLES)
    yield opened
    opened.close()


@pytest.fixture(autouse=True)
def _told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


def restored(store: Store, consumer: Consumer, wanted: Callable[[], bool] = lambda: True) -> bool:
    logs = [Changelog("stage", place, place.topic, store) for place in (POSITIONS, ROWS)]
    return asyncio.run(restore(consumer, logs, wanted))


def rows(store: Store) -> dict[bytes, bytes]:
    return dict(store.rows(ROWS.topic).scan(b""))


def ghost(store: Store) -> None:
    """Have the store hold two rows of which the second was aborted."""
    store.write(
        {POSITIONS.topic: {b"input": b"2"}, ROWS.topic: {b"a": b"1", b"ghost": b"2"}},
        {POSITIONS.topic: 2, ROWS.topic: 2},
    )


# What was aborted stands there as its tombstones do, which say nothing.
ABORTED: tuple[bytes, bytes | None] = (b"gone", None)
AFTER_AN_ABORT = {
    POSITIONS: [(b"input", b"1"), ABORTED, (GENERATION, b"new"), (b"input", b"4")],
    ROWS: [(b"a", b"1"), ABORTED, (b"b", b"3"), (b"c", b"4")],
}


def test_a_copy_of_an_earlier_generation_is_made_anew(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ghost(store)
    assert restored(store, Consumer(AFTER_AN_ABORT))
    assert rows(store) == {b"a": b"1", b"b": b"3", b"c": b"4"}
    positions = dict(store.rows(POSITIONS.topic).scan(b""))
    assert positions == {b"input": b"4", GENERATION: b"new"}
    assert "may hold what was aborted" in caplog.text
    caplog.clear()
    assert restored(store, Consumer(AFTER_AN_ABORT))
    assert caplog.text == ""


def test_a_table_that_was_level_is_made_anew_to_its_end(store: Store) -> None:
    ghost(store)
    committed: list[tuple[bytes, bytes | None]] = [(b"%d" % number, b"") for number in range(20)]
    store.write({}, {ROWS.topic: len(committed)})
    assert restored(store, Consumer({**AFTER_AN_ABORT, ROWS: committed}))
    assert rows(store) == {key: b"" for key, _ in committed}


@pytest.mark.parametrize("polls", range(5))
def test_a_restore_that_is_overtaken_leaves_no_ghost_to_be_trusted(
    store: Store, polls: int
) -> None:
    ghost(store)
    left = iter([True] * polls)
    assert not restored(store, Consumer(AFTER_AN_ABORT), lambda: next(left, False))
    assert restored(store, Consumer(AFTER_AN_ABORT))
    assert rows(store) == {b"a": b"1", b"b": b"3", b"c": b"4"}


def test_generations_that_follow_each_other_cost_one_restore(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    ghost(store)
    more = [(GENERATION, b"newer"), (GENERATION, b"newest")]
    consumer = Consumer({**AFTER_AN_ABORT, POSITIONS: [*AFTER_AN_ABORT[POSITIONS], *more]})
    assert restored(store, consumer)
    assert rows(store) == {b"a": b"1", b"b": b"3", b"c": b"4"}
    assert caplog.text.count("restoring it anew") == 1


def test_an_empty_copy_is_filled_whatever_generations_there_were(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    generations = [(GENERATION, b"old"), *AFTER_AN_ABORT[POSITIONS]]
    assert restored(store, Consumer({**AFTER_AN_ABORT, POSITIONS: generations}))
    assert rows(store) == {b"a": b"1", b"b": b"3", b"c": b"4"}
    assert "anew" not in caplog.text
    assert "restored 9 rows" in caplog.text


def test_one_store_made_anew_does_not_touch_another(store: Store, tmp_path: Path) -> None:
    ghost(store)
    other_place = TopicPartition("positions", 1)
    other = Store(tmp_path / "1", TABLES)
    other.write({POSITIONS.topic: {b"kept": b"1"}}, {POSITIONS.topic: 1})
    consumer = Consumer({**AFTER_AN_ABORT, other_place: [(b"compacted", b"1"), (b"more", b"2")]})
    logs = [Changelog("stage", place, place.topic, store) for place in (POSITIONS, ROWS)]
    logs.append(Changelog("stage", other_place, POSITIONS.topic, other))
    assert asyncio.run(restore(consumer, logs, lambda: True))
    assert b"ghost" not in rows(store)
    assert dict(other.rows(POSITIONS.topic).scan(b"")) == {b"kept": b"1", b"more": b"2"}
    other.close()
