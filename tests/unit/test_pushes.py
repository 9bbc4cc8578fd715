import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from pipeline import dead_letters, pushes
from pipeline.forms import form
from pipeline.pushes import Ignored
from pipeline.refusals import MAX_LENGTH, Refusal
from pulseload.repositories import Repositories, Repository
from tests.examples import (
    HG_ROOT,
    OTHER_REVISION,
    REVISION,
    REVISION_HASH,
    body,
    changed,
    hg_push,
    push,
    without,
)

REPOSITORIES = Repositories(
    [
        Repository("try", f"{HG_ROOT}/try"),
        Repository("autoland", f"{HG_ROOT}/integration/autoland/"),
        Repository("closed", f"{HG_ROOT}/closed", active=False),
    ]
)


def found(document: dict[str, Any]) -> list[dict[str, Any]]:
    records = pushes.read(document, REPOSITORIES)
    assert isinstance(records, list), records
    for record in records:
        assert list(schemas.validator("push").iter_errors(record)) == []
    return records


def refused(document: dict[str, Any]) -> Refusal:
    refusal = pushes.read(document, REPOSITORIES)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason in dead_letters.MEANINGS
    assert len(refusal.message) <= MAX_LENGTH
    return refusal


def test_a_push_record_is_taken_as_it_is() -> None:
    assert found(push()) == [push()]


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
    [[], [{"pushid": 1, "user": "one"}, {"pushid": 2, "user": "two"}], [{}], [{"user": " "}]],
)
def test_what_the_pushlog_does_not_say_for_sure_is_left_out(entries: list[Any]) -> None:
    (record,) = found(hg_push(pushlog_pushes=entries))
    assert set(record) == {"project", "revision", "url"}
    (record,) = found(without(hg_push(), "payload.pushlog_pushes"))
    assert set(record) == {"project", "revision", "url"}


def test_spaces_around_texts_do_not_count() -> None:
    document = hg_push(
        repo_url=f" {HG_ROOT}/try ",
        heads=[f" {REVISION}\n"],
        pushlog_pushes=[{"pushid": 5, "user": " dev@example.com "}],
    )
    (record,) = found(document)
    assert record["author"] == "dev@example.com"
    assert record["revision"] == REVISION
    assert record["url"] == f"{HG_ROOT}/try/rev/{REVISION}"


def test_meta_may_stand_inside_the_payload() -> None:
    message = hg_push()
    inside = {"payload": {**message["payload"], "_meta": message["_meta"]}}
    assert found(inside) == found(message)


def test_a_repository_is_found_by_its_address() -> None:
    (record,) = found(hg_push(repo_url=f"{HG_ROOT}/integration/autoland"))
    assert record["project"] == "autoland"


@pytest.mark.parametrize("url", [f"{HG_ROOT}/elsewhere", f"{HG_ROOT}/closed", "no address"])
def test_other_repositories_are_ignored(url: str) -> None:
    assert pushes.read(hg_push(repo_url=url), REPOSITORIES) == Ignored(url)


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "'project' is a required property"),
        (without(push(), "revision"), "'revision' is a required property"),
        (push(revision="tip"), "revision: 'tip' does not match '^[0-9a-f]{40}$'"),
        (push(colour=1), "Additional properties are not allowed ('colour' was unexpected)"),
        (hg_push(heads=["tip"]), r"payload.heads[0]: 'tip' does not match"),
        (hg_push(heads=[]), "payload.heads: [] should be non-empty"),
        ({"payload": None}, "payload: None is not of type 'object'"),
        ({"payload": {}, **push()}, "payload: 'repo_url' is a required property"),
        (changed(hg_push(), "payload.pushlog_pushes.0.pushid", "x"), "is not of type 'integer'"),
    ],
)
def test_what_is_malformed_is_refused(document: dict[str, Any], message: str) -> None:
    refusal = refused(document)
    assert refusal.reason == dead_letters.INVALID_PUSH
    assert message in refusal.message


def test_a_source_of_hg_pushes_takes_no_push_records() -> None:
    assert isinstance(pushes.from_hg(push(), REPOSITORIES), Refusal)


def test_what_is_too_deep_to_speak_of_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert refused(push(author=deep)).reason == dead_letters.TOO_DEEP


def test_keys() -> None:
    assert pushes.keys(push()) == [f"try:{REVISION}".encode()]
    assert pushes.keys(push(revision_hash=REVISION)) == [f"try:{REVISION}".encode()]
    assert pushes.keys(push(revision_hash=REVISION_HASH)) == [
        f"try:{REVISION}".encode(),
        f"try:{REVISION_HASH}".encode(),
    ]


def test_a_record_is_written_in_one_way() -> None:
    ordered = {"project": "try", "revision": REVISION, "push_id": 5, "revisions": []}
    written = f'{{"project":"try","revision":"{REVISION}","push_id":5,"revisions":[]}}'.encode()
    assert pushes.dump(ordered) == written
    assert pushes.dump(dict(reversed(ordered.items()))) == written
    assert pushes.dump({**ordered, "push_id": 5.0}) == written
    assert pushes.load(pushes.dump(push())) == push()


