"""Messages of hg.mozilla.org about pushes, and about what else happens to a repository."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import schemas
from pipeline import dead_letters, hg
from pipeline.forms import form
from pipeline.pushes import Ignored
from pipeline.refusals import Refusal
from pulseload.repositories import Repositories, Repository
from tests.examples import HG_ROOT, OTHER_REVISION, REVISION, changed, hg_push, push, without

REPOSITORIES = Repositories(
    [
        Repository("try", f"{HG_ROOT}/try"),
        Repository("autoland", f"{HG_ROOT}/integration/autoland/"),
        Repository("closed", f"{HG_ROOT}/closed", active=False),
        Repository("elsewhere", f"{HG_ROOT}/git", kind="git"),
    ]
)


def found(document: dict[str, Any]) -> list[dict[str, Any]]:
    records = hg.read(document, REPOSITORIES)
    assert isinstance(records, list), records
    for record in records:
        assert list(schemas.validator("push").iter_errors(record)) == []
    return records


def event(kind: str, **data: Any) -> dict[str, Any]:
    """Return a message of exchange/hgpushes/v2."""
    return {"payload": {"type": kind, "data": data}, "_meta": {"exchange": "exchange/hgpushes/v2"}}


def test_a_message_of_hg_says_what_it_surely_knows() -> None:
    assert found(hg_push()) == [
        {
            "project": "try",
            "revision": REVISION,
            "author": "dev@example.com",
            "push_id": 136_598,
            "url": f"{HG_ROOT}/try/rev/{REVISION}",
        }
    ]


def test_every_head_is_a_push() -> None:
    records = found(hg_push(heads=[REVISION, OTHER_REVISION, REVISION]))
    assert [record["revision"] for record in records] == [REVISION, OTHER_REVISION]
    assert [record["url"].rpartition("/")[2] for record in records] == [REVISION, OTHER_REVISION]


@pytest.mark.parametrize(
    "entries",
    [
        [],
        None,
        [{"pushid": 1, "user": "one"}, {}],
        [{}],
        [{"user": " "}],
        [{"user": None, "pushid": None}],
        [{"user": ["x"], "pushid": "x"}],
        [{"user": 5, "pushid": -1}],
        [{"user": {}, "pushid": True}],
        [{"pushid": 1.5}],
        [{"pushid": 2**53}],
        ["x"],
        "x",
        [{"pushid": 1, "user": "one"}, "x"],
    ],
)
def test_what_the_pushlog_does_not_say_for_sure_is_left_out(entries: Any) -> None:
    (record,) = found(hg_push(pushlog_pushes=entries))
    assert set(record) == {"project", "revision", "url"}
    (record,) = found(without(hg_push(), "payload.pushlog_pushes"))
    assert set(record) == {"project", "revision", "url"}


def test_spaces_around_texts_do_not_count() -> None:
    document = hg_push(
        repo_url=" https: //hg.mozilla.org/try\n",
        heads=[f" {REVISION}\n"],
        pushlog_pushes=[{"pushid": 5, "user": " dev@example.com "}],
    )
    (record,) = found(document)
    assert record["author"] == "dev@example.com"
    assert record["revision"] == REVISION
    assert record["url"] == f"{HG_ROOT}/try/rev/{REVISION}"


@pytest.mark.parametrize("number", [" 136598", "136598", 136_598.0])
def test_a_number_may_be_a_text(number: Any) -> None:
    (record,) = found(hg_push(pushlog_pushes=[{"pushid": number}]))
    assert record["push_id"] == 136_598
    assert type(record["push_id"]) is int


def test_a_long_user_is_cut_to_what_a_record_takes() -> None:
    (record,) = found(hg_push(pushlog_pushes=[{"user": "é" * 2_001}]))
    assert record["author"] == "é" * 2_000


def test_meta_may_stand_inside_the_payload() -> None:
    message = hg_push()
    inside = {"payload": {**message["payload"], "_meta": message["_meta"]}}
    assert found(inside) == found(message)


def test_a_repository_is_found_by_its_address() -> None:
    (record,) = found(hg_push(repo_url=f"{HG_ROOT}/integration/autoland"))
    assert record["project"] == "autoland"


def test_scheme_and_host_may_be_in_capitals() -> None:
    (record,) = found(hg_push(repo_url="HTTPS://HG.Mozilla.org/try/"))
    assert (record["project"], record["url"]) == ("try", f"{HG_ROOT}/try/rev/{REVISION}")
    assert isinstance(hg.read(hg_push(repo_url=f"{HG_ROOT}/TRY"), REPOSITORIES), Ignored)


@pytest.mark.parametrize("path", ["elsewhere", "closed", "git", "try2", "integration", ""])
def test_other_repositories_are_ignored(path: str) -> None:
    ignored = hg.read(hg_push(repo_url=f"{HG_ROOT}/{path}"), REPOSITORIES)
    url = f"{HG_ROOT}/{path}".rstrip("/")
    assert ignored == Ignored(url, "no active repository has this address")
    assert isinstance(hg.read(hg_push(repo_url="nowhere"), REPOSITORIES), Ignored)


@pytest.mark.parametrize("order", [1, -1])
def test_a_head_that_is_alone_is_of_the_latest_entry(order: int) -> None:
    entries = [{"pushid": "9", "user": "one"}, {"pushid": 10, "user": "two"}][::order]
    (record,) = found(hg_push(pushlog_pushes=entries))
    assert (record["author"], record["push_id"]) == ("two", 10)
    pair = found(hg_push(heads=[REVISION, OTHER_REVISION], pushlog_pushes=entries))
    assert not any({"author", "push_id"} & record.keys() for record in pair)


def test_what_several_entries_say_alike_is_sure() -> None:
    entries = [{"pushid": 1, "user": "one"}, {"pushid": 2, "user": " one"}]
    records = found(hg_push(heads=[REVISION, OTHER_REVISION], pushlog_pushes=entries))
    assert [record.get("author") for record in records] == ["one", "one"]
    assert not any("push_id" in record for record in records)


def test_one_entry_may_stand_without_a_list() -> None:
    message = hg_push()
    (entry,) = message["payload"]["pushlog_pushes"]
    assert found(hg_push(pushlog_pushes=entry)) == found(message)


@given(st.lists(st.sampled_from(["one", "two", " one ", None]), max_size=4), st.integers(1, 3))
def test_every_head_is_a_push_whatever_the_pushlog_says(users: list[Any], heads: int) -> None:
    entries = [{"pushid": number, "user": user} for number, user in enumerate(users)]
    tips = [f"{number:040x}" for number in range(heads)]
    records = found(hg_push(heads=tips, pushlog_pushes=entries))
    assert [record["revision"] for record in records] == tips
    names = {(user or "").strip() for user in users}
    for record in records:
        if heads > 1 or not users:
            assert ("author" in record) == (names in ({"one"}, {"two"}))
            assert ("push_id" in record) == (len(users) == 1)
        else:
            assert record.get("author", "") == (users[-1] or "").strip()
            assert record["push_id"] == len(users) - 1


def test_a_push_of_v2_is_one_of_v1() -> None:
    message = hg_push()
    assert found(event("changegroup.1", source="serve", **message["payload"])) == found(message)
    assert found(event(" changegroup.1", **message["payload"])) == found(message)
    inside = {"payload": {**event("changegroup.1", **message["payload"])["payload"], "_meta": {}}}
    assert found(inside) == found(message)


@pytest.mark.parametrize("kind", ["newrepo.1", "obsolete.1", "something.2"])
def test_other_events_are_ignored(kind: str) -> None:
    message = event(kind, repo_url=f"{HG_ROOT}/try", markers=[{"time": 1.5}])
    assert hg.read(message, REPOSITORIES) == Ignored(f"{HG_ROOT}/try", f"'{kind}' is no push")
    nowhere = Ignored("", f"'{kind}' is no push")
    assert hg.read({"payload": {"type": f" {kind}\n"}}, REPOSITORIES) == nowhere
    odd: list[Any] = [{}, {"repo_url": None}, {"repo_url": 5}, None, []]
    for data in odd:
        assert hg.read({"payload": {"type": kind, "data": data}}, REPOSITORIES) == nowhere


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (push(), "'payload' is a required property"),
        (hg_push(heads=["tip"]), r"payload.heads[0]: 'tip' does not match"),
        (hg_push(heads=[]), "payload.heads: [] should be non-empty"),
        (without(hg_push(), "payload.heads"), "'heads' is a required property"),
        ({"payload": None}, "payload: None is not of type 'object'"),
        ({"payload": {}, **push()}, "payload: 'repo_url' is a required property"),
        ({"payload": {"type": 5, "data": {}}}, "payload.type: 5 is not of type 'string'"),
        ({"payload": {"type": "changegroup.1"}}, "payload: 'repo_url' is a required property"),
        ({"payload": {"type": "changegroup.1", "data": None}}, "payload: None is not of type"),
        (event("changegroup.1"), "payload: 'repo_url' is a required property"),
        (event("changegroup.1", repo_url=f"{HG_ROOT}/try"), "'heads' is a required property"),
    ],
)
def test_what_is_malformed_is_refused(document: dict[str, Any], message: str) -> None:
    refusal = hg.read(document, REPOSITORIES)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == dead_letters.INVALID_PUSH
    assert message in refusal.message


@given(
    st.sampled_from(
        ["repo_url", "heads.0", "pushlog_pushes.0.user", "pushlog_pushes.0.pushid", "type", "data"]
    ),
    st.sampled_from(["", " ", "a" * 40, "a" * 40 + "\n", "\ud800", 0, -1, 1.0, True, None, [], {}]),
)
def test_what_stands_before_the_reference_agrees_with_it(path: str, value: object) -> None:
    document = changed(hg_push(), f"payload.{path}", value)
    for name in (hg.FORM, hg.EVENT_FORM):
        if form(name).surely_accepts(document):
            assert schemas.validator(name).is_valid(document)
