"""What GitHub's API is asked, and what its answers say."""

import json
from typing import Any

import pytest

import schemas
from bridges.github import answers, bridge
from pipeline import github
from pipeline.github import Announced
from pulseload.repositories import Repositories, Repository
from tests.examples import GITHUB, changed, github_commit, github_pull_request, github_push
from tests.github_api import Answer, row
from tests.recorded import RECORDED
from tests.unit.asking import PATH, asked

HEAD, BASE = f"{2:040x}", "b" * 40

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
