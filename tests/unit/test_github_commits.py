"""Pushes of GitHub: what their commits tell, and what they may lack."""

from typing import Any

import pytest

from pipeline import github, pushes
from tests.examples import changed, github_commit, github_push
from tests.unit.announcing import HEAD, REPOSITORIES, ZEROS, bare, found, revision


def test_a_new_branch_is_known_by_the_webhooks_list() -> None:
    assert found(github_push(base=ZEROS)) == found(github_push())
    # Treeherder goes by the last of it, whatever the head is.
    record = found(github_push(base=ZEROS, head="a" * 40))
    assert (record["revision"], record["head_revision"]) == (HEAD, "a" * 40)
    assert record["revisions"] == [revision(1), revision(2)]
    assert pushes.keys(record) == [f"lamp:{HEAD}".encode(), b"lamp:" + b"a" * 40]


def test_a_new_branch_may_bring_no_commit() -> None:
    message = github_push(base=ZEROS, commits=())
    assert found(message)["revision"] == HEAD
    assert "revisions" not in found(message)
    message["body"]["head_commit"] = github_commit(2)
    assert found(message)["revisions"] == [revision(2)]
    assert found(message)["author"] == "dev2@example.com"


def test_an_annotated_tag_is_not_the_commit() -> None:
    message = github_push(ref="refs/tags/v1", base=ZEROS, head="a" * 40, commits=())
    message["body"]["head_commit"] = github_commit(2)
    record = found(message)
    assert (record["revision"], record["head_revision"]) == (HEAD, "a" * 40)
    moved = changed(message, "details.event", None)
    moved["details"]["event.base.sha"] = moved["body"]["before"] = "c" * 40
    assert found(moved) == record


def test_a_list_that_does_not_end_with_the_head_is_not_sure() -> None:
    message = github_push(commits=[github_commit(1), github_commit(3)])
    assert found(message) == found(bare(message))
    message["body"]["head_commit"] = github_commit(2)
    assert found(message)["revisions"] == [revision(2)]


def test_a_rewound_branch_is_a_push() -> None:
    message = github_push(commits=())
    message["body"]["head_commit"] = github_commit(2)
    assert found(message)["author"] == "dev2@example.com"


@pytest.mark.parametrize(
    ("overrides", "known"),
    [
        ({"author": None}, {"comment"}),
        ({"author": {}}, {"comment"}),
        ({"author": {"name": " ", "email": None}}, {"comment"}),
        ({"message": None}, {"author"}),
        ({"message": ""}, {"author", "comment"}),
        ({"timestamp": None}, {"author", "comment"}),
        ({"timestamp": 1_581_521_352}, {"author", "comment"}),
        ({"timestamp": [], "message": 5}, {"author"}),
        ({"author": "me"}, {"comment"}),
        ({"author": {"name": 5, "email": ["x"]}}, {"comment"}),
    ],
)
def test_what_a_commit_does_not_say(overrides: dict[str, Any], known: set[str]) -> None:
    (commit,) = found(github_push(commits=[github_commit(2, **overrides)]))["revisions"]
    assert set(commit) == {"revision", *known}


def test_long_names_are_cut_to_what_a_record_takes() -> None:
    author = {"name": "n" * 2_001, "email": "e" * 2_001}
    record = found(github_push(commits=[github_commit(2, author=author)]))
    assert record["author"] == "e" * 2_000
    assert record["revisions"][0]["author"] == f"{'n' * 2_000} <{'e' * 2_000}>"


@pytest.mark.parametrize(
    "odd", [{}, {"id": "tip"}, {"id": ZEROS}, {"id": None}, {"id": 5}, None, 5, "tip"]
)
def test_commits_without_an_id_are_left_out(odd: Any) -> None:
    message = github_push(commits=[odd, github_commit(2)])
    assert found(message)["revisions"] == [revision(2)]
    # Where the last has none, what comes before it is not the tip.
    message["body"]["commits"] = [github_commit(1), odd]
    assert found(message)["revisions"] == [revision(2)]
    for base in ("b" * 40, ZEROS):
        message["details"]["event.base.sha"] = base
        message["body"]["head_commit"] = odd
        assert found(message) == found(bare(message))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("body.commits", {"0": 5}),
        ("body.commits", "none"),
        ("body.head_commit", [5]),
        ("body.deleted", "no"),
        ("body.before", ""),
        ("body.before", 5),
    ],
)
def test_what_is_malformed_is_left_out(path: str, value: Any) -> None:
    record, whole = found(changed(github_push(), path, value)), found(github_push())
    listed = revision(1), revision(2)
    assert record == {**whole, "revisions": list(listed[path == "body.commits" :])}


@pytest.mark.parametrize("base", ["", " ", "b" * 39, None, 5])
def test_a_base_that_is_none_is_not_asked_for(base: Any) -> None:
    message = github_push()
    message["details"]["event.base.sha"] = base
    announced = github.announced_push(message, REPOSITORIES)
    assert isinstance(announced, github.Announced)
    assert announced.base == "b" * 40
    message["body"]["before"] = base
    announced = github.announced_push(message, REPOSITORIES)
    assert isinstance(announced, github.Announced)
    assert announced.base is None


def test_an_author_may_lack_a_name_or_an_address() -> None:
    unnamed = github_commit(2, author={"email": "x@example.com"})
    record = found(github_push(commits=[unnamed]))
    assert record["author"] == "x@example.com"
    assert record["revisions"][0]["author"] == "<x@example.com>"
    record = found(github_push(commits=[github_commit(2, author={"name": "X", "email": ""})]))
    assert "author" not in record
    assert record["revisions"][0]["author"] == "X"


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("2020-02-12T15:29:12Z", 1_581_521_352),
        ("2020-02-06T13:22:20-06:00", 1_581_016_940),
        ("2020-02-12T15:29:12", None),
        ("2020-02-12", None),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+23:59", None),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times(timestamp: str, seconds: int | None) -> None:
    record = found(github_push(commits=[github_commit(2, timestamp=timestamp)]))
    assert record.get("push_timestamp") == seconds
