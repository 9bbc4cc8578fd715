"""Where a job is, by what is known of it."""

import pytest

from lookup.answers import Moment, answer
from lookup.events import Event

NOW = 1_770_000_000_000
DAY = 86_400_000
AT = Moment(NOW, 7 * DAY, workers=1)
IDLE = AT._replace(workers=0)
PUSH = "try:ab"

INBOX = Event("inbox", "jobs.inbox", 1, 8, NOW - 9_000, "completed", PUSH)
VALID = Event("valid", "jobs.valid", 2, 6, NOW - 8_000, "completed", PUSH)
ROW = Event("waiting", "changelog", 2, 4, NOW - 7_000, "completed", PUSH, waits=True)
LEFT_ROW = ROW._replace(waits=False)
JOINED = Event("joined", "jobs.joined", 2, 3, NOW - 6_000, "completed", PUSH, "testfailed")
REPEAT = Event(
    "suppressed", "jobs.suppressed", 2, 2, NOW - 5_000, "completed", PUSH, "repeat", "completed"
)
STALE = REPEAT._replace(time=NOW - 4_000, state="pending", reason="stale", detail="running")
EXPIRED = Event("expired", "jobs.expired", 2, 1, NOW, "completed", PUSH, "push-unknown")
LETTER = Event(
    "dead-letter", "jobs.dead-letter", 1, 0, NOW, "", "", "invalid-job", "tier: 4 is too much"
)


def told(*events: Event, at: Moment = AT) -> tuple[str, str]:
    found = answer(events, at)
    assert "\n" not in found.sentence
    assert found.sentence.startswith(found.word.replace("-", " ") + ": ")
    return found.word, found.sentence


def test_nothing() -> None:
    assert told()[0] == "not-seen"


def test_it_waits() -> None:
    word, sentence = told(INBOX, VALID, ROW)
    assert word == "push-unknown"
    assert "for the push try:ab since 2026-02-02T02:39:53Z (7 s)" in sentence
    assert sentence.endswith("and expires at 2026-02-09T02:39:53Z")


def test_several_messages_wait_for_several_pushes() -> None:
    _, sentence = told(ROW, ROW._replace(time=NOW, push="try:cd"))
    assert "for the pushes try:ab, try:cd since 2026-02-02T02:39:53Z" in sentence
    assert sentence.endswith("(the first of its 2 messages)")


def test_it_should_have_expired() -> None:
    row = ROW._replace(time=NOW - 8 * DAY)
    assert "and should have expired at 2026-02-01T" in told(row)[1]
    assert told(row)[1].endswith("Z")
    assert told(row, at=IDLE)[1].endswith("start one with `faust -A pipeline worker`")


@pytest.mark.parametrize(
    ("before", "said"), [(0, "0 messages before it are"), (1, "1 message before it is")]
)
def test_it_is_behind_lag(before: int, said: str) -> None:
    word, sentence = told(INBOX._replace(before=before))
    assert word == "behind-lag"
    assert "in jobs.inbox/1/8 since 2026-02-02T02:39:51Z (9 s)" in sentence
    assert sentence.endswith(f"{said} still to be read by validate")


def test_it_is_valid_and_behind_lag() -> None:
    word, sentence = told(INBOX, VALID._replace(before=1_234), at=IDLE)
    assert word == "behind-lag"
    assert "in jobs.valid/2/6" in sentence
    assert "1,234 messages before it are still to be read by join; no worker runs" in sentence


def test_it_was_joined() -> None:
    word, sentence = told(INBOX, VALID, LEFT_ROW, JOINED)
    assert word == "joined"
    assert sentence.endswith(
        "the push try:ab at 2026-02-02T02:39:54Z (6 s ago), completed (testfailed)"
    )


def test_a_repeat_is_no_news() -> None:
    assert told(INBOX, JOINED, REPEAT)[0] == "joined"
    assert told(REPEAT)[0] == "suppressed"
    assert told(ROW, REPEAT)[0] == "push-unknown"


def test_it_was_suppressed() -> None:
    word, sentence = told(JOINED, REPEAT, STALE)
    assert word == "suppressed"
    assert "(pending) was held back at 2026-02-02T02:39:56Z (4 s ago) as stale" in sentence
    assert "the job was further on before (it was running)" in sentence
    assert sentence.endswith(
        "; joined before, at 2026-02-02T02:39:54Z (6 s ago), completed (testfailed)"
    )


def test_it_expired() -> None:
    word, sentence = told(INBOX, LEFT_ROW, EXPIRED)
    assert word == "expired"
    assert sentence.endswith("its push try:ab as push-unknown: its push did not come in time")


def test_it_is_invalid() -> None:
    word, sentence = told(INBOX, LETTER)
    assert word == "invalid"
    assert sentence.endswith("as invalid-job: tier: 4 is too much")


def test_what_waits_or_is_unread_comes_before_what_has_left() -> None:
    unread = INBOX._replace(before=3)
    word, sentence = told(JOINED, ROW, unread)
    assert word == "push-unknown"
    assert "; joined before, at " in sentence
    assert sentence.endswith("; 1 later message of it still to be read")
    assert told(JOINED, unread)[0] == "behind-lag"


def test_the_latest_that_left_counts() -> None:
    assert told(JOINED, LETTER)[0] == "invalid"
    assert told(JOINED, LETTER)[1].endswith("completed (testfailed)")
    assert told(LETTER._replace(time=0), JOINED)[0] == "joined"


def test_what_came_of_it_is_not_kept() -> None:
    word, sentence = told(INBOX, VALID)
    assert word == "out-of-sight"
    assert "was read from jobs.valid/2/6" in sentence


def test_a_reason_of_another_version() -> None:
    assert "for a reason unknown here" in told(EXPIRED._replace(reason="new"))[1]
    assert "for a reason unknown here" in told(STALE._replace(reason="new"))[1]
