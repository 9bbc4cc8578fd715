"""The join stage when too much waits: the oldest leaves."""

from collections.abc import Iterator

import pytest

from pipeline import pending
from pipeline.joining import (
    EXPIRED_PUSH,
    EXPIRED_WAITED,
    OUTPUTS,
    PENDING,
    TOO_MANY,
    TOO_MANY_FOR_PUSH,
)
from pipeline.pending import Pending, Waiting
from pipeline.runtime.draft import Draft, Output, Table
from pulseload import topics
from pulseload.headers import EXPIRED_REASON, JOB_ID
from tests.examples import DictRows, Message, task_id
from tests.unit.joining import (
    KEY,
    MAX_AGE,
    NOW,
    OTHER_KEY,
    PARTITION,
    PARTITIONS,
    Driver,
    event,
    ids,
    push,
    valid,
)


def reasons(task: Driver) -> list[bytes]:
    return [
        value
        for one in task.outputs
        if one.topic == topics.JOBS_EXPIRED
        for name, value in one.headers
        if name == EXPIRED_REASON
    ]


def test_the_oldest_job_of_a_push_leaves_as_it_was_sent_where_one_more_would_be_too_many() -> None:
    task = Driver(max_jobs_per_push=2)
    carried = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff")]
    first = valid(0, extra=carried)
    task.process(first, valid(1, OTHER_KEY), valid(2))
    assert task.outputs == []
    task.process(valid(3, timestamp=NOW + 2_500))
    assert task.outputs == [
        Output(
            topics.JOBS_EXPIRED,
            PARTITION,
            task_id(0).encode(),
            first.value,
            [
                *carried,
                (EXPIRED_REASON, TOO_MANY_FOR_PUSH),
                (EXPIRED_PUSH, KEY),
                (EXPIRED_WAITED, b"2"),
                *event("expired", 0),
            ],
        )
    ]
    assert sorted(task.waiting) == ids(1, 2, 3)


def test_the_oldest_job_of_a_partition_leaves_whatever_its_push() -> None:
    task = Driver(max_jobs=3)
    # The order of the rows is not that of arrival.
    task.process(valid(0, b"z"), valid(1, b"a"), valid(2, b"m"), valid(3, b"a"), valid(4, b"b"))
    assert task.sent(topics.JOBS_EXPIRED) == ids(0, 1)
    assert reasons(task) == [TOO_MANY, TOO_MANY]
    assert (EXPIRED_PUSH, b"z") in task.outputs[0].headers
    assert sorted(task.waiting) == ids(2, 3, 4)


def test_a_push_s_own_bound_counts_first() -> None:
    task = Driver(max_jobs_per_push=2, max_jobs=3)
    task.process(valid(0, OTHER_KEY), valid(1), valid(2), valid(3), valid(4, OTHER_KEY))
    assert task.sent(topics.JOBS_EXPIRED) == ids(1, 0)
    assert reasons(task) == [TOO_MANY_FOR_PUSH, TOO_MANY]


def test_what_has_left_makes_room() -> None:
    task = Driver(max_jobs_per_push=2, max_jobs=4)
    task.process(valid(0), valid(1), valid(2, OTHER_KEY), valid(3, OTHER_KEY))
    task.process(push(0, OTHER_KEY), Message(None, topics.PUSHES, PARTITION, 1, NOW, OTHER_KEY))
    task.tick(NOW + MAX_AGE * 1_000)
    late = NOW + MAX_AGE * 1_000
    task.process(*(valid(n, key, late) for n, key in enumerate([KEY, OTHER_KEY] * 2, 4)))
    assert TOO_MANY_FOR_PUSH not in reasons(task)
    assert TOO_MANY not in reasons(task)
    assert sorted(task.waiting) == ids(4, 5, 6, 7)
    task.process(valid(8, timestamp=late))
    assert reasons(task)[-1] == TOO_MANY_FOR_PUSH


def test_a_job_whose_push_is_known_takes_no_room() -> None:
    task = Driver(max_jobs_per_push=1, max_jobs=1)
    task.process(push(), valid(0, OTHER_KEY), valid(1), valid(2))
    assert (task.joined, task.waiting) == (ids(1, 2), ids(0))


def test_counts_are_those_of_the_rows_after_a_restart() -> None:
    task = Driver(max_jobs_per_push=2, max_jobs=3)
    task.process(valid(0), valid(1), valid(2, OTHER_KEY))
    task.restart()
    task.process(valid(3))
    task.restart()
    task.process(valid(4, OTHER_KEY))
    assert task.sent(topics.JOBS_EXPIRED) == ids(0, 1)
    assert reasons(task) == [TOO_MANY_FOR_PUSH, TOO_MANY]


