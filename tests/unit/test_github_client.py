"""How patiently GitHub's API is asked, and when it is given up."""

import asyncio
import logging

import pytest

from bridges.github import client
from bridges.github.client import Client
from bridges.pauses import LONGEST_ASKED
from pipeline.github import Commit
from tests.github_api import Answer, GitHubAPI, row
from tests.unit.asking import PATH, asked


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Nobody waits here: how long the client would have."""
    found: list[float] = []

    async def sleep(seconds: float) -> None:
        found.append(seconds)

    monkeypatch.setattr("bridges.github.client.sleep", sleep)
    return found


def pause_after(asked_for: float, wait: float) -> bool:
    """Whether a wait is as long as GitHub asks for, and the first pause more."""
    return client.FIRST_PAUSE / 2 <= wait - asked_for <= client.FIRST_PAUSE


def numbers(commits: list[Commit] | None) -> list[int] | None:
    return None if commits is None else [int(one["id"], 16) for one in commits]


def test_pages_are_followed() -> None:
    more = {"Link": '<https://elsewhere.example.com/?page=9>; rel="next"'}
    found, api = asked({PATH: [Answer([row(1)], headers=more), Answer([row(2)])]})
    assert numbers(found) == [1, 2]
    assert api.asked == [(PATH, "1"), (PATH, "2")]
    found, api = asked({PATH: [Answer([row(1)], headers=more)]})
    assert found is None
    assert len(api.asked) == client.MAX_PAGES


@pytest.mark.usefixtures("waits")
def test_the_token_is_sent_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    _, api = asked({PATH: [Answer(status=500), Answer([row(1)])]}, token="s3cret")
    assert api.tokens == ["Bearer s3cret"] * 2
    assert "s3cret" not in caplog.text
    assert asked({PATH: [Answer([row(1)])]})[1].tokens == [None]


@pytest.mark.parametrize("status", [401, 404, 410, 422])
def test_what_github_does_not_tell_is_not_asked_again(status: int, waits: list[float]) -> None:
    found, api = asked({PATH: [Answer({}, status)]})
    assert found is None
    assert len(api.asked) == 1
    assert waits == []


def test_a_token_that_github_refuses_is_told_by_its_setting(
    caplog: pytest.LogCaptureFixture,
) -> None:
    asked({PATH: [Answer({}, 401)]}, token="s3cret")
    assert caplog.messages == [
        f"GitHub does not tell {PATH}: status 401; is pulseload_github_token right?"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        Answer(status=500),
        Answer(status=502),
        Answer(status=429),
        Answer(b"<html>"),
        Answer(b'[{"sha": "' + b"a" * 20),
        Answer({"message": "?"}),
    ],
)
def test_a_failure_is_tried_again_with_longer_pauses(broken: Answer, waits: list[float]) -> None:
    found, _ = asked({PATH: [broken] * (client.TRIES - 1) + [Answer([row(1)])]})
    assert numbers(found) == [1]
    assert all(2**n / 2 <= wait <= 2**n for n, wait in enumerate(waits))
    waits.clear()
    found, api = asked({PATH: [broken]})
    assert found is None
    assert len(api.asked) == client.TRIES
    assert len(waits) == client.TRIES - 1


def test_a_server_that_is_not_there_is_tried_again(waits: list[float]) -> None:
    async def ask() -> list[Commit] | None:
        async with Client("http://127.0.0.1:9", None) as asking:
            return await asking.commits(PATH)

    assert asyncio.run(ask()) is None
    assert len(waits) == client.TRIES - 1


@pytest.mark.parametrize(
    ("status", "headers", "asked_for"),
    [
        (403, {"Retry-After": "17"}, 17),
        (429, {"Retry-After": "17"}, 17),
        (503, {"Retry-After": "0"}, 0),
        (429, {"Retry-After": "9" * 400}, LONGEST_ASKED),
        (429, {"Retry-After": "nan"}, 0),
        (403, {"Retry-After": "Wed, 21 Oct 9999 07:28:00 GMT"}, LONGEST_ASKED),
        (403, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "9" * 400}, LONGEST_ASKED),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}, 0),
        (403, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "nan"}, 0),
        (429, {"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": "9" * 400}, 0),
    ],
)
def test_github_says_how_long_to_wait(
    status: int, headers: dict[str, str], asked_for: float, waits: list[float]
) -> None:
    found, _ = asked({PATH: [Answer({}, status, headers), Answer([row(1)])]})
    assert numbers(found) == [1]
    assert [pause_after(asked_for, wait) for wait in waits] == [True]


def test_a_forbidden_answer_without_a_time_is_final(waits: list[float]) -> None:
    assert asked({PATH: [Answer({}, 403)]})[0] is None
    assert waits == []


@pytest.mark.parametrize("status", [403, 429])
def test_a_secondary_limit_is_waited_out(status: int, waits: list[float]) -> None:
    told = {"message": "You have exceeded a secondary rate limit. Please wait a few minutes."}
    assert numbers(asked({PATH: [Answer(told, status), Answer([row(1)])]})[0]) == [1]
    assert [pause_after(client.SECONDARY_WAIT, wait) for wait in waits] == [True]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirection_within_the_origin_is_followed(status: int) -> None:
    moved = Answer({}, status, {"Location": "/repositories/7/pulls/17/commits?per_page=100&page=1"})
    found, api = asked({PATH: [moved], "/repositories/7/pulls/17/commits": [Answer([row(1)])]})
    assert numbers(found) == [1]
    assert [path for path, _ in api.asked] == [PATH, "/repositories/7/pulls/17/commits"]


def test_no_other_origin_is_asked(waits: list[float]) -> None:
    async def ask() -> None:
        async with GitHubAPI({"/internal": [Answer([row(1)])]}) as other:
            for place in (f"{other.url}/internal?page=1", f"//{other.url[7:]}/internal?page=1"):
                moved = Answer({}, 302, {"Location": place})
                async with (
                    GitHubAPI({PATH: [moved]}) as api,
                    Client(api.url, "s3cret") as asking,
                ):
                    assert await asking.commits(PATH) is None
            assert other.asked == []

    asyncio.run(ask())
    assert waits == []


def test_a_circle_of_redirections_ends(waits: list[float]) -> None:
    found, api = asked({PATH: [Answer({}, 302, {"Location": f"{PATH}?page=1"})]})
    assert found is None
    assert len(api.asked) == client.MAX_MOVES + 1
    assert waits == []


def test_a_huge_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "MAX_BYTES", 1_000)
    assert asked({PATH: [Answer([row(1)] * 10)]})[0] is None
    assert numbers(asked({PATH: [Answer([row(1)])]})[0]) == [1]
