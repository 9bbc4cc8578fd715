"""The rules of a job's lifecycle, each by itself: states, repeats, results, and what is kept."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from pipeline import lifecycle
from pipeline.lifecycle import (
    MAX_UPDATES,
    NOTHING,
    RESULTS,
    ROUNDS,
    STATES,
    SWEEP_ROWS,
    JobStates,
    Memory,
    Update,
    Verdict,
    known_result,
    update_of,
    verdict,
)
from pipeline.runtime.draft import Table
from tests.examples import DictRows, job, job_2016, without

HOUR = 3_600_000


def update(state: str, content: str = "") -> Update:
    found = update_of(state.encode(), f"{state} {content}".encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("before", "now", "reason"),
    [
        ("unscheduled", "unscheduled", None),
        ("unscheduled", "pending", None),
        ("unscheduled", "running", None),
        ("unscheduled", "completed", None),
        ("pending", "unscheduled", "stale"),
        ("pending", "pending", None),
        ("pending", "running", None),
        ("pending", "completed", None),
        ("running", "unscheduled", "stale"),
        ("running", "pending", "stale"),
        ("running", "running", None),
        ("running", "completed", None),
        ("completed", "unscheduled", "completed"),
        ("completed", "pending", "completed"),
        ("completed", "running", "completed"),
        ("completed", "completed", "completed"),
    ],
)
def test_which_states_may_follow_each_other(before: str, now: str, reason: str | None) -> None:
    found = verdict([update(before, "one")], update(now, "other"))
    assert found == Verdict(reason.encode() if reason else None, before.encode())


@pytest.mark.parametrize("state", [state.decode() for state in STATES])
def test_the_first_that_is_heard_of_a_job_goes_on(state: str) -> None:
    assert verdict([], update(state)) == Verdict(None, None)


@pytest.mark.parametrize("state", [state.decode() for state in STATES])
def test_the_same_bytes_are_a_repeat_whatever_came_since(state: str) -> None:
    taken = [update(state, "one")]
    taken += [update(later.decode()) for later in STATES[taken[0][0] + 1 :]]
    assert verdict(taken, update(state, "one")).reason == b"repeat"


def test_what_tells_no_state_is_no_update() -> None:
    for state in (None, b"", b"Running", b"done"):
        assert update_of(state, b"{}") is None


@pytest.mark.parametrize(
    ("fields", "result"),
    [
        ({"result": "success"}, "success"),
        ({"result": "fail", "jobKind": "test"}, "testfailed"),
        ({"result": "fail", "jobKind": "build"}, "busted"),
        ({"result": "fail", "jobKind": "other"}, "busted"),
        ({"result": "exception"}, "exception"),
        ({"result": "canceled"}, "usercancel"),
        ({"result": "retry"}, "retry"),
        ({"result": "superseded"}, "superseded"),
        ({"result": "unknown"}, "unknown"),
        ({"result": "fail", "isRetried": True}, "retry"),
        ({"result": "success", "isRetried": True}, "retry"),
        ({"result": "fail", "isRetried": False}, "testfailed"),
        ({"result": "fail", "isRetried": True, "state": "running"}, "unknown"),
        ({"result": "success", "state": "running"}, "unknown"),
        ({"result": "success", "state": "pending"}, "unknown"),
        ({"result": "success", "state": "unscheduled"}, "unknown"),
    ],
)
def test_results(fields: dict[str, Any], result: str) -> None:
    document = job(**fields)
    assert schemas.validator("pulse-job").is_valid(document)
    assert lifecycle.result(document) == result.encode()
    assert known_result(result.encode()) == result.encode()


def test_a_completed_job_without_a_result() -> None:
    assert lifecycle.result(without(job(), "result")) == b"unknown"
    assert lifecycle.result(without(job_2016(isRetried=True), "result")) == b"retry"


def test_only_words_of_ours_are_results() -> None:
    for word in (None, b"", b"fail", b'","job":{', b"SUCCESS"):
        assert known_result(word) == b"unknown"
    form = schemas.load("joined-job")["properties"]["result"]["enum"]
    assert {word.encode() for word in form} == RESULTS


def test_states_are_those_of_the_forms() -> None:
    for name in ("pulse-job", "pulse-job-2016"):
        form = schemas.load(name)["properties"]["state"]["enum"]
        assert [word.encode() for word in form] == list(STATES)


updates = st.builds(Update, st.binary(min_size=9, max_size=9))


@given(
    st.integers(-1, 2**62),
    st.lists(updates, min_size=1, max_size=MAX_UPDATES),
    st.binary(),
    st.integers(0, len(STATES)),
)
def test_a_row_gives_back_what_it_was_made_of(
    since: int, taken: list[Update], waiting: bytes, floor: int
) -> None:
    memory = Memory(since, taken, waiting, floor)
    assert Memory.unpack(memory.pack()) == memory


def test_a_row_is_small() -> None:
    taken = [update("pending"), update("running"), update("completed")]
    assert len(Memory(1_700_000_000_000, taken).pack()) == 36


class States:
    """The table with what it is made of, committed after each step."""

    def __init__(self) -> None:
        self.rows = DictRows()
        self.table = Table(self.rows)
        self.states = JobStates(self.table)

    def commit(self) -> None:
        self.rows.commit(self.table.changes)
        self.table.clear()

    def take(self, *given: Update, job_id: bytes = b"a", since: int = 0) -> None:
        for one in given:
            self.states.take(job_id, self.states.recall(job_id), one, since)
        self.commit()

    def judge(self, one: Update, job_id: bytes = b"a") -> Verdict:
        return verdict(self.states.recall(job_id).taken, one)

    def sweep(self, now: int, *waiting: bytes, max_age: int = 3 * HOUR) -> list[bytes]:
        """Sweep once with an hour's memory, and return what is left."""
        for _ in self.states.sweep(now, HOUR, max_age, lambda key: key in waiting):
            self.commit()
        self.commit()
        return sorted(self.rows)


