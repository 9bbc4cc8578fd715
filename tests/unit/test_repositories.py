from typing import Any

import pytest

from pulseload.repositories import Repositories, Repository, plain, usual

TRY = Repository("try", "https://hg.mozilla.org/try")


@pytest.mark.parametrize(
    "url",
    [
        "https://hg.mozilla.org/try",
        "https://hg.mozilla.org/try/",
        "  https://hg.mozilla.org/try//\n",
        "https://hg.mozilla.org/try.git",
    ],
)
def test_spellings_of_an_address(url: str) -> None:
    assert Repositories([TRY]).by_url(url) is TRY


@pytest.mark.parametrize("url", ["", "https://hg.mozilla.org/try2", "https://hg.mozilla.org"])
def test_another_address_is_none(url: str) -> None:
    assert Repositories([TRY]).by_url(url) is None


def test_a_configured_address_may_be_spelled_in_any_way() -> None:
    servo = Repository("servo", "https://github.com/servo/servo.git/", kind="git")
    assert Repositories([servo]).by_url("https://github.com/servo/servo") is servo


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


def test_the_first_of_several_is_found() -> None:
    main, release = (
        Repository(name, "https://github.com/x/y", kind="git") for name in ("main", "release")
    )
    assert Repositories([main, release]).by_url(main.url) is main


def test_the_usual_ones_are_each_there_once() -> None:
    rows = [Repository.read(row) for row in usual()]
    assert len({row.name for row in rows}) == len(rows)
    assert len({plain(row.url) for row in rows}) == len(rows)
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