def test_half_a_surrogate_pair_cannot_be_written() -> None:
    with pytest.raises(ValueError, match="surrogates"):
        pushes.dump(push(author="\ud800"))


@settings(max_examples=300)
@given(
    st.sampled_from(["project", "revision", "author", "push_id", "revisions.0.revision", "colour"]),
    st.builds(
        lambda fill, length, end: fill * length + end,
        st.sampled_from(["a", "0", "é", "A", " ", "\ud800"]),
        st.sampled_from([0, 1, 39, 40, 41, 50, 51, 2_000, 2_001]),
        st.sampled_from(["", "\n"]),
    )
    | st.sampled_from([0, -1, 1.0, 1.5, True, None, 2**53 - 1, 2**53, 2**64, [], {}]),
)
def test_what_stands_before_the_reference_agrees_with_it(path: str, value: object) -> None:
    document = changed(push(), path, value)
    valid = schemas.validator("push").is_valid(document)
    assert isinstance(pushes.read(document, REPOSITORIES), list) == valid
    if form("push").surely_accepts(document):
        assert valid


def test_an_ordinary_record_needs_no_reference() -> None:
    assert form("push").surely_accepts(push(revision_hash=REVISION_HASH))


identity = {"project": "try", "revision": REVISION}
revisions = st.sampled_from([REVISION, OTHER_REVISION, REVISION_HASH])
texts = st.sampled_from(["a", "b"])
commits = st.lists(
    st.fixed_dictionaries(
        {"revision": revisions}, optional={"author": texts, "comment": st.just("") | texts}
    ),
    max_size=3,
    unique_by=lambda commit: commit["revision"],
)
records = st.fixed_dictionaries(
    {key: st.just(value) for key, value in identity.items()},
    optional={
        "revision_hash": st.just(REVISION_HASH),
        "author": texts,
        "push_timestamp": st.integers(0, 3),
        "push_id": st.integers(0, 3),
        "url": texts,
        "revisions": commits,
    },
)


def facts(record: dict[str, Any]) -> set[tuple[str, ...]]:
    """What a record knows, without what it says of it."""
    own: set[tuple[str, ...]] = {(key,) for key in record}
    for commit in record.get("revisions", []):
        own |= {(commit["revision"], key) for key in commit}
    return own


@given(records, records)
def test_a_merged_record_knows_what_both_know(old: dict[str, Any], new: dict[str, Any]) -> None:
    merged_bytes = pushes.merge(body(old), body(new))
    merged = json.loads(merged_bytes)
    assert schemas.validator("push").is_valid(merged)
    longer = max(old.get("revisions", []), new.get("revisions", []), key=len)
    # Of the commits those of the longer list stay; what is known of each is known by both.
    listed = {commit["revision"] for commit in merged.get("revisions", [])}
    assert len(listed) == len(longer)
    kept = {fact for fact in facts(old) | facts(new) if len(fact) == 1 or fact[0] in listed}
    assert facts(merged) == kept
    for key, value in new.items():
        if key != "revisions":
            assert merged[key] == value
    # The same record again changes nothing, so a repeated message is harmless.
    assert pushes.merge(merged_bytes, body(new)) == merged_bytes
    assert pushes.merge(merged_bytes, merged_bytes) == merged_bytes


@given(records)
def test_the_first_record_stands_alone(new: dict[str, Any]) -> None:
    assert json.loads(pushes.merge(None, body(new))) == new
    assert pushes.merge(None, body(new)) == pushes.dump(new)


def test_a_poorer_record_takes_nothing_away() -> None:
    rich = pushes.dump(push())
    assert pushes.merge(rich, body(identity)) == rich
    assert pushes.merge(body(identity), rich) == rich
    assert pushes.merge(rich, body({**identity, "revisions": []})) == rich
    assert pushes.merge(rich, body({**identity, "revisions": [{"revision": REVISION}]})) == rich


def test_a_record_of_another_revision_stands_alone() -> None:
    other = body({"project": "try", "revision": OTHER_REVISION})
    assert pushes.merge(pushes.dump(push()), other) == pushes.dump(json.loads(other))


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"null",
        b"[]",
        b"5",
        b"{}",
        b"\xff",
        b"NaN",
        b"[" * 5_000,
        b'{"project":"try"}',
        b'{"project":"try","revision":"tip"}',
        body(push(author="\ud800")),
        body(push(colour="green")),
        body(hg_push()),
    ],
)
def test_what_is_no_record_cannot_be_merged(value: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any text will do
        pushes.merge(None, value)
    with pytest.raises(ValueError):  # noqa: PT011 - any text will do
        pushes.merge(pushes.dump(push()), value)


def test_a_deep_record_cannot_be_merged() -> None:
    deep = b'{"author": ' + b"[" * 1_020 + b"]" * 1_020 + b"," + body(identity)[1:]
    with pytest.raises(ValueError, match="deep"):
        pushes.merge(None, deep)
