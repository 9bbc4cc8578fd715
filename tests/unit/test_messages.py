"""What `pulseload inspect` makes of messages, whatever is in them."""

import json
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest

from bridges.deliveries import Delivery
from lookup.messages import Message, line, page, wanted
from tests.examples import job

NOON = datetime(2026, 4, 2, 12, tzinfo=UTC)
KEY = "tc-treeherder.try.1"


def message(body: bytes, size: int | None = None, **properties: Any) -> Message:
    digest = sha256(body).hexdigest() if size else None
    delivery = Delivery(
        *(1, False, b"exchange/tester/jobs", KEY.encode()),
        *(properties, body, size or len(body), digest),
    )
    return Message.of(delivery, NOON)


def of(document: Any) -> Message:
    return message(json.dumps(document).encode())


@pytest.mark.parametrize(
    "condition",
    [
        "taskId",
        KEY,
        "origin.project=try",
        "state=completed",
        "tier=1",
        "coalesced=null",
        "flags.late=true",
        "logs.name=second",
        "logs.steps.name=third",
    ],
)
def test_what_is_matched(condition: str) -> None:
    steps = [{"name": "third"}]
    document = job(
        project="try",
        state="completed",
        tier=1,
        coalesced=None,
        flags={"late": True},
        logs=[{"name": "first"}, {"name": "second", "steps": steps}],
    )
    assert wanted(of(document), [condition])
    assert wanted(of([1, document]), [condition])


@pytest.mark.parametrize(
    "condition", ["absent", "absent=1", "project=try", "origin=try", "origin.project=tr", "tier=01"]
)
def test_what_is_not_matched(condition: str) -> None:
    assert not wanted(of(job(project="try", tier=1)), [condition])


def test_all_conditions_must_hold() -> None:
    one = of({"state": "running", "tier": 1})
    assert wanted(one, [])
    assert wanted(one, ["state=running", "tier=1"])
    assert not wanted(one, ["state=running", "tier=2"])


def test_a_text_is_looked_for_in_all_routing_keys() -> None:
    copied = message(b"{}", application_headers={"CC": ["route.one", 7]})
    assert wanted(copied, ["route."])
    assert copied.copies == ["route.one", "7"]


def test_a_line_says_all_as_json() -> None:
    one = message(b'{"a": "\xc3\xa9"}', timestamp=1_775_120_400, application_headers={"CC": ["x"]})
    assert "\n" not in line(one)
    assert json.loads(line(one)) == {
        "received": "2026-04-02T12:00:00.000+00:00",
        "exchange": "exchange/tester/jobs",
        "routing_key": KEY,
        "cc": ["x"],
        "timestamp": 1_775_120_400,
        "size": 11,
        "cut": False,
        "body": {"a": "é"},
    }


def test_a_page_is_laid_out() -> None:
    one = message('{"a": ["é", 1]}'.encode(), application_headers={"CC": ["route.x"]})
    assert page(one) == (
        f"2026-04-02 12:00:00Z  {KEY}  16 bytes\nalso route.x\n"
        '{\n  "a": [\n    "é",\n    1\n  ]\n}\n'
    )


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"\xff\xfe", b"NaN", b"[1e999]", b"9" * 5_000),
        *(b"[" * 100_000, b"[" * 900 + b"]" * 900, b'"\\ud800"'),
    ],
)
def test_any_body_is_shown(body: bytes) -> None:
    one = message(body)
    said = json.loads(line(one), parse_constant=pytest.fail)
    assert ("text" in said) != ("body" in said)
    page(one).encode()
    assert not wanted(one, ["a=b"])


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    assert json.loads(line(message(b"a\xff")))["text"] == "a\\xff"


def test_nothing_in_a_message_commands_the_terminal() -> None:
    harm = "\x1b]0;title\x07\x9b2J\u202e\r"
    for body in (json.dumps(harm).encode(), json.dumps(harm, ensure_ascii=False).encode(), b"\x1b"):
        one = message(body, application_headers={"CC": [harm]})
        assert page(one).replace("\n", "").isprintable()
        assert line(one).isprintable()


def test_a_body_that_was_cut_says_so() -> None:
    one = message(b'{"a": 1', size=2_000_000)
    assert "2,000,000 bytes, the first 7 of them" in page(one)
    said = json.loads(line(one))
    assert (said["cut"], said["size"], said["text"]) == (True, 2_000_000, '{"a": 1')
