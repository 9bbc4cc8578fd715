"""What GitHub's API is asked, what its answers say, and how patiently it is asked."""

import asyncio
import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

import schemas
from bridges.github import answers, bridge, client
from bridges.github.client import Client
from bridges.pauses import LONGEST_ASKED
from pipeline import github
from pipeline.github import Announced, Commit
from pulseload.repositories import Repositories, Repository
from tests.examples import GITHUB, changed, github_commit, github_pull_request, github_push
from tests.github_api import Answer, GitHubAPI, row
from tests.recorded import RECORDED

HEAD, BASE = f"{2:040x}", "b" * 40
PATH = "/repos/mozilla/lamp.shade/pulls/17/commits"

REPOSITORIES = Repositories([Repository("lamp", GITHUB, "git", pull_requests=True)])


def push_of(message: dict[str, Any]) -> Announced:
    announced = github.announced_push(message, REPOSITORIES)
    assert isinstance(announced, Announced)
    return announced


def pull_request() -> Announced:
    announced = github.announced_pull_request(github_pull_request(), REPOSITORIES)
    assert isinstance(announced, Announced)
    return announced


def test_what_is_asked() -> None:
    compare = f"/repos/mozilla/lamp.shade/compare/{BASE}...{HEAD}"
    assert answers.question(push_of(github_push())) == compare
    assert answers.question(pull_request()) == PATH
    fresh = [github_push(base="0" * 40), github_push(ref="refs/tags/v1")]
    assert [answers.question(push_of(message)) for message in fresh] == [None, None]


def test_the_webhook_and_the_api_say_the_same() -> None:
    announced = push_of(github_push(commits=[github_commit(1), github_commit(2)]))
    told = answers.commits({"commits": [row(1), row(2)], "total_commits": 2})
    assert announced.known_with(told) == announced.record


def test_the_last_listed_commit_is_the_revision() -> None:
    record = pull_request().known_with(answers.commits([row(2), row(3)]))
    assert list(schemas.validator("push").iter_errors(record)) == []
    assert (record["revision"], record["head_revision"]) == (f"{3:040x}", HEAD)
    assert (record["author"], record["push_timestamp"]) == ("dev3@example.com", 1_772_359_200)
    assert record["url"] == f"{GITHUB}/pull/17"
    assert [one["revision"] for one in record["revisions"]] == [HEAD, f"{3:040x}"]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        (None, "None is not of type 'array'"),
        ({"message": "?"}, "None is not of type 'array'"),
        ([{}], "'sha' is a required property"),
        ([{"sha": HEAD}], "'commit' is a required property"),
        ([changed(row(1), "sha", "tip")], "[0].sha: 'tip' does not match"),
    ],
)
def test_what_is_no_answer(answer: Any, fault: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        answers.commits(answer)
    assert fault in str(caught.value)


@pytest.mark.parametrize("person", [None, 5, "me", {"name": 5, "email": [], "date": 5}])
def test_a_commit_may_lack_people(person: Any) -> None:
    bare = {"sha": HEAD, "commit": {"message": "m", "author": person, "committer": person}}
    record = pull_request().known_with(answers.commits([bare]))
    assert record["revisions"] == [{"revision": HEAD, "comment": "m"}]
    assert not {"author", "push_timestamp", "head_revision"} & record.keys()


def test_a_record_keeps_as_many_commits_as_there_is_room_for() -> None:
    told = [changed(row(number), "commit.message", "m" * 90_000) for number in range(1, 31)]
    written = bridge._written(pull_request(), answers.commits(told))
    assert written is not None
    assert written[0] == f"lamp:{30:040x}".encode()
    assert len(written[1]) <= bridge.MAX_BYTES
    listed = json.loads(written[1])["revisions"]
    assert [int(one["revision"], 16) for one in listed] == list(range(31 - len(listed), 31))
    huge = answers.commits([changed(row(1), "commit.message", "m" * 1_000_000)])
    assert bridge._written(pull_request(), huge) is None


def asked(
    given: Mapping[str, Sequence[Answer]], path: str = PATH, token: str | None = None
) -> tuple[list[Commit] | None, GitHubAPI]:
    """Ask a server with these answers."""

    async def ask() -> tuple[list[Commit] | None, GitHubAPI]:
        async with GitHubAPI(given) as api, Client(f"{api.url}/", token) as asking:
            return await asking.commits(path), api

    return asyncio.run(ask())


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


@pytest.mark.parametrize(
    ("message", "answer", "record", "url"),
    [
        (
            *("github_push.json", "github_push_compare.json", "transformed_gh_push.json"),
            "https://github.com/mozilla-mobile/android-components",
        ),
        (
            *("github_pr.json", "github_pr_commits.json", "transformed_gh_pr.json"),
            "https://github.com/mozilla/test_treeherder",
        ),
    ],
)
def test_the_recorded_answers_give_the_recorded_records(
    message: str, answer: str, record: str, url: str
) -> None:
    for name in (message, answer, record):
        if not (RECORDED / name).exists():
            pytest.skip(f"{RECORDED / name} is not here")
    document, told, wanted = (
        json.loads((RECORDED / name).read_bytes()) for name in (message, answer, record)
    )
    rows = Repositories([Repository("it", url, "git", pull_requests=True)])
    if isinstance(document, list):
        document, told = document[0]["payload"], told[0]
        announced = github.announced_push(document, rows)
    else:
        announced = github.announced_pull_request(document, rows)
    assert isinstance(announced, Announced)
    path = answers.question(announced)
    assert path is not None
    commits, _ = asked({path: [Answer(told)]}, path)
    assert commits
    push = announced.known_with(commits)
    assert {key: push[key] for key in wanted} == wanted
    extra = {"project", "url", "head_revision"} if "pull" in path else {"project", "url"}
    assert push.keys() - wanted.keys() == extra