def test_a_partition_that_was_elsewhere_meanwhile_is_counted_again() -> None:
    task, elsewhere = Driver(max_jobs=2), Driver(max_jobs=2)
    elsewhere.rows = task.rows
    elsewhere.restart()
    task.process(valid(0), valid(1))
    elsewhere.process(push(), valid(2, OTHER_KEY))
    # The same stage, which outlives its tasks.
    task.draft = Draft(PARTITION, PARTITIONS, task.rows, OUTPUTS)
    task.process(valid(3, OTHER_KEY), valid(4, OTHER_KEY))
    assert task.sent(topics.JOBS_EXPIRED) == ids(2)


def test_each_partition_is_counted_for_itself() -> None:
    one, other = Driver(max_jobs=2), Driver(max_jobs=2)
    other.join = one.join
    for task in (one, other):
        task.process(valid(0), valid(1))
    assert (one.outputs, other.outputs) == ([], [])


def test_a_bound_that_was_lowered_holds_from_the_next_job_on() -> None:
    task = Driver(max_records=20)
    task.process(*(valid(n, b"p%d" % (n % 7)) for n in range(100)))
    task.max_jobs = 10
    task.restart()
    task.process(valid(100))
    assert task.sent(topics.JOBS_EXPIRED) == ids(*range(91))
    assert max(map(len, task.transactions)) <= 10


@pytest.mark.parametrize("commits", range(5))
def test_a_worker_may_be_killed_while_it_makes_room(commits: int) -> None:
    task = Driver(max_records=2)
    task.process(*map(valid, range(10)))
    task.max_jobs_per_push = 4
    for _ in range(3):
        task.restart()
        task.process(valid(10), commits=commits)
    task.process(valid(10))
    assert task.sent(topics.JOBS_EXPIRED) == ids(*range(7))
    assert task.waiting == ids(7, 8, 9, 10)


@pytest.mark.parametrize("at_hand", [1, 2, 3, 1_000])
def test_order_holds_over_many_more_than_are_at_hand(
    at_hand: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pending, "OLDEST", at_hand)
    # Most of it within one transaction: what leaves may not be committed yet.
    task = Driver(max_records=40, max_jobs_per_push=7, max_jobs=20)
    keys = [b"a", b"b", b"b", b"c", b"d", b"c", b"e"]
    task.process(*(valid(n, keys[n * 5 % 7]) for n in range(30)))
    task.process(*(valid(n, KEY) for n in range(30, 60)))
    left = task.sent(topics.JOBS_EXPIRED)
    assert left[:23] == ids(*range(10), *range(10, 17), *range(30, 36))
    assert sorted(left[23:]) == left[23:]
    assert len(task.waiting) == 20


class Counted(DictRows):
    """Rows that count how many were looked at."""

    looked_at = 0

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for row in super().scan(prefix, after):
            self.looked_at += 1
            yield row


def test_a_million_rows_are_not_looked_through_for_each_job() -> None:
    count, more = 20_000, 4_000
    task = Driver(max_jobs=count)
    rows = task.rows[PENDING] = Counted()
    for number in range(count):
        row = Waiting(NOW, [(JOB_ID, task_id(number).encode())], b"{}")
        rows[b"p%d\0%020d" % (number % 500, number)] = row.pack()
    task.restart()
    task.process(*(valid(count + number, b"p%d" % (number % 500)) for number in range(more)))
    assert task.sent(topics.JOBS_EXPIRED) == ids(*range(more))
    # Once to count, and so often for the oldest tenth.
    assert rows.looked_at <= count * (1 + more * pending.OLDEST_SHARE / count + 1)


def test_counting_gives_others_a_turn() -> None:
    rows = DictRows({b"p%d\0%020d" % (n % 9, n): b"" for n in range(2 * pending.TURN_ROWS + 1)})
    counted = Pending(Table(rows))
    assert len(list(counted.count())) == 2
    assert (counted.total, sum(counted.of_group.values())) == (len(rows), len(rows))
    assert len(list(counted.oldest())) == 2


def test_counts_that_are_wrong_are_told() -> None:
    counted = Pending(Table(DictRows()))
    with pytest.raises(RuntimeError, match="more rows were counted"):
        counted.oldest_of(b"p")
    with pytest.raises(RuntimeError, match="more rows were counted"):
        list(counted.oldest())
