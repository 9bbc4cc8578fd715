"""What records tell of one job."""

from collections import Counter

import pytest
from aiokafka import TopicPartition

from lookup.events import MAX_EVENTS, STAGES, Event, Events, push_named
from pipeline import joining
from pipeline.pending import Waiting
from pulseload import headers, topics
from tests.examples import REVISION, REVISION_HASH, TASK_ID, Message, body, job, job_2016, push

KEY = f"try:{REVISION}"
ID = TASK_ID.encode()
MIRROR = "pulse.some.jobs"
PENDING = "some-pending-jobs-changelog"
ROW = KEY.encode() + b"\0%020d" % 7
INBOXES = (MIRROR, topics.JOBS_INBOX)


@pytest.fixture
def events() -> Events:
    return made(0)


def made(read: int) -> Events:
    """Return events where all partitions were read up to an offset."""
    return Events(
        TASK_ID,
        INBOXES,
        PENDING,
        {TopicPartition(topic, 0): read for topic in (*INBOXES, topics.JOBS_VALID)},
    )


def only(events: Events) -> Event:
    (event,) = events.all()
    return event


def row(since: int = 5, task_id: str = TASK_ID) -> bytes:
    given = [(headers.JOB_ID, task_id.encode())]
    return Waiting(since, given, body(job(taskId=task_id))).pack()


def test_a_message_in_a_mirror(events: Events) -> None:
    given = [
        (headers.EXCHANGE, b"exchange/some/jobs"),
        (headers.ROUTING_KEY, b"try.key"),
        (headers.REDELIVERED, b"true"),
    ]
    events.visit(Message(body(job(state="running")), MIRROR, offset=9, headers=given))
    event = only(events)
    assert (event.stage, event.place, event.state) == ("inbox", f"{MIRROR}/0/9", "running")
    assert event.push == KEY
    assert event.detail == "exchange/some/jobs try.key redelivered"
    assert events.pushes() == {KEY}


def test_other_jobs_are_passed_over(events: Events) -> None:
    other = job(taskId=TASK_ID.replace("/0", "/1"), coalesced=[TASK_ID])
    for value in (body(other), body([other, 1]), b"", None):
        events.visit(Message(value))
    for topic in (topics.JOBS_VALID, topics.JOBS_JOINED, topics.JOBS_DEAD_LETTER, PENDING):
        events.visit(Message(body(other), topic) if topic != PENDING else Message(None, topic))
    events.visit(Message(row(task_id=TASK_ID + "1"), PENDING, key=ROW))
    assert events.all() == []


def test_a_job_of_a_list_and_one_whose_slash_is_escaped(events: Events) -> None:
    escaped = body(job()).replace(b"/", rb"\/")
    events.visit(Message(b"[1, {}, " + escaped + b"]"))
    assert only(events).detail == "item 2"


@pytest.mark.parametrize("value", [b'{"taskId": "%b", ' % ID, b'["%b", ]' % ID])
def test_a_body_that_cannot_be_read_but_names_it(events: Events, value: bytes) -> None:
    events.visit(Message(value))
    event = only(events)
    assert (event.state, event.push) == ("", "")


@pytest.mark.parametrize(("read", "before"), [(10, None), (9, 0), (2, 7), (0, 9)])
def test_what_is_not_read_yet(read: int, before: int | None) -> None:
    given = [(headers.JOB_ID, ID), (headers.JOB_STATE, b"completed")]
    events = made(read)
    events.visit(Message(body(job()), offset=9))
    events.visit(Message(body(job()), topics.JOBS_VALID, key=KEY.encode(), offset=9, headers=given))
    inbox, valid = events.all()
    assert (inbox.before, valid.before) == (before, before)
    assert (valid.stage, valid.state, valid.push) == ("valid", "completed", KEY)


