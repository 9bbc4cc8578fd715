from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulseload.repositories import Repositories, Repository, Untaken, usual

TRY = Repository("try", "https://hg.mozilla.org/try")


@pytest.mark.parametrize(
    "url",
    [
        "https://hg.mozilla.org/try",
        "https://hg.mozilla.org/try/",
        "  https://hg.mozilla.org/try//\n",
        "https://hg.mozilla.org/try.git",
        "https: //hg.mozilla.org/try",
        "HTTPS://hg.Mozilla.ORG/try",
        "http://hg.mozilla.org/try/",
    ],
)
def test_spellings_of_an_address(url: str) -> None:
    assert Repositories([TRY]).by_url(url) is TRY


@pytest.mark.parametrize(
    "url", ["", "http://[", "https://hg.mozilla.org/try2", "https://hg.mozilla.org/Try"]
)
def test_another_address_is_none(url: str) -> None:
    assert Repositories([TRY]).by_url(url) is None


def test_one_that_is_not_active_is_not_found() -> None:
    closed = Repository("old", TRY.url, active=False)
    assert Repositories([closed]).by_url(TRY.url) is None
    assert Repositories([closed, TRY]).by_url(TRY.url) is TRY


@pytest.mark.parametrize(
    ("row", "polled"),
    [({}, True), ({"pushlog": False}, False), ({"active": False}, False), ({"kind": "git"}, False)],
)
def test_which_push_logs_are_polled(row: dict[str, Any], polled: bool) -> None:
    assert Repository.read({"name": "try", "url": TRY.url, **row}).polled == polled


GITHUB = "https://github.com/mozilla/some.dots"


def git(name: str, *branches: str, url: str = GITHUB, **more: bool) -> Repository:
    return Repository(name, url, "git", branches, **more)


@pytest.mark.parametrize(
    "url",
    [
        GITHUB,
        f"{GITHUB}.git",
        f"{GITHUB}/",
        f" {GITHUB}.git\n",
        "https://github.com/Mozilla/Some.Dots.git",
        "HTTPS://GitHub.com/mozilla/some.dots.GIT",
        "http://github.com/mozilla/some.dots",
    ],
)
def test_spellings_of_an_address_at_github(url: str) -> None:
    main = git("main", "main", pull_requests=True, url=url)
    for found in (Repositories([main]), Repositories([git("x"), TRY, main])):
        assert found.by_branch(GITHUB, "main") is main
        assert found.by_pull_request(GITHUB) is main
        assert found.by_url(GITHUB) is None
        assert found.by_branch(TRY.url, "main") == Untaken(listed=False)
        assert found.by_pull_request(TRY.url) == Untaken(listed=False)


ROWS = Repositories(
    [
        git("main", "main", "release/v1.2+hotfix"),
        git("releases", "releases/*", "*-stable"),
        git("tags", "tag"),
        git("rest", pull_requests=True),
        git("closed", "main", "old", active=False),
    ]
)


@pytest.mark.parametrize(
    ("branch", "name"),
    [
        ("main", "main"),
        ("release/v1.2+hotfix", "main"),
        ("release/v1.2++hotfix", "rest"),
        ("releases/v1", "releases"),
        ("releases/v1/next", "releases"),
        ("releases/", "releases"),
        ("releases", "rest"),
        ("my/releases/v1", "rest"),
        ("x-stable", "releases"),
        ("tag", "rest"),
        ("Main", "rest"),
    ],
)
def test_a_branch_belongs_to_who_names_it_best(branch: str, name: str) -> None:
    found = ROWS.by_branch(GITHUB, branch)
    assert isinstance(found, Repository)
    assert found.name == name


def test_tags_belong_to_who_names_them_best() -> None:
    tags, stars, rest = git("tags", "tag"), git("stars", "*"), git("rest")
    assert Repositories([tags, stars, rest]).by_tag(GITHUB) is tags
    assert Repositories([stars, rest]).by_tag(GITHUB) is stars
    assert Repositories([git("main", "main"), rest]).by_tag(GITHUB) is rest
    assert Repositories([tags, stars, rest]).by_branch(GITHUB, "tag") is stars


