import json
from typing import Any

import pytest

import schemas
from bridges.pushlog import answers
from bridges.pushlog.answers import Changeset, Entry, Malformed
from bridges.pushlog.records import MAX_BYTES, record
from pipeline import pushes
from pulseload.repositories import Repository
from tests.examples import body
from tests.pushlogs import entry, node

TRY = Repository("try", "https://hg.example.com/try/")


def answer(**found: Any) -> bytes:
    return body({"lastpushid": 9, "pushes": {}, **found})


def push(**changes: Any) -> bytes:
    return answer(pushes={"9": {**entry("try", 9), **changes}})


def test_an_answer_in_full() -> None:
    found = answers.read(answer(pushes={"10": entry("try", 10, 2), "9": entry("try", 9)}))
    assert found.last == 9
    nine, ten = found.pushes
    assert nine == Entry(
        9,
        "user-9@example.com",
        1_770_000_009,
        (Changeset(node("try", 9, 0), "Author 0 <a0@example.com>", "Bug 9 - part 0"),),
    )
    assert [one.node for one in ten.changesets] == [node("try", 10, 0), node("try", 10, 1)]


def test_an_answer_without_full_has_nodes_only() -> None:
    (one,) = answers.read(push(changesets=[node(1)])).pushes
    assert one.changesets == (Changeset(node(1)),)


@pytest.mark.parametrize("last", [None, 0, -1])
def test_an_empty_repository(last: int | None) -> None:
    assert answers.read(answer(lastpushid=last)) == (0, ())


def test_an_obsolete_push_has_no_changesets() -> None:
    (one,) = answers.read(push(changesets=[], obsoletechangesets=[node(1)])).pushes
    assert one.changesets == ()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "no JSON"),
        (b"<html><body>Down</body></html>", 'no JSON (it begins with "<html><body>'),
        (answer()[:-2], "no JSON"),
        (b"\xff\xfe", "no JSON"),
        (answer(x=float("nan")), "no JSON"),
        (b"[" * 100_000, "nested too deep"),
        (b"[]", "JSON, but no object"),
        (b'"unknown revision"', "JSON, but no object"),
        (body({"9": entry("try", 9)}), "not with `pushes` and `lastpushid`"),
        (answer(pushes=[]), "not with `pushes` and `lastpushid`"),
        (answer(lastpushid="9"), 'its lastpushid is "9"'),
        (answer()[:-1] + b', "lastpushid": 1e999}', "its lastpushid is Infinity"),
        (answer(lastpushid=2**53), "its lastpushid is 9007199254740992"),
        (answer(lastpushid=True), "its lastpushid is true"),
        (answer(pushes={"nine": entry("try", 9)}), 'it names a push "nine"'),
        (answer(pushes={"9" * 16: entry("try", 9)}), "it names a push"),
        (answer(pushes={"9": None}), "its push 9 has no list of changesets"),
        (push(changesets="none"), "its push 9 has no list of changesets"),
        (push(changesets=["tip"]), 'its push 9 has a changeset "tip"'),
        (push(changesets=[{}]), "its push 9 has a changeset null"),
    ],
)
def test_what_is_no_answer(content: bytes, text: str) -> None:
    with pytest.raises(Malformed) as found:
        answers.read(content)
    assert text in str(found.value)
    assert len(str(found.value).splitlines()) == 1
    assert len(str(found.value)) < 200


@pytest.mark.parametrize(
    "changes",
    [
        {"user": None, "date": None},
        {"user": " ", "date": "now"},
        {"user": 5, "date": -1},
        {"user": "x" * 5_000, "date": 2**60},
        {"user": "\udced", "date": 1.5},
        {"user": "a\x00b", "date": True},
        {"date": 1e300},
        {"date": 5.0},
        {"changesets": [{"node": node(1)}]},
        {"changesets": [{"node": node(1), "author": 5, "desc": None}]},
        {"changesets": [{"node": node(1), "author": "\ud800", "desc": "caf\udce9"}]},
    ],
)
def test_what_a_record_can_do_without(changes: dict[str, Any]) -> None:
    (one,) = answers.read(push(**changes)).pushes
    document = json.loads(record(TRY, one).value)
    assert list(schemas.validator("push").iter_errors(document)) == []


