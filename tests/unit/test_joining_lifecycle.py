"""The join stage and the lifecycle of jobs: what goes on, and what is suppressed."""

import json
from dataclasses import replace
from typing import Any

import pytest

from pipeline.joining import PENDING, STATES
from pipeline.pending import Waiting
from pipeline.runtime.draft import Output
from pulseload import topics
from pulseload.headers import (
    JOB_ID,
    JOB_RESULT,
    JOB_STATE,
    PREVIOUS_STATE,
    SUPPRESSED_REASON,
    Header,
)
from tests.examples import Message, task_id
from tests.unit.joining import (
    KEY,
    MAX_AGE,
    NOW,
    OTHER_KEY,
    PARTITION,
    Driver,
    event,
    ids,
    push,
    states,
    told,
    valid,
)


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
            *event("suppressed", 1),
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
    assert output.headers == event("joined", 0)


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
    assert joined.headers == [("pulse.cc", b"\xff"), *event("joined", 0)]
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
    assert output.headers == event("joined", 1, 0)
