"""Partition batches, and the gap that must never be passed over."""

import asyncio
from collections import namedtuple
from pathlib import Path
from typing import Any

from pipeline.runtime.batches import Batch, scheduler
from pipeline.runtime.draft import Draft
from pipeline.runtime.stage import Stage
from pipeline.runtime.store import Store
from pipeline.runtime.task import Task
from pipeline.runtime.transaction import Transactions
from pulseload.errors import Failure
from tests.examples import Message

Partition = namedtuple("Partition", "topic partition")  # noqa: PYI024 - as aiokafka has it
INBOX = Partition("jobs.inbox", 0)


def records(*offsets: int) -> list[Message]:
    return [Message(b"x" * 10, offset=offset) for offset in offsets]


def test_each_partition_of_a_fetch_is_one_batch() -> None:
    other = Partition("jobs.inbox", 1)
    fetched = {INBOX: records(4, 5), other: records(7), Partition("pushes", 0): []}
    batches = [record.value for _, record in scheduler(lambda: 3)().iterate(fetched)]
    assert [(one.topic, one.partition, one.epoch, one.size, one.end) for one in batches] == [
        ("jobs.inbox", 0, 3, 20, 6),
        ("jobs.inbox", 1, 3, 10, 8),
    ]


def test_keys_and_headers_count_too() -> None:
    headers: Any = [("name", b"1234"), ("null", None)]
    records = [Message(b"x" * 10, key=b"k" * 5, headers=headers), Message(None)]
    ((_, record),) = scheduler(lambda: 0)().iterate({INBOX: records})
    assert record.value.size == 10 + 5 + 8 + 4


def test_a_batch_knows_where_the_one_before_ended_even_if_nobody_took_that_one() -> None:
    epochs = [1]
    batches = scheduler(lambda: epochs[0])()

    def after(*offsets: int) -> int | None:
        ((_, record),) = batches.iterate({INBOX: records(*offsets)})
        return record.value.after  # type: ignore[no-any-return]

    assert after(0, 1) is None
    batches.iterate({INBOX: records(2, 3)})
    assert after(4) == 4
    epochs[0] = 2
    assert after(2) is None


def handed_over(folder: Path, *batches: Batch) -> list[BaseException]:
    """Hand batches to a task that does not run, and return its failures."""

    def nothing(_records: object, _draft: Draft) -> None:
        raise AssertionError("the task does not run")

    async def hand() -> list[BaseException]:
        failures: list[BaseException] = []
        stage = Stage("validate", ["jobs.inbox"], [], nothing)  # type: ignore[arg-type]
        store = Store(folder / "state", [stage.positions])
        task = Task(stage, 0, 4, "g", store, Transactions("g", "validate", 0, {}), failures.append)
        for batch in batches:
            await task.put(batch)
        store.close()
        return failures

    return asyncio.run(hand())


def batch(after: int | None, *offsets: int) -> Batch:
    return Batch("jobs.inbox", 0, 1, after, records(*offsets), 10 * len(offsets))


def test_batches_that_follow_each_other_are_taken(tmp_path: Path) -> None:
    # 5 to 7 are marks of transactions or compacted away: no record, no gap.
    assert handed_over(tmp_path, batch(None, 3, 4), batch(5, 8), batch(9, 9)) == []


def test_a_batch_that_is_read_again_is_taken(tmp_path: Path) -> None:
    assert handed_over(tmp_path, batch(None, 3, 4), batch(5, 3), batch(4, 4, 5)) == []


def test_a_batch_behind_one_that_never_came_ends_the_task(tmp_path: Path) -> None:
    (failure,) = handed_over(tmp_path, batch(None, 3, 4), batch(7, 7))
    assert isinstance(failure, Failure)
    assert "from offset 7 on, but only up to 5" in str(failure)


def test_a_first_batch_that_follows_one_that_never_came_ends_the_task(tmp_path: Path) -> None:
    (failure,) = handed_over(tmp_path, batch(50, 50))
    assert "only up to None" in str(failure)
