"""What is pure about letters: where they go back to, what is said of them, which are meant."""

import json
import time
from collections import Counter
from typing import Any

import click
import pytest
from aiokafka import TopicPartition

from commands.arguments import PositionType, Since
from letters import letter as letter_module
from letters.letter import Letter, Position, Selection, marked
from letters.reading import Span, behind
from letters.replay import Tally
from letters.wording import SHOWN_CHARACTERS, indented, line, page, summary, whole
from pulseload.headers import Header
from pulseload.topics import (
    INPUT_MAX_BYTES,
    JOBS_DEAD_LETTER,
    JOBS_EXPIRED,
    JOBS_INBOX,
    PUSHES_DEAD_LETTER,
    PUSHES_INBOX,
    REPLAYED,
)
from tests.examples import Message, body, job

WHY: list[Header] = [
    ("pulseload.error.reason", b"invalid-job"),
    ("pulseload.error.message", b"'tier' is wrong"),
    ("pulseload.error.stage", b"validate"),
    ("pulseload.error.topic", b"jobs.inbox"),
    ("pulseload.error.partition", b"2"),
    ("pulseload.error.offset", b"41"),
    ("pulseload.error.index", b"3"),
]
CARRIED: list[Header] = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff")]


def letter(value: bytes | None = b"{}", topic: str = JOBS_DEAD_LETTER, **given: Any) -> Letter:
    how = {"headers": [*CARRIED, *WHY], "partition": 2, "offset": 17, "key": b"k", **given}
    return Letter.of(Message(value, topic, **how))


# where it goes back to


def test_it_goes_back_as_it_came() -> None:
    assert letter(b'{"taskId" :1}').back == (JOBS_INBOX, 2, b"k", b'{"taskId" :1}', CARRIED)


@pytest.mark.parametrize(
    ("topic", "reason", "exchange", "inbox"),
    [
        (JOBS_DEAD_LETTER, b"not-json", b"exchange/hgpushes/v1", JOBS_INBOX),
        (JOBS_DEAD_LETTER, b"unknown-exchange", b"exchange/a/jobs", JOBS_INBOX),
        (JOBS_DEAD_LETTER, b"unknown-exchange", b"exchange/hgpushes/v1", PUSHES_INBOX),
        (PUSHES_DEAD_LETTER, b"invalid-push", b"exchange/hgpushes/v1", PUSHES_INBOX),
        (JOBS_EXPIRED, b"push-unknown", b"exchange/a/jobs", JOBS_INBOX),
    ],
)
def test_the_inbox_is_that_of_its_kind(
    topic: str, reason: bytes, exchange: bytes, inbox: str
) -> None:
    given = [("pulse.exchange", exchange), ("pulseload.error.reason", reason)]
    assert letter(topic=topic, headers=given).inbox == inbox


def test_what_is_not_whole_stays() -> None:
    assert letter(None).fault == "no value"
    cut = [*WHY, ("pulseload.error.size", b"2000000"), ("pulseload.error.sha256", b"00")]
    assert letter(headers=cut).fault == "only its beginning was kept"


def test_what_is_larger_than_an_inbox_takes_stays() -> None:
    room = INPUT_MAX_BYTES - 61
    fits = next(size for size in range(room, 0, -1) if letter(b"x" * size).fault is None)
    assert letter(b"x" * (fits + 1)).fault == "larger than jobs.inbox takes"
    # A batch's head is 61 bytes; that of its record, the key and headers come on top.
    assert 0 < room - fits < 100


# what is said of it


def test_what_a_list_tells() -> None:
    one = letter(body(job(taskId="abc/0")), timestamp=1_775_120_400_123)
    assert line(one).split() == [
        "2/17",
        "2026-04-02T09:00:00.123Z",
        "invalid-job",
        "jobs.inbox/2/41[3]",
        "abc/0",
    ]
    assert summary(one) == {
        "topic": JOBS_DEAD_LETTER,
        "position": "2/17",
        "time": "2026-04-02T09:00:00.123Z",
        "job_id": "abc/0",
        "error": {
            "reason": "invalid-job",
            "message": "'tier' is wrong",
            "stage": "validate",
            "topic": "jobs.inbox",
            "partition": "2",
            "offset": "41",
            "index": "3",
        },
    }


def test_an_expired_job_came_from_its_push() -> None:
    why = [("pulseload.expired.reason", b"too-many"), ("pulseload.expired.push", b"try:abc")]
    one = letter(topic=JOBS_EXPIRED, headers=why)
    assert (one.reason, one.origin) == ("too-many", "try:abc")
    assert summary(one)["expired"] == {"reason": "too-many", "push": "try:abc"}


@pytest.mark.parametrize(
    "value", [None, b"", b"\xff", b"[1]", b"{}", b'{"taskId": 1}', b"[" * 100_000, b'"\xff\xfe"']
)
def test_what_has_no_job_id(value: bytes | None) -> None:
    assert letter(value).job_id is None


def test_a_letter_of_a_stranger_is_told_all_the_same() -> None:
    one = letter(b"", headers=[("other", None)])
    assert line(one).split()[2:] == ["-", "-", "-"]
    assert page(one).endswith("\nother: \n\n")


