"""The join stage and what it remembers of jobs, until when: expiry, room, and memory."""

import json

import pytest

from pipeline.joining import STATES, TOO_MANY_FOR_PUSH
from pulseload import topics
from pulseload.headers import EXPIRED_REASON
from tests.examples import Message, task_id
from tests.unit.joining import (
    KEY,
    MAX_AGE,
    MEMORY,
    NOW,
    PARTITION,
    Driver,
    ids,
    push,
    states,
    told,
    valid,
)


def test_an_expired_job_is_taken_when_it_comes_again() -> None:
    task = Driver()
    task.process(told(0, "running"))
    task.tick(NOW + MAX_AGE * 1_000)
    assert task.sent(topics.JOBS_EXPIRED) == ids(1)
    assert task.rows[STATES] == {}
    task.process(push(), told(1, "running"))
    assert states(task) == [("running", None)]
    assert task.suppressed == []


def test_an_expired_job_that_was_overtaken_does_not_come_again() -> None:
    task = Driver()
    task.process(told(0, "pending"), told(1, "running", timestamp=NOW + 1_000))
    task.tick(NOW + MAX_AGE * 1_000)
    assert task.sent(topics.JOBS_EXPIRED) == ids(1)
    task.process(told(2, "pending"), push())
    assert states(task) == [("running", "pending")]
    assert task.suppressed == [(task_id(1), "stale")]


@pytest.mark.parametrize(
    ("first", "then"),
    [
        (("running", ""), ("running", "")),
        (("running", ""), ("pending", "")),
        (("completed", "fails"), ("completed", "succeeds")),
    ],
)
def test_what_is_suppressed_by_what_waits_renews_its_wait(
    first: tuple[str, str], then: tuple[str, str]
) -> None:
    task = Driver()
    end = NOW + MAX_AGE * 1_000
    task.process(told(0, *first), told(1, *then, timestamp=end - 1))
    # A clock that was set back takes nothing away.
    task.process(told(2, *then, timestamp=NOW))
    task.tick(end + MAX_AGE * 1_000 - 2)
    assert (len(task.suppressed), task.waiting) == (2, ids(1))
    task.process(push())
    assert states(task) == [(first[0], None)]


def test_what_is_suppressed_renews_no_more_than_the_latest_update() -> None:
    task = Driver()
    end = NOW + MAX_AGE * 1_000
    task.process(told(0, "pending"), told(1, "running"), told(2, "pending", timestamp=end - 1))
    task.tick(end)
    assert task.sent(topics.JOBS_EXPIRED) == ids(1)
    task.process(push())
    assert states(task) == [("running", "pending")]


def test_a_job_that_made_room_is_taken_when_it_comes_again() -> None:
    task = Driver(max_jobs_per_push=1)
    # The second throws out the first, an update of the same job.
    task.process(told(0, "running"), told(1, "running", "more"), told(2, "running"))
    expired = [one for one in task.outputs if one.topic == topics.JOBS_EXPIRED]
    assert [dict(one.headers)[EXPIRED_REASON] for one in expired] == [TOO_MANY_FOR_PUSH] * 2
    assert task.suppressed == []
    task.process(push())
    assert [json.loads(one.value or b"")["job"]["productName"] for one in task.outputs[2:]] == [
        "Firefox"
    ]


@pytest.mark.parametrize("commits", [None, 0, 1, 2])
def test_what_made_room_is_no_state_before(commits: int | None) -> None:
    task = Driver(max_records=1, max_jobs_per_push=1)
    task.process(told(0, "pending"))
    task.process(told(1, "running"), commits=commits)
    task.process(told(1, "running"))
    task.process(push())
    assert states(task, topics.JOBS_EXPIRED) == [("pending", None)]
    assert states(task) == [("running", None)]


def test_what_expired_later_is_still_the_state_before() -> None:
    task = Driver()
    task.process(told(0, "pending"), told(1, "running", timestamp=NOW + 1))
    task.tick(NOW + MAX_AGE * 1_000)
    task.process(push())
    assert states(task) == [("running", "pending")]


def test_a_job_that_expires_after_the_push_was_forgotten_steps_back_to_what_was_joined() -> None:
    task = Driver()
    forgotten = Message(None, topics.PUSHES, PARTITION, 1, NOW, KEY)
    task.process(push(), told(0, "running"), forgotten, told(1, "completed"))
    task.tick(NOW + MAX_AGE * 1_000)
    task.process(push(2), told(2, "running"), told(3, "completed"))
    assert states(task) == [("running", None), ("completed", "running")]
    assert [reason for _, reason in task.suppressed] == ["repeat"]


def test_jobs_are_remembered_for_so_long() -> None:
    task = Driver()
    task.process(push(), told(0, "completed"))
    task.tick(NOW + MEMORY * 1_000 - 1)
    task.process(told(1, "completed", timestamp=NOW + MEMORY * 1_000))
    assert [reason for _, reason in task.suppressed] == ["repeat"]
    # What is suppressed does not renew the memory.
    task.tick(NOW + MEMORY * 1_100)
    assert task.rows[STATES] == {}
    task.process(told(2, "completed"))
    assert states(task) == [("completed", None)] * 2


def test_a_job_that_waits_longer_than_that_is_still_remembered() -> None:
    task = Driver(max_age=10 * MEMORY)
    task.process(told(0, "pending"), told(1, "running", timestamp=NOW + 1))
    for seconds in range(0, 3 * MEMORY, 7):
        task.tick(NOW + seconds * 1_000)
    task.process(told(2, "running"), told(3, "pending", "late"))
    assert [reason for _, reason in task.suppressed] == ["repeat", "stale"]
    task.process(push())
    assert states(task) == [("pending", None), ("running", "pending")]
    task.tick(NOW + 4 * MEMORY * 1_000)
    assert task.rows[STATES] == {}


@pytest.mark.parametrize("commits", range(4))
def test_a_worker_killed_while_it_makes_room_remembers_no_job_that_it_lost(commits: int) -> None:
    task = Driver(max_records=2)
    task.process(*(valid(number) for number in range(6)))
    task.max_jobs_per_push = 2
    task.restart()
    task.process(told(6, "running", number=6), commits=commits)
    task.process(told(6, "running", number=6))
    assert task.suppressed == []
    assert task.waiting == ids(5, 6)
