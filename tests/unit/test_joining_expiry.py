"""The join stage when time passes: what has waited too long leaves."""

from pipeline import joining
from pipeline.joining import EXPIRED_PUSH, EXPIRED_WAITED, OUTPUTS, PENDING, SWEEP_ROWS
from pipeline.pending import Waiting
from pipeline.runtime.draft import Draft, Output
from pulseload import topics
from pulseload.headers import EXPIRED_REASON, JOB_ID
from tests.examples import task_id
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


def test_a_job_that_waited_too_long_leaves_as_it_was_sent() -> None:
    task = Driver()
    carried = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff")]
    record = valid(4, extra=carried)
    task.process(record)
    task.tick(NOW + MAX_AGE * 1_000 - 1)
    assert task.outputs == []
    task.tick(NOW + MAX_AGE * 1_000 + 2_500)
    assert task.outputs == [
        Output(
            topics.JOBS_EXPIRED,
            PARTITION,
            task_id(4).encode(),
            record.value,
            [
                *carried,
                (EXPIRED_REASON, b"push-unknown"),
                (EXPIRED_PUSH, KEY),
                (EXPIRED_WAITED, b"62"),
                *event("expired", 4),
            ],
        )
    ]
    assert task.waiting == []
    task.tick(NOW + MAX_AGE * 10_000)
    task.process(push())
    assert len(task.outputs) == 1


def test_a_push_that_comes_after_the_expiry_joins_later_jobs_at_once() -> None:
    task = Driver()
    task.process(valid(0))
    task.tick(NOW + MAX_AGE * 1_000)
    task.process(push(), valid(1))
    assert (task.sent(topics.JOBS_EXPIRED), task.joined) == (ids(0), ids(1))


def test_only_those_that_are_due_leave() -> None:
    task = Driver()
    task.process(*(valid(n, KEY if n % 2 else OTHER_KEY, NOW + n * 1_000) for n in range(10)))
    task.tick(NOW + (MAX_AGE + 4) * 1_000)
    assert sorted(task.sent(topics.JOBS_EXPIRED)) == ids(0, 1, 2, 3, 4)
    assert sorted(task.waiting) == ids(5, 6, 7, 8, 9)


def test_a_push_key_with_nul_is_told_as_it_is_stored() -> None:
    task = Driver()
    task.process(valid(0, b"try:a\0b"))
    task.tick(NOW + MAX_AGE * 1_000)
    assert (EXPIRED_PUSH, joining.group(b"try:a\0b")) in task.outputs[0].headers


def many_waiting(
    task: Driver, count: int, timestamp: int = NOW, push_key: bytes | None = None
) -> None:
    """Put rows of `count` jobs, each of a push of its own unless one is named."""
    for number in range(count):
        row = Waiting(timestamp, [(JOB_ID, task_id(number).encode())], b"{}")
        key = b"p%d" % number if push_key is None else push_key
        task.rows[PENDING][b"%b\0%020d" % (key, number)] = row.pack()


def test_a_tick_looks_at_so_many_rows_and_the_next_goes_on_behind_them() -> None:
    task = Driver(max_records=100_000)
    count = 2 * SWEEP_ROWS + 10
    many_waiting(task, count)
    left = []
    for _ in range(4):
        task.tick(NOW + MAX_AGE * 1_000)
        left.append(len(task.waiting))
    assert left == [count - SWEEP_ROWS, 10, 0, 0]
    assert sorted(task.sent(topics.JOBS_EXPIRED)) == ids(*range(count))


def test_a_sweep_that_finds_nothing_due_comes_round_again() -> None:
    task = Driver(max_records=100_000)
    many_waiting(task, SWEEP_ROWS + 10)
    # The first round ends at the last row; the second begins at the first again.
    for _ in range(2):
        task.tick(NOW)
    for _ in range(2):
        task.tick(NOW + MAX_AGE * 1_000)
    assert task.waiting == []


def test_those_that_are_due_are_found_behind_many_that_are_not() -> None:
    task = Driver(max_records=100_000)
    many_waiting(task, SWEEP_ROWS + 10, NOW + 1)
    task.process(valid(0, b"z"))
    for _ in range(2):
        task.tick(NOW + MAX_AGE * 1_000)
    assert task.sent(topics.JOBS_EXPIRED) == ids(0)
    assert len(task.waiting) == SWEEP_ROWS + 10


def test_what_becomes_due_while_a_round_goes_on_leaves_behind_what_came_before() -> None:
    task = Driver(max_records=100_000)
    many_waiting(task, SWEEP_ROWS + 10, push_key=KEY)
    # The first rows are not due yet when they are looked at, and the last ones a moment later.
    for late in (-1, 0, 0, 0):
        task.tick(NOW + MAX_AGE * 1_000 + late)
    assert task.sent(topics.JOBS_EXPIRED) == ids(*range(SWEEP_ROWS + 10))
    assert task.waiting == []


def test_a_sweep_is_cut_into_transactions() -> None:
    task = Driver(max_records=10)
    many_waiting(task, 100)
    task.tick(NOW + MAX_AGE * 1_000)
    assert [len(outputs) for outputs in task.transactions] == [5] * 20
    assert task.waiting == []


def test_each_partition_is_swept_for_itself() -> None:
    one, other = Driver(max_records=100_000), Driver(max_records=100_000)
    other.join = one.join
    other.draft = Draft(PARTITION + 1, PARTITIONS, other.rows, OUTPUTS, 100_000)
    for task in (one, other):
        many_waiting(task, SWEEP_ROWS + 10)
    for _ in range(2):
        for task in (one, other):
            task.tick(NOW + MAX_AGE * 1_000)
    assert (one.waiting, other.waiting) == ([], [])