def test_nothing_moves_a_terminal_s_cursor() -> None:
    one = letter(
        json.dumps({"taskId": "\x1b[2J\u202e", "b": "\x9b"}, ensure_ascii=False).encode(),
        key=b"\x1b]0;\x07",
        headers=[("pulseload.error.reason", b"a\nb\x1b")],
    )
    for text in (line(one), page(one)):
        assert all(character.isprintable() for character in text.replace("\n", ""))
    assert "\n" not in line(one)


def test_all_of_a_letter_as_json() -> None:
    told = whole(letter(b"\xff", key=None))
    assert told["key"] is None
    assert told["value_base64"] == "/w=="
    assert "value" not in told
    assert told["headers"][:2] == [
        {"name": "pulse.exchange", "value": "exchange/guest/jobs"},
        {"name": "pulse.cc", "value_base64": "/w=="},
    ]
    assert whole(letter(b'{"a" :1}'))["value"] == '{"a" :1}'


def test_a_page_shows_json_indented_and_the_rest_as_it_is() -> None:
    assert page(letter(b'{"b":1e999,"b":[]}')).endswith('\n\n{\n  "b": 1e999,\n  "b": []\n}')
    assert page(letter(b'{"b":')).endswith('\n\n{"b":')
    assert page(letter(b"\xff\x00")).endswith("\n\n\\xff\\x00")
    assert page(letter(None)).endswith("\n\n(no value)")


@pytest.mark.parametrize(
    "document",
    [[], {}, "", 'a, {b}: \\"[', 1.5, [[], [{}], {"a": []}], {"a": {"b": [1, "\\"]}, "c": None}],
)
def test_indented_json_is_what_python_would_write(document: object) -> None:
    assert indented(json.dumps(document)) == json.dumps(document, indent=2)


# marks


def test_a_mark_is_about_one_letter_of_one_topic() -> None:
    key = b"jobs.dead-letter/2/17"
    assert letter(timestamp=99).mark == (REPLAYED, 2, key, b"99", [])
    assert marked(JOBS_DEAD_LETTER, key) == 17
    assert marked(PUSHES_DEAD_LETTER, key) is None
    assert letter_module.mark(JOBS_EXPIRED, Position(0, 3), None).value is None


@pytest.mark.parametrize("key", [None, b"", b"\xff", b"jobs.dead-letter/2/", b"/2/17", b"2/17"])
def test_what_is_no_mark(key: bytes | None) -> None:
    assert marked(JOBS_DEAD_LETTER, key) is None


# which are meant


def test_a_selection_is_by_reason_and_time() -> None:
    one = letter(timestamp=1_000)
    assert Selection().takes(one)
    assert Selection(frozenset({"not-json", "invalid-job"})).takes(one)
    assert not Selection(frozenset({"not-json"})).takes(one)
    assert Selection(since=1_000, until=1_001).takes(one)
    assert not Selection(since=1_001).takes(one)
    assert not Selection(until=1_000).takes(one)


def test_what_is_behind_a_position() -> None:
    zero, one, two = (Span(TopicPartition("t", number), 10, 20) for number in range(3))
    assert behind([zero, one, two], Position(1, 14)) == [one._replace(begin=15), two]
    assert behind([zero, one, two], Position(1, 3)) == [one, two]
    assert behind([zero, one, two], Position(2, 30)) == [two._replace(begin=31)]


def test_positions_are_written_as_they_are_shown() -> None:
    kind = PositionType()
    assert kind.convert(str(Position(2, 17)), None, None) == (2, 17)
    for wrong in ("", "2", "2/", "/2", "-1/2", "2/17/1", "2/x", "2/" + "9" * 40, "²/1"):
        with pytest.raises(click.BadParameter):
            kind.convert(wrong, None, None)


def test_times() -> None:
    kind = Since()
    nine = 1_775_120_400_000
    for text in ("2026-04-02T09:00", "2026-04-02T09:00:00Z", "2026-04-02T11:00+02:00"):
        assert kind.convert(text, None, None) == nine
    one = letter(timestamp=nine + 123)
    assert kind.convert(one.time, None, None) == one.timestamp
    assert abs(kind.convert("2h", None, None) - (time.time() - 7_200) * 1_000) < 60_000
    assert kind.convert("999999999d", None, None) == 0
    assert kind.convert("0001-01-01", None, None) == 0
    for wrong in ("", "yesterday", "2w", "-2h", "2026-13-01"):
        with pytest.raises(click.BadParameter):
            kind.convert(wrong, None, None)


def test_a_tally_in_words() -> None:
    assert Tally().said("sent") == "sent none"
    tally = Tally(Counter({"jobs.inbox": 1_500}), Counter({"sent before": 2, "no value": 1}))
    assert tally.said("sent") == "sent 1,500 to jobs.inbox; left: 1 no value, 2 sent before"


def test_a_hostile_body_is_shown_in_bounds() -> None:
    deep = "[" * 900 + "1" + ",1" * 50_000 + "]" * 900
    shown = indented(deep)
    assert len(shown) < 3 * SHOWN_CHARACTERS
    assert shown.endswith(" …")
    assert indented('{"a":[1,2]}') == '{\n  "a": [\n    1,\n    2\n  ]\n}'
