"""Messages of Taskcluster about pushes and pull requests on GitHub."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import schemas
from pipeline import announcements, dead_letters, github
from pipeline.forms import form
from pipeline.pushes import Ignored
from pipeline.refusals import MAX_LENGTH, Refusal
from pulseload.repositories import Repositories, Repository
from tests.examples import GITHUB, changed, github_pull_request, github_push, hg_push, push
from tests.recorded import RECORDED
from tests.unit.announcing import (
    HEAD,
    REPOSITORIES,
    ZEROS,
    bare,
    detailless,
    found,
    git,
    ignored,
    revision,
)


def test_a_push_is_known_by_its_webhook() -> None:
    record = {
        "project": "lamp",
        "revision": HEAD,
        "author": "dev2@example.com",
        "push_timestamp": 1_772_359_200,
        "url": f"{GITHUB}/commit/{HEAD}",
        "revisions": [revision(1), revision(2)],
    }
    assert found(github_push()) == record
    assert found(detailless(github_push())) == record


@pytest.mark.parametrize("message", [github_push(), github_pull_request()])
def test_a_message_may_be_recorded_with_its_envelope(message: dict[str, Any]) -> None:
    for form_of_it in (message, bare(message), detailless(message)):
        recording = {"exchange": "e", "routingKey": "primary.mozilla.lamp", "payload": form_of_it}
        assert found(recording) == found(form_of_it)


def test_without_the_webhook_only_the_identity_is_sure() -> None:
    identity = {"project": "lamp", "revision": HEAD, "url": f"{GITHUB}/commit/{HEAD}"}
    assert found(bare(github_push())) == identity
    assert found({**bare(github_push()), "body": None}) == identity
    assert found(github_push(commits=())) == identity


@pytest.mark.parametrize(
    ("ref", "project"),
    [
        ("refs/heads/main", "lamp"),
        ("refs/heads/releases/v1.2", "lamp-releases"),
        ("refs/heads/releases/v1/x", "lamp-releases"),
        ("refs/tags/main", "lamp-tags"),
        ("refs/tags/tag", "lamp-tags"),
        ("refs/tags/v1.2+b", "lamp-tags"),
    ],
)
def test_the_branch_says_which_repository(ref: str, project: str) -> None:
    message = github_push(ref=ref)
    for form_of_it in (message, bare(message), detailless(message)):
        assert found(form_of_it)["project"] == project
    for name in (
        *("event.base.repo.branch", "event.head.repo.branch", "event.head.tag", "event.type"),
        *("event.base.ref", "event.head.ref"),
    ):
        message["details"].pop(name, None)
        assert found(message)["project"] == project
        if name != "event.head.ref":
            assert found(bare(message))["project"] == project


def test_a_branch_that_is_called_tag_is_no_tag() -> None:
    message = github_push(ref="refs/heads/tag")
    for form_of_it in (message, bare(message), detailless(message)):
        assert ignored(form_of_it).repo_url == GITHUB
        rest = Repositories([git("lamp-tags", "tag"), git("rest")])
        assert found(form_of_it, rest)["project"] == "rest"
        announced = github.announced_push(form_of_it, rest)
        assert isinstance(announced, github.Announced)
        assert announced.base == "b" * 40


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (github_push(ref="refs/heads/other"), "no repository takes this branch"),
        (github_push(ref="refs/heads/Main"), "no repository takes this branch"),
        (github_push(url="https://github.com/mozilla/lamp"), "no repository has this address"),
        (github_push(url="https://github.com/dev/lamp.shade"), "no repository has this address"),
    ],
)
def test_what_no_repository_takes_is_ignored(message: dict[str, Any], why: str) -> None:
    url = message["body"]["repository"]["html_url"]
    assert ignored(message) == Ignored(url, why)


@pytest.mark.parametrize(
    ("rows", "ref", "why"),
    [
        ([git("a", "x")], "heads/main", "no repository takes this branch"),
        ([git("a", "x")], "tags/main", "no repository takes tags"),
        ([git("a", active=False)], "heads/main", "only a (not active) takes this branch"),
        ([git("a"), git("b", "m*", active=False)], "heads/main", "only b (not active) takes this"),
        ([git("a", "m*"), git("b", "*")], "heads/main", "a and b take this branch, and only one "),
        ([git("a", "*", active=False), git("b", "*n")], "heads/main", "a (not active) and b take "),
    ],
)
def test_who_would_take_what_is_ignored_is_told(rows: list[Repository], ref: str, why: str) -> None:
    answer = announcements.read(github_push(ref=f"refs/{ref}"), Repositories(rows))
    assert isinstance(answer, Ignored)
    assert answer.why.startswith(why)
    assert answer.branch == ("" if "tags" in ref else "main")


@pytest.mark.parametrize(
    "url",
    ["HTTPS://GitHub.com/Mozilla/Lamp.Shade", "https: // github.com / mozilla / lamp.shade"],
)
def test_spellings_of_the_address(url: str) -> None:
    assert found(github_push(url=url)) == found(github_push())
    assert found(github_pull_request(url=url)) == found(github_pull_request())


def test_the_address_stands_in_several_places() -> None:
    message = github_push()
    for path in ("event.head.repo.url", "event.base.repo.url"):
        del message["details"][path]
        assert found(message)["project"] == "lamp"
    del message["body"]["repository"]["clone_url"]
    assert found(message)["project"] == "lamp"


@pytest.mark.parametrize("ref", ["refs/heads/main", "refs/tags/v1"])
def test_a_deleted_branch_is_no_push(ref: str) -> None:
    message = github_push(ref=ref, head=ZEROS, commits=())
    for form_of_it in (message, bare(message), detailless(message)):
        assert ignored(form_of_it) == Ignored(GITHUB, "a deleted branch is no push")


@pytest.mark.parametrize("number", [17, "17", 17.0, " 17"])
def test_a_pull_request_is_known_by_its_head(number: Any) -> None:
    message = github_pull_request(number=number)
    record = {"project": "lamp-prs", "revision": HEAD, "url": f"{GITHUB}/pull/17"}
    for form_of_it in (message, bare(message), detailless(message)):
        assert found(form_of_it) == record


@pytest.mark.parametrize("number", [None, "seventeen", "", -1, 1.5, True, 2**53, "9" * 17, []])
def test_a_pull_request_without_a_number(number: Any) -> None:
    message = bare(github_pull_request(number=number))
    assert found(message)["url"] == f"{GITHUB}/commit/{HEAD}"
    message = {**github_pull_request(), "details": message["details"]}
    assert found(message)["url"] == f"{GITHUB}/pull/17"


def test_pull_requests_that_nobody_takes_are_ignored() -> None:
    two = [git("a", pull_requests=True), git("b", "pull request")]
    for rows, why in (
        ([git("lamp")], "no repository takes pull requests"),
        (two, "a and b take pull requests, and only one may"),
        ([], "no repository has this address"),
    ):
        answer = announcements.read(github_pull_request(), Repositories(rows))
        assert answer == Ignored(GITHUB, why)
    assert found(github_pull_request(), Repositories([git("a", "x", pull_requests=True)]))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"details": {}}, "neither details nor body tell the address and the head and the branch"),
        ({"body": {}}, "neither details nor body tell the address and the head and the branch"),
        ({"details": {}, "action": "opened"}, "neither details nor body tell the address and"),
        ({"details": 5}, "details: 5 is not of type 'object', 'null'"),
        ({"body": []}, "body: [] is not of type 'object', 'null'"),
        (github_push(head="tip"), "details.event.head.sha: 'tip' does not match"),
        (changed(github_push(), "body.repository", GITHUB), "body.repository: "),
        (
            bare({**github_push(), "details": {"event.head.sha": HEAD}}),
            "the address and the branch",
        ),
        (github_pull_request(head="tip"), "details.event.head.sha: 'tip' does not match"),
    ],
)
def test_what_is_malformed_is_refused(document: dict[str, Any], message: str) -> None:
    refusal = announcements.read(document, REPOSITORIES)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason == dead_letters.INVALID_PUSH
    assert message in refusal.message
    assert len(refusal.message) <= MAX_LENGTH


def test_a_branch_that_no_ref_names_is_not_told() -> None:
    for ref in ("refs/notes/x", "main", "refs/heads/", ""):
        message = github_push()
        details = message["details"]
        del details["event.base.repo.branch"], details["event.head.repo.branch"]
        details["event.base.ref"] = details["event.head.ref"] = message["body"]["ref"] = ref
        refusal = github.read_push(message, REPOSITORIES)
        assert isinstance(refusal, Refusal)
        assert "the branch" in refusal.message


def test_a_source_takes_its_own_messages_only() -> None:
    read = announcements.READERS
    for document in (push(), hg_push(), {}):
        for kind in ("github-pushes", "github-pull-requests"):
            assert isinstance(read[kind](document, REPOSITORIES), Refusal)
    for document in (github_push(), github_pull_request()):
        assert isinstance(read["hg-pushes"](document, REPOSITORIES), Refusal)


PATHS = [
    *("details", "body", "action"),
    *("body.commits", "body.commits.0", "body.commits.1.id", "body.commits.1.author"),
    *("body.commits.1.timestamp", "body.commits.1.author.email", "body.head_commit"),
    *("body.ref", "body.before", "body.after", "body.deleted", "body.repository"),
]
VALUES: st.SearchStrategy[Any] = st.sampled_from(
    ["", " ", "a" * 40, "a" * 40 + "\n", ZEROS, "\ud800", 0, -1, 1.5, True, None, [], {}]
)


@example("body.commits.1.id", ZEROS, "event.base.sha", ZEROS)
@given(st.sampled_from(PATHS), VALUES, st.sampled_from(sorted(github_push()["details"])), VALUES)
def test_whatever_is_changed_gives_a_record_or_a_reason(
    path: str, value: object, detail: str, told: object
) -> None:
    message = changed(github_push(), path, value)
    if isinstance(message["details"], dict):
        message["details"][detail] = told
    reference = schemas.validator(github.PUSH_FORM)
    if form(github.PUSH_FORM).surely_accepts(message):
        assert reference.is_valid(message)
    answer = github.read_push(message, REPOSITORIES)
    if not isinstance(answer, list):
        assert isinstance(answer, Ignored) or answer.reason == dead_letters.INVALID_PUSH
        return
    assert reference.is_valid(message)
    (record,) = answer
    assert schemas.validator("push").is_valid(record)
    assert ZEROS not in (record["revision"], record.get("head_revision"))
    head = ((message["details"] or {}).get("event.head.sha") or message["body"]["after"]).strip()
    assert head in (record["revision"], record.get("head_revision"))


def test_ordinary_messages_need_no_reference() -> None:
    for message in (github_push(), bare(github_push()), github_push(ref="refs/tags/v1")):
        assert form(github.PUSH_FORM).surely_accepts(message)
    for message in (github_pull_request(), github_pull_request(number="17")):
        assert form(github.PULL_REQUEST_FORM).surely_accepts(message)


def recorded(name: str) -> Any:
    path = RECORDED / name
    if not path.exists():
        pytest.skip(f"{path} is not here")
    return json.loads(path.read_bytes())


def test_the_recorded_push() -> None:
    message = recorded("github_push.json")[0]["payload"]
    url = "https://github.com/mozilla-mobile/android-components"
    record = found(message, Repositories([Repository("ac", url, "git", ("master",))]))
    wanted = recorded("transformed_gh_push.json")
    assert record == {**wanted, "project": "ac", "url": f"{url}/commit/{wanted['revision']}"}


def test_the_recorded_pull_request() -> None:
    message = recorded("github_pr.json")
    url = "https://github.com/mozilla/test_treeherder"
    rows = [Repository("th", url, "git", pull_requests=True)]
    assert found(message, Repositories(rows)) == {
        "project": "th",
        "revision": message["details"]["event.head.sha"],
        "url": f"{url}/pull/1692",
    }