def test_a_row_waits_until_it_is_deleted(events: Events) -> None:
    events.visit(Message(row(5), PENDING, key=ROW, offset=1))
    assert only(events)[:6] == ("waiting", PENDING, 0, 1, 5, "completed")
    assert only(events).push == KEY
    # Another row, and the same of another partition.
    events.visit(Message(None, PENDING, key=ROW[:-1] + b"8", offset=2))
    events.visit(Message(None, PENDING, key=ROW, offset=2, partition=1))
    assert only(events).waits
    events.visit(Message(row(6), PENDING, key=ROW, offset=3))
    assert (only(events).time, only(events).offset, only(events).waits) == (6, 3, True)
    events.visit(Message(None, PENDING, key=ROW, offset=4))
    assert (only(events).offset, only(events).waits) == (3, False)


def test_a_job_that_was_joined(events: Events) -> None:
    for sent in (job(state="running"), job()):
        value = joining.joined(body(sent), body(push()), b"success")
        events.visit(Message(value, topics.JOBS_JOINED, key=ID))
    running, completed = events.all()
    assert (running.stage, running.push, running.state, running.reason) == (
        "joined",
        KEY,
        "running",
        "",
    )
    assert (completed.state, completed.reason) == ("completed", "success")


def test_a_job_that_left_another_way(events: Events) -> None:
    held = [(headers.SUPPRESSED_REASON, b"stale"), (headers.PREVIOUS_STATE, b"running")]
    gone = [(headers.EXPIRED_REASON, b"too-many"), (joining.EXPIRED_PUSH, b"try:other")]
    events.visit(Message(body(job()), topics.JOBS_SUPPRESSED, key=ID, headers=held, timestamp=1))
    events.visit(Message(body(job()), topics.JOBS_EXPIRED, key=ID, headers=gone, timestamp=2))
    suppressed, expired = events.all()
    assert (suppressed.reason, suppressed.detail) == ("stale", "running")
    assert (expired.reason, expired.push) == ("too-many", "try:other")


def test_a_dead_letter(events: Events) -> None:
    given = [(headers.ERROR_REASON, b"invalid-job"), (headers.ERROR_MESSAGE, b"tier: no")]
    events.visit(Message(body(job(tier=9)), topics.JOBS_DEAD_LETTER, headers=given))
    event = only(events)
    assert (event.stage, event.reason, event.detail) == ("dead-letter", "invalid-job", "tier: no")


def test_events_are_bounded(events: Events) -> None:
    for offset in range(MAX_EVENTS + 3):
        events.visit(Message(body(job()), offset=offset))
        events.visit(Message(row(), PENDING, key=ROW))
        events.visit(Message(None, PENDING, key=ROW))
    found = events.all()
    assert Counter(one.stage for one in found) == {"inbox": MAX_EVENTS, "waiting": MAX_EVENTS}
    assert max(one.offset for one in found) == MAX_EVENTS + 2


def test_events_of_one_moment_stand_in_the_order_of_the_flow(events: Events) -> None:
    given = [(headers.JOB_ID, ID)]
    for topic in (topics.JOBS_JOINED, topics.JOBS_VALID, topics.JOBS_INBOX):
        events.visit(Message(body(job()), topic, key=ID, headers=given))
    assert [one.stage for one in events.all()] == ["inbox", "valid", "joined"]
    assert STAGES.index("inbox") == 0


@pytest.mark.parametrize(
    ("document", "named"),
    [
        (job(), KEY),
        (job_2016(project="try"), KEY),
        (
            {"origin": {"kind": "hg.mozilla.org", "project": "try", "revision_hash": "ab"}},
            "try:ab",
        ),
        ({"origin": {"project": "try", "revision_hash": REVISION_HASH}}, ""),
        ({"origin": {"project": 1, "revision": REVISION}}, ""),
        ({"origin": {"project": "try", "revision": None}}, ""),
        ({"origin": []}, ""),
        ({}, ""),
        (None, ""),
    ],
)
def test_the_push_that_a_job_names(document: object, named: str) -> None:
    assert push_named(document) == named
