"""What comes out is a CloudEvent: one of its own, and the same one if it is made again."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridges.record import KEPT_BYTES, too_large
from pipeline.runtime.draft import Output
from pulseload import topics
from pulseload.headers import REDELIVERED, Header
from tests.examples import Message, body, job
from tests.unit.joining import KEY, MAX_AGE, NOW, OTHER_KEY, Driver, event, push, told
from tests.unit.test_mirror import JOBS, MIRROR, delivery
from tests.unit.validating import outputs

CE = ("ce_id", "ce_source", "ce_type", "ce_specversion")
STRANGE: list[Header] = [(name, b"theirs") for name in (*CE, "ce_time", "content-type")]


def names(given: Iterable[Header]) -> list[str]:
    return [name for name, _ in given if name.startswith("ce_")]


def ids_of(found: Iterable[Output]) -> list[bytes]:
    return [dict(one.headers)["ce_id"] for one in found]


updates = st.lists(
    st.tuples(
        st.sampled_from(["pending", "running", "completed"]),
        st.integers(0, 2),
        st.sampled_from([KEY, OTHER_KEY]),
    ),
    min_size=1,
    max_size=12,
)


def run(records: list[Message], late: list[Message], max_records: int, commits: int) -> Driver:
    """Feed a task that is killed after some commits and begins again."""
    task = Driver(max_records, max_jobs_per_push=4)
    task.process(*records, commits=commits)
    task.process(*records)
    task.process(*late, commits=commits)
    task.process(*late)
    task.tick(NOW + MAX_AGE * 1_000)
    assert task.waiting == []
    return task


@given(updates, st.integers(0, 4), st.integers(1, 9))
def test_each_update_is_one_event_and_the_same_after_any_kill(
    steps: list[tuple[str, int, bytes]], commits: int, max_records: int
) -> None:
    records = [
        told(at, state, number=number, key=key, extra=STRANGE)
        for at, (state, number, key) in enumerate(steps)
    ]
    killed = run(records, [push()], max_records, commits).outputs
    whole = run(records, [push()], 4_000, 99).outputs
    assert all(names(one.headers) == list(CE) for one in killed)
    assert max(Counter(ids_of(killed)).values()) == 1
    assert len(killed) == len(records)
    assert sorted(ids_of(killed)) == sorted(ids_of(whole))


def test_what_waited_has_the_id_that_it_would_have_had_at_once() -> None:
    late, soon = Driver(), Driver()
    late.process(told(3, "running"), push())
    late.process(push())
    soon.process(push(), told(3, "running"))
    assert late.outputs[0].headers == soon.outputs[0].headers == event("joined", 1, 3)


@pytest.mark.parametrize("topic", [topics.JOBS_INBOX, topics.PUSHES_INBOX])
def test_a_dead_letter_is_known_by_its_place(topic: str) -> None:
    listed = Message(b'[1, {"a": 1}]', topic, 2, 17, headers=STRANGE)
    whole = replace(listed, value=b"junk", offset=18)
    found = outputs(listed, whole)
    assert ids_of(found) == [f"{topic}@2-{place}".encode() for place in ("17-0", "17-1", "18")]
    what = "job" if topic == topics.JOBS_INBOX else "push"
    for one in found:
        assert names(one.headers) == list(CE)
        told = dict(one.headers)
        assert told["ce_source"] == b"/pulseload/validate"
        assert told["ce_type"] == f"pulseload.{what}.refused".encode()
        assert told["ce_specversion"] == b"1.0"


def test_what_the_bridge_refuses_is_the_same_event_when_it_is_delivered_again() -> None:
    content = body(job())
    stray = delivery(content, exchange="other", properties={"message_id": "1"})
    first = MIRROR.record(stray)
    assert names(first.headers) == list(CE)
    again = MIRROR.record(stray._replace(redelivered=True))
    assert (REDELIVERED, b"true") in again.headers
    assert dict(again.headers)["ce_id"] == dict(first.headers)["ce_id"]
    assert dict(first.headers)["ce_id"].startswith(b"pulse.other@")
    assert dict(first.headers)["ce_source"] == b"/pulseload/bridge"


def test_what_the_bridge_refuses_is_told_from_what_is_alike() -> None:
    content = body(job())
    others = [
        MIRROR.record(delivery(content, exchange="other")),
        MIRROR.record(delivery(content, exchange="another")),
        MIRROR.record(delivery(content, exchange="other", routing_key=b"x")),
        MIRROR.record(delivery(content + b" ", exchange="other")),
        MIRROR.record(delivery(content, exchange="other", properties={"message_id": "1"})),
        too_large(MIRROR.record(delivery(content + b" " * KEPT_BYTES))),
        too_large(MIRROR.record(delivery(content + b" " * (KEPT_BYTES + 1)))),
    ]
    assert len({dict(one.headers)["ce_id"] for one in others}) == len(others)


def test_what_the_bridge_mirrors_is_no_event() -> None:
    table = {"application_headers": dict.fromkeys(CE, "theirs")}
    record = MIRROR.record(delivery(body(job()), exchange=JOBS, properties=table))
    assert names(record.headers) == []
