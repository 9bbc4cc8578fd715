"""The join stage and the lifecycle of jobs: what is suppressed, and what is remembered."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.joining import (
    EXPIRED_REASON,
    PENDING,
    STATES,
    SUPPRESSED_REASON,
    TOO_MANY_FOR_PUSH,
)
from pipeline.pending import Waiting
from pipeline.runtime.draft import Output
from pulseload import topics
from pulseload.headers import JOB_ID, JOB_RESULT, JOB_STATE, PREVIOUS_STATE, Header
from tests.examples import Message, task_id
from tests.unit.joining import (
    KEY,
    MAX_AGE,
    MEMORY,
    NOW,
    OTHER_KEY,
    PARTITION,
    Driver,
    ids,
    push,
    valid,
)


def told(offset: int, state: str, note: str = "", number: int = 1, **how: Any) -> Message:
    """Return a record of `jobs.valid` that tells a state of job 1."""
    return valid(number, offset=offset, state=state, productName=note or "Firefox", **how)


def states(task: Driver, topic: str = topics.JOBS_JOINED) -> list[tuple[str, str | None]]:
    """Return the states sent to a topic, each with the one before it."""
    found = []
    for one in task.outputs:
        if one.topic == topic:
            document = json.loads(one.value or b"")
            previous = dict(one.headers).get(PREVIOUS_STATE)
            job = document.get("job", document)
            found.append((job["state"], previous.decode() if previous else None))
    return found


def test_a_job_goes_through_its_states() -> None:
    task = Driver()
    task.process(push(), *map(told, range(4), ["unscheduled", "pending", "running", "completed"]))
    assert states(task) == [
        ("unscheduled", None),
        ("pending", "unscheduled"),
        ("running", "pending"),
        ("completed", "running"),
    ]
    assert task.suppressed == []


def test_a_repeat_leaves_as_it_came_with_the_reason() -> None:
    task = Driver()
    carried: list[Header] = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff")]
    first = told(0, "running")
    again = told(1, "running", extra=[*carried, ("pulse.redelivered", b"true"), ("x", b"1")])
    task.process(push(), first, again)
    assert states(task) == [("running", None)]
    assert task.outputs[-1] == Output(
        topics.JOBS_SUPPRESSED,
        PARTITION,
        task_id(1).encode(),
        first.value,
        [
            *carried,
            ("pulse.redelivered", b"true"),
            (PREVIOUS_STATE, b"running"),
            (SUPPRESSED_REASON, b"repeat"),
        ],
    )
    assert task.offsets[topics.JOBS_VALID] == 2


def test_steps_backwards_are_suppressed_and_updates_are_not() -> None:
    task = Driver()
    steps = ["running", "pending", "unscheduled", "running", "completed", "completed", "running"]
    task.process(push(), *(told(n, state, f"note {n}") for n, state in enumerate(steps)))
    assert states(task) == [("running", None), ("running", "running"), ("completed", "running")]
    name = task_id(1)
    assert task.suppressed == [
        (name, "stale"),
        (name, "stale"),
        (name, "completed"),
        (name, "completed"),
    ]


def test_another_run_is_another_job() -> None:
    task = Driver()
    task.process(push(), told(0, "completed"), told(1, "pending", number=2))
    assert states(task) == [("completed", None), ("pending", None)]


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"result": "fail", "jobKind": "build"}, "busted"),
        ({"result": "fail", "isRetried": True}, "retry"),
        ({"state": "running"}, "unknown"),
    ],
)
@pytest.mark.parametrize("late", [False, True])
def test_a_result_stands_beside_the_job(fields: dict[str, Any], result: str, late: bool) -> None:
    task = Driver()
    records = [push(), valid(0, **fields)]
    task.process(*(reversed(records) if late else records))
    (output,) = task.outputs
    document = json.loads(output.value or b"")
    assert document["result"] == result
    assert document["job"].get("result") == fields.get("result", "success")
    assert output.headers == []


def test_what_waits_is_judged_when_it_comes_and_leaves_in_order() -> None:
    task = Driver()
    task.process(
        told(0, "pending"),
        told(1, "running"),
        told(2, "pending"),
        told(3, "completed"),
        told(4, "running", "late"),
        push(),
        told(5, "completed"),
    )
    assert states(task) == [("pending", None), ("running", "pending"), ("completed", "running")]
    assert [reason for _, reason in task.suppressed] == ["repeat", "completed", "repeat"]
    assert task.rows[PENDING] == {}


def test_what_is_suppressed_takes_no_room() -> None:
    task = Driver(max_jobs_per_push=1, max_jobs=1)
    task.process(told(0, "running"), told(1, "running"), told(2, "pending"))
    assert [reason for _, reason in task.suppressed] == ["repeat", "stale"]
    assert task.waiting == ids(1)


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


@pytest.mark.parametrize(
    ("steps", "joined", "suppressed"),
    [
        (["pending A", "push B", "completed B", "push A"], "completed", "completed"),
        (["pending A", "running B", "push B", "push A"], "running", "stale"),
        (["pending A", "running B", "push A", "push B"], "pending running", ""),
        (["running A", "running B", "push B", "push A"], "running running", ""),
        # The latest waits for the same push as the first, but another was joined between them.
        (
            ["pending A", "push B", "running B", "completed A", "push A"],
            "running completed",
            "stale",
        ),
        (
            ["pending A", "running B", "push B", "completed A", "push A"],
            "running completed",
            "stale",
        ),
        (
            ["pending A", "running B", "completed A", "push B", "push A"],
            "running completed",
            "stale",
        ),
    ],
)
@pytest.mark.parametrize("max_records", [1, 4_000])
def test_a_job_that_names_two_pushes_never_goes_backwards(
    steps: list[str], joined: str, suppressed: str, max_records: int
) -> None:
    task = Driver(max_records)
    pushes = 0
    for offset, (what, of) in enumerate(map(str.split, steps)):
        key = {"A": KEY, "B": OTHER_KEY}[of]
        if what == "push":
            task.process(push(pushes, key))
            pushes += 1
        else:
            task.process(told(offset, what, of, key=key))
    assert " ".join(state for state, _ in states(task)) == joined
    assert " ".join(reason for _, reason in task.suppressed) == suppressed
    before = [previous for _, previous in states(task, topics.JOBS_SUPPRESSED)]
    assert before == ([joined.split(" ", maxsplit=1)[0]] if suppressed else [])
    assert task.rows[PENDING] == {}


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


def former(record: Message, *dropped: str) -> Message:
    return replace(record, headers=[one for one in record.headers if one[0] not in dropped])


def test_what_a_former_version_has_validated_goes_on_unjudged() -> None:
    task = Driver()
    record = former(told(0, "completed"), JOB_STATE, JOB_RESULT)
    task.process(push(), record, replace(record, offset=1))
    assert states(task) == [("completed", None)] * 2
    assert [json.loads(one.value or b"")["result"] for one in task.outputs] == ["unknown"] * 2
    assert task.rows[STATES] == {}


def test_what_comes_later_is_judged_without_what_a_former_version_has_validated() -> None:
    task = Driver()
    task.process(
        former(told(0, "completed"), JOB_STATE, JOB_RESULT),
        told(1, "running"),
        told(2, "completed"),
        push(),
        told(3, "running"),
    )
    assert states(task) == [("completed", None), ("running", None), ("completed", "running")]
    assert [reason for _, reason in task.suppressed] == ["repeat"]


def test_rows_of_a_former_version_are_released_and_expire() -> None:
    task = Driver()
    for number, key in enumerate((KEY, OTHER_KEY)):
        pairs = [("pulse.cc", b"\xff"), (JOB_ID, task_id(number).encode())]
        row = Waiting(NOW, pairs, valid(number, key).value or b"").pack()
        task.rows[PENDING][key + b"\0%020d" % number] = row
    task.restart()
    task.process(push())
    task.tick(NOW + MAX_AGE * 1_000)
    joined, expired = task.outputs
    assert json.loads(joined.value or b"")["result"] == "unknown"
    assert joined.headers == [("pulse.cc", b"\xff")]
    assert (joined.key, expired.key) == (task_id(0).encode(), task_id(1).encode())
    assert expired.topic == topics.JOBS_EXPIRED


@pytest.mark.parametrize("state", [b"", b"done", b"Running", None])
@pytest.mark.parametrize("result", [b'","x":"', b"fail", None])
def test_strange_words_of_strangers_go_no_further(state: Any, result: Any) -> None:
    task = Driver()
    record = former(told(0, "completed"), JOB_STATE, JOB_RESULT)
    strange = [(JOB_STATE, state), (JOB_RESULT, result), (PREVIOUS_STATE, b"x")]
    task.process(push(), replace(record, headers=[*record.headers, *strange]))
    (output,) = task.outputs
    assert json.loads(output.value or b"")["result"] == "unknown"
    assert output.headers == []