def test_a_job_has_a_memory_of_its_own() -> None:
    task = States()
    task.take(update("completed"))
    assert task.judge(update("pending")).reason == b"completed"
    for other in (b"a/0", b"b", b"A"):
        assert task.judge(update("completed"), other) == Verdict(None, None)


def test_so_many_updates_are_remembered() -> None:
    task = States()
    many = [update("running", str(number)) for number in range(MAX_UPDATES + 1)]
    task.take(*many)
    reasons = [task.judge(one).reason for one in many]
    assert reasons == [None] + [b"repeat"] * MAX_UPDATES
    assert task.judge(update("pending")).reason == b"stale"


def test_what_is_forgotten_is_taken_again() -> None:
    task = States()
    task.take(update("running"))
    task.states.forget(b"a", b"running ")
    task.commit()
    assert task.rows == {}
    assert task.judge(update("running")) == Verdict(None, None)


def test_what_came_before_a_forgotten_update_counts_again() -> None:
    task = States()
    task.take(update("pending"), update("running"), update("completed"))
    task.states.forget(b"a", b"completed ")
    assert task.judge(update("completed")) == Verdict(None, b"running")
    assert task.judge(update("running")) == Verdict(b"repeat", b"running")
    task.states.forget(b"a", b"pending ")
    assert task.judge(update("pending")) == Verdict(b"stale", b"running")


def test_what_is_not_remembered_can_be_forgotten() -> None:
    task = States()
    task.states.forget(b"a", b"running ")
    task.take(update("pending"))
    task.states.forget(b"a", b"running ")
    assert task.table.changes == {}


def test_a_job_is_forgotten_when_nothing_was_heard_of_it_for_so_long() -> None:
    task = States()
    task.take(update("completed"), job_id=b"a", since=0)
    task.take(update("pending"), job_id=b"b", since=HOUR // 2)
    assert task.sweep(HOUR - 1) == [b"a", b"b"]
    assert task.sweep(HOUR - 1 + HOUR // ROUNDS) == [b"b"]
    task.take(update("running"), job_id=b"b", since=HOUR)
    assert task.sweep(2 * HOUR - 1) == [b"b"]
    assert task.sweep(3 * HOUR) == []


def test_a_job_that_waits_is_not_forgotten() -> None:
    task = States()
    task.states.take(b"a", NOTHING, update("completed"), 0, b"push", b"push\x000")
    task.commit()
    assert task.sweep(2 * HOUR, b"push\x000") == [b"a"]
    assert task.sweep(3 * HOUR, b"push\x001") == []


def test_a_job_of_several_pushes_is_remembered_while_any_may_wait() -> None:
    task = States()
    task.states.take(b"a", NOTHING, update("pending"), 0, b"push", b"push\x000")
    task.states.take(b"a", task.states.recall(b"a"), update("running"), 0, b"other")
    task.commit()
    assert task.sweep(3 * HOUR) == [b"a"]
    assert task.states.release(b"a", b"pending ", 3 * HOUR, 0) == Verdict(b"stale", b"running")
    assert task.sweep(3 * HOUR + HOUR // ROUNDS + HOUR) == []


@pytest.mark.parametrize(("late", "since"), [(HOUR, HOUR), (HOUR + 1, 5 * HOUR)])
def test_what_waited_long_is_remembered_from_its_joining(late: int, since: int) -> None:
    task = States()
    task.states.take(b"a", NOTHING, update("completed"), HOUR, b"push", b"push\x000")
    before = task.states.recall(b"a")
    assert task.states.release(b"a", b"completed ", 5 * HOUR, late) == Verdict(None, None)
    assert task.states.recall(b"a") == before._replace(since=since)


def test_a_sweep_looks_at_so_many_rows_at_a_time_and_rests_between_rounds() -> None:
    task = States()
    for number in range(2 * SWEEP_ROWS + 10):
        task.states.take(b"%06d" % number, NOTHING, update("completed"), 0)
    task.commit()
    left = [len(task.sweep(HOUR)) for _ in range(4)]
    assert left == [SWEEP_ROWS + 10, 10, 0, 0]
    # The round has ended; what is due later waits for the next.
    task.take(update("completed"), since=0)
    assert task.sweep(HOUR + HOUR // ROUNDS - 1) == [b"a"]
    assert task.sweep(HOUR + HOUR // ROUNDS) == []


def test_digests_tell_jobs_apart_by_any_byte() -> None:
    sent = json.dumps(job()).encode()
    for other in (sent + b" ", b" " + sent, sent.replace(b"bc3", b"bc4")):
        assert update_of(b"completed", other) != update_of(b"completed", sent)