def test_bytes_that_are_no_utf_8_become_question_marks() -> None:
    (one,) = answers.read(push(changesets=[{"node": node(1), "desc": "caf\udce9"}])).pushes
    assert one.changesets[0].comment == "caf?"


def test_a_record_is_a_push_record() -> None:
    (one,) = answers.read(answer(pushes={"9": entry("try", 9, 3)})).pushes
    key, value, dropped = record(TRY, one)
    tip = node("try", 9, 2)
    assert (key, dropped) == (f"try:{tip}".encode(), "")
    assert json.loads(value) == {
        "project": "try",
        "revision": tip,
        "author": "user-9@example.com",
        "push_timestamp": 1_770_000_009,
        "push_id": 9,
        "url": f"https://hg.example.com/try/rev/{tip}",
        "revisions": [
            {
                "revision": node("try", 9, number),
                "author": f"Author {number} <a{number}@example.com>",
                "comment": f"Bug 9 - part {number}",
            }
            for number in range(3)
        ],
    }
    assert pushes.dump(pushes.load(value)) == value


def test_of_a_long_push_the_last_changesets_are_kept() -> None:
    (one,) = answers.read(answer(pushes={"9": entry("try", 9, 1_000)})).pushes
    found = json.loads(record(TRY, one).value)
    assert [commit["revision"] for commit in found["revisions"]] == [
        node("try", 9, number) for number in range(800, 1_000)
    ]
    assert found["revision"] == node("try", 9, 999)


@pytest.mark.parametrize(
    ("texts", "dropped", "commits", "comments"),
    [
        ((10, 10, 10), "", 3, 3),
        ((MAX_BYTES, 10, 10), "1 comments", 3, 2),
        ((10, 10, MAX_BYTES), "3 comments", 3, 0),
        ((MAX_BYTES // 2, MAX_BYTES // 2, 10), "1 comments", 3, 2),
    ],
)
def test_what_is_too_large_loses_comments_from_the_beginning(
    texts: tuple[int, ...], dropped: str, commits: int, comments: int
) -> None:
    changesets = [
        Changeset(node(size, at), "a", "é" * (size // 2)) for at, size in enumerate(texts)
    ]
    found = record(TRY, Entry(9, "u", 5, tuple(changesets)))
    assert found.dropped == dropped
    assert len(found.value) <= MAX_BYTES
    kept = json.loads(found.value)["revisions"]
    assert (len(kept), sum("comment" in one for one in kept)) == (commits, comments)


def test_what_is_too_large_without_comments_loses_commits_from_the_beginning() -> None:
    changesets = [Changeset(node(at), "a" * 100_000, "c") for at in range(20)]
    found = record(TRY, Entry(9, "u", 5, tuple(changesets)))
    assert found.dropped == "20 comments and 10 commits"
    assert len(found.value) <= MAX_BYTES
    document = json.loads(found.value)
    assert [one["revision"] for one in document["revisions"]] == [node(at) for at in range(10, 20)]
    assert document["revision"] == node(19)


def test_the_announcement_by_pulse_takes_nothing_away() -> None:
    (one,) = answers.read(push()).pushes
    rich = record(TRY, one).value
    tip = node("try", 9, 0)
    announced = {
        "project": "try",
        "revision": tip,
        "author": "user-9@example.com",
        "push_id": 9,
        "url": f"https://hg.example.com/try/rev/{tip}",
    }
    bare = body({"project": "try", "revision": tip})
    for poorer in (body(announced), bare):
        assert pushes.merge(rich, poorer) == rich
        assert pushes.merge(poorer, rich) == rich
