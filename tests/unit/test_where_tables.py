"""What the changelogs and the topic of pushes tell: who waits, and what is known of a push."""

import time
from typing import Any

import click
import pytest

from commands import arguments
from lookup import saying
from lookup.tellings import MAX_KEPT, Tellings
from lookup.waiting import Wait, WaitingJob, WaitingJobs, Waits
from pipeline import joining
from pipeline.pending import Waiting
from pulseload import headers, progress, topics
from tests.examples import REVISION, TASK_ID, Message, body, job, push, task_id

KEY = f"try:{REVISION}"
TABLE = "some-pushes-changelog"


def key(push_key: str, offset: int) -> bytes:
    return joining.group(push_key.encode()) + b"\0%020d" % offset


def row(push_key: str, offset: int, since: int, number: int = 0) -> Message:
    given = [(headers.JOB_ID, task_id(number).encode())]
    value = Waiting(since, given, body(job(state="running"))).pack()
    return Message(value, "changelog", 3, key=key(push_key, offset))


def left(push_key: str, offset: int) -> Message:
    return Message(None, "changelog", 3, key=key(push_key, offset))


# who waits


def test_what_waits_is_counted_by_push() -> None:
    waits = Waits()
    for one in (
        row("try:a", 1, 50),
        row("try:b", 2, 20),
        row("try:a", 3, 30),
        left("try:b", 2),
        row("try:c", 4, 10),
        # Renewed: it counts once, from then on.
        row("try:c", 4, 40),
        left("try:never", 9),
        Message(b"?", key=b"no row"),
        Message(b"?"),
    ):
        waits.visit(one)
    assert list(waits.found()) == [Wait("try:a", 2, 30), Wait("try:c", 1, 40)]


def test_a_push_with_an_odd_name() -> None:
    waits = Waits()
    waits.visit(row("try:a\0b", 1, 5))
    assert list(waits.found()) == [Wait("try:a\0b", 1, 5)]


def test_the_jobs_of_one_push_in_the_order_they_leave() -> None:
    jobs = WaitingJobs("try:a")
    for one in (
        row("try:a", 12, 50, 1),
        row("try:a", 3, 60, 2),
        row("try:a", 5, 70, 3),
        row("try:ab", 4, 10, 4),
        left("try:a", 5),
        left("try:a", 99),
    ):
        jobs.visit(one)
    assert jobs.found() == [
        WaitingJob(task_id(2), "running", 60, 3, 3),
        WaitingJob(task_id(1), "running", 50, 3, 12),
    ]


# what is known


def telling(document: Any, offset: int, **how: Any) -> Message:
    value = None if document is None else body(document)
    return Message(value, **{"topic": topics.PUSHES, "key": KEY.encode(), "offset": offset, **how})


def test_who_told_of_a_push_and_what_is_known() -> None:
    found = Tellings(KEY, TABLE, read=2)
    poor = {"project": "try", "revision": REVISION}
    found.visit(telling(poor, 1, headers=[(headers.EXCHANGE, b"exchange/hgpushes/v1")]))
    found.visit(telling(push(), 2))
    found.visit(telling(poor, 3, key=b"try:other"))
    found.visit(telling(push(), 4, topic=TABLE, timestamp=9))
    first, second = found.tellings
    assert (first.source, first.before, first.record) == ("exchange/hgpushes/v1", None, poor)
    assert (second.source, second.before, second.record) == ("pushes.inbox", 0, push())
    assert (found.known, found.known_at) == (push(), 9)
    found.visit(telling(None, 5, topic=TABLE))
    assert found.known is None


def test_who_was_joined_with_it() -> None:
    found = Tellings(KEY, TABLE, read=0)
    others = job(revision="0" * 40, taskId=REVISION)
    for number in range(MAX_KEPT + 2):
        value = joining.joined(body(job()), body(push()), b"success")
        found.visit(Message(value, topics.JOBS_JOINED, offset=number, key=TASK_ID.encode()))
    for value in (
        joining.joined(body(others), body(push()), b"success"),
        b'{"job": "%b"}' % REVISION.encode(),
        b"[%b" % REVISION.encode(),
    ):
        found.visit(Message(value, topics.JOBS_JOINED))
    found.visit(Message(None, topics.JOBS_JOINED))
    assert found.joined_count == MAX_KEPT + 2
    assert len(found.joined) == MAX_KEPT
    assert found.joined[-1][:3] == (TASK_ID, "completed", "success")
    assert found.joined[-1].offset == MAX_KEPT + 1


# how it is said


def test_times() -> None:
    assert saying.moment(1_770_000_000_999) == "2026-02-02T02:40:00Z"
    assert saying.moment(10**18) == f"{10**18} ms"
    lengths = [saying.length(ms) for ms in (-5, 999, 59_000, 60_000, 7_200_000, 200_000_000)]
    assert lengths == ["0 s", "0 s", "59 s", "1 min", "2 h", "2 d"]


def test_columns_and_texts_of_strangers() -> None:
    assert list(saying.columns([("a", "bb"), ("ccc", "")])) == ["a    bb", "ccc"]
    assert saying.shown("a\x1b[2Jé\n") == "a?[2Jé?"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-02T02:40:00Z", 1_770_000_000_000),
        ("2026-02-02T02:40", 1_770_000_000_000),
        ("2026-02-02T03:40+01:00", 1_770_000_000_000),
        ("2026-02-02", 1_769_990_400_000),
    ],
)
def test_a_moment_that_is_named(text: str, moment: int) -> None:
    assert arguments.Since().convert(text, None, None) == moment


def test_a_moment_back_from_now() -> None:
    for text, ms in (("90s", 90_000), ("2h", 7_200_000), ("7d", 604_800_000)):
        back = time.time() * 1_000 - arguments.Since().convert(text, None, None)
        assert ms - 1_000 < back < ms + 60_000
    assert arguments.Since().convert("999999999d", None, None) == 0


@pytest.mark.parametrize("text", ["", "7", "7w", "-7d", "today", "2026-13-01"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(click.BadParameter, match="no time"):
        arguments.Since().convert(text, None, None)


def test_progress_is_shown_on_a_terminal_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for terminal, shown in ((False, ""), (True, "\r\x1b[Kread 1,000 of 4,000\r\x1b[K")):
        monkeypatch.setattr("sys.stderr.isatty", lambda terminal=terminal: terminal)
        line = progress.Progress()
        line.show("read 1,000 of 4,000")
        line.clear()
        assert capsys.readouterr() == ("", shown)