@pytest.mark.parametrize("pattern", ["old", "ol*"])
def test_what_belongs_to_one_that_is_not_active_goes_to_nobody_else(pattern: str) -> None:
    closed, rest = git("closed", pattern, active=False), git("rest", "*")
    for rows in ([closed, git("rest")], [git("rest"), closed]):
        assert Repositories(rows).by_branch(GITHUB, "old") == Untaken((closed,))
    by = (closed,) if pattern == "old" else (closed, rest)
    assert Repositories([closed, rest]).by_branch(GITHUB, "old") == Untaken(by)
    # A successor claims as precisely what the closed one had.
    successor = git("successor", pattern)
    assert Repositories([closed, successor]).by_branch(GITHUB, "old") is successor
    assert Repositories([git("all", active=False), rest]).by_branch(GITHUB, "old") is rest


def test_pull_requests_of_one_that_is_not_active_are_not_taken() -> None:
    closed, other = git("closed", pull_requests=True, active=False), git("other")
    assert Repositories([closed, other]).by_pull_request(GITHUB) == Untaken((closed,))


def test_what_two_would_take_nobody_gets() -> None:
    rows = [git("releases", "releases/*"), git("all", "*"), git("a"), git("b")]
    found = Repositories(rows)
    assert found.by_branch(GITHUB, "releases/v1") == Untaken((rows[0], rows[1]))
    assert found.by_branch(GITHUB, "main") is rows[1]
    assert Repositories(rows[2:]).by_branch(GITHUB, "main") == Untaken((rows[2], rows[3]))
    assert Repositories(rows[:1]).by_branch(GITHUB, "main") == Untaken()
    two = [git("a", pull_requests=True), git("b", "pull request")]
    assert Repositories(two).by_pull_request(GITHUB) == Untaken((two[0], two[1]))
    assert Repositories(two[1:]).by_pull_request(GITHUB) is two[1]
    assert Repositories(two[1:]).by_branch(GITHUB, "main") == Untaken()


@given(st.text("ab/.*[]?", max_size=8), st.text("ab/.[]?", max_size=8))
def test_only_a_star_is_a_wildcard(pattern: str, branch: str) -> None:
    row = git("row", pattern)
    found = Repositories([row]).by_branch(GITHUB, branch)
    literal = {"[": "[[]", "]": "[]]", "?": "[?]"}
    glob = "".join(literal.get(character, character) for character in pattern)
    assert (found is row) == fnmatchcase(branch, glob)


def test_the_usual_ones_are_each_there_once() -> None:
    rows = [Repository.read(row) for row in usual()]
    assert len({row.name for row in rows}) == len(rows)
    assert {row.kind for row in rows} == {"hg", "git"}
    found = Repositories(rows)
    for name, url in {
        "try": "https://hg.mozilla.org/try",
        "autoland": "https://hg.mozilla.org/integration/autoland",
        "mozilla-central": "https://hg.mozilla.org/mozilla-central",
        "mozilla-inbound": "https://hg.mozilla.org/integration/mozilla-inbound",
        "mozilla-beta": "https://hg.mozilla.org/releases/mozilla-beta",
    }.items():
        row = found.by_url(url)
        assert row is not None
        assert row.name == name
    for url, branch, name in [
        ("https://github.com/mozilla-mobile/android-components", "master", "android-components"),
        ("https://github.com/mozilla-mobile/fenix.git", "releases/v79", "fenix"),
        ("https://github.com/servo/servo", "auto", "servo-auto"),
        ("https://github.com/servo/servo", "try-linux", "servo-try"),
    ]:
        taker = found.by_branch(url, branch)
        assert isinstance(taker, Repository)
        assert taker.name == name
    taker = found.by_pull_request("https://github.com/mozilla-mobile/android-components")
    assert isinstance(taker, Repository)
    assert taker.name == "android-components-prs"
