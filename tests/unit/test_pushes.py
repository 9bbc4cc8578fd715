import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import schemas
from pipeline import announcements, dead_letters, pushes
from pipeline.forms import form
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
    records = announcements.read(document, REPOSITORIES)
    assert isinstance(records, list), records
    for record in records:
        assert list(schemas.validator("push").iter_errors(record)) == []
    return records


def refused(document: dict[str, Any]) -> Refusal:
    refusal = announcements.read(document, REPOSITORIES)
    assert isinstance(refusal, Refusal), refusal
    assert refusal.reason in dead_letters.MEANINGS
    assert len(refusal.message) <= MAX_LENGTH
    return refusal


def test_a_push_record_is_taken_as_it_is() -> None:
    assert found(push()) == [push()]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "'project' is a required property"),
        (without(push(), "revision"), "'revision' is a required property"),
        (push(revision="tip"), "revision: 'tip' does not match '^[0-9a-f]{40}$'"),
        (push(colour=1), "Additional properties are not allowed ('colour' was unexpected)"),
        (push(head_revision="tip"), "head_revision: 'tip' does not match '^[0-9a-f]{40}$'"),
        (hg_push(heads=["tip"]), r"payload.heads[0]: 'tip' does not match"),
    ],
)
def test_what_is_malformed_is_refused(document: dict[str, Any], message: str) -> None:
    refusal = refused(document)
    assert refusal.reason == dead_letters.INVALID_PUSH
    assert message in refusal.message


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
    assert pushes.keys(push(revision_hash=REVISION_HASH, head_revision=OTHER_REVISION)) == [
        f"try:{REVISION}".encode(),
        f"try:{OTHER_REVISION}".encode(),
        f"try:{REVISION_HASH}".encode(),
    ]
    assert pushes.keys(push(head_revision=REVISION)) == [f"try:{REVISION}".encode()]


def test_a_record_is_written_in_one_way() -> None:
    ordered = {"project": "try", "revision": REVISION, "push_id": 5, "revisions": []}
    written = f'{{"project":"try","revision":"{REVISION}","push_id":5,"revisions":[]}}'.encode()
    assert pushes.dump(ordered) == written
    assert pushes.dump(dict(reversed(ordered.items()))) == written
    assert pushes.dump({**ordered, "push_id": 5.0}) == written
    assert pushes.load(pushes.dump(push())) == push()


def test_half_a_surrogate_pair_becomes_a_question_mark() -> None:
    commit = {"revision": REVISION, "author": "\udfff\ud800", "comment": 'é\x7f\b\n"\ud83d'}
    written = pushes.dump(push(author="J\udcfcrg", push_id=5.0, revisions=[commit]))
    replaced = {**commit, "author": "??", "comment": 'é\x7f\b\n"?'}
    assert written == pushes.dump(push(author="J?rg", push_id=5, revisions=[replaced]))


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
    assert isinstance(announcements.read(document, REPOSITORIES), list) == valid
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
        "head_revision": st.just(OTHER_REVISION),
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
    longer = max(new.get("revisions", []), old.get("revisions", []), key=len)
    # Of the commits those of the longer list stay; what is known of each is known by both.
    listed = {commit["revision"] for commit in merged.get("revisions", [])}
    assert len(listed) == len(longer)
    kept = {fact for fact in facts(old) | facts(new) if len(fact) == 1 or fact[0] in listed}
    assert facts(merged) == kept
    # Where they differ the one with more commits counts, and of two with as many the new one.
    richer = old if len(old.get("revisions", [])) > len(new.get("revisions", [])) else new
    for key, value in richer.items():
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
    poorer = {**identity, "author": "else", "push_timestamp": 1, "url": "elsewhere"}
    assert pushes.merge(rich, body(poorer)) == rich
    assert pushes.merge(body(poorer), rich) == rich


@given(st.permutations([0, 1, 2]))
def test_whatever_comes_first_the_richest_counts(order: list[int]) -> None:
    told: list[dict[str, Any]] = [
        {**identity, "author": "a"},
        {**identity, "author": "b", "revisions": [{"revision": REVISION}]},
        {
            **identity,
            "author": "c",
            "push_id": 3,
            "revisions": [{"revision": OTHER_REVISION}, {"revision": REVISION, "comment": "d"}],
        },
    ]
    merged: bytes | None = None
    for number in order:
        merged = pushes.merge(merged, body(told[number]))
    assert merged == pushes.dump(told[2])


HEAD: dict[str, Any] = {"project": "try", "revision": OTHER_REVISION, "author": "a", "url": "u"}
"""What a message tells of a push."""

LISTED = {**identity, "head_revision": OTHER_REVISION, "revisions": [{"revision": REVISION}]}
"""What a list that was asked for later tells: there was one commit more."""

KEY = f"try:{REVISION}".encode()
OTHER_KEY = f"try:{OTHER_REVISION}".encode()


@pytest.mark.parametrize("field", ["head_revision", "revision_hash"])
@pytest.mark.parametrize("order", [[0, 1], [1, 0], [0, 1, 0, 1]])
def test_who_has_the_name_as_revision_counts(order: list[int], field: str) -> None:
    told = [HEAD, {**identity, field: OTHER_REVISION, "push_id": 3}]
    merged: bytes | None = None
    for number in order:
        merged = pushes.merge(merged, body(told[number]), OTHER_KEY)
    assert merged == pushes.dump(HEAD)


@pytest.mark.parametrize("order", [[0, 1], [1, 0], [0, 1, 0, 1]])
def test_a_head_without_commits_is_the_push_that_lists_some(order: list[int]) -> None:
    merged: bytes | None = None
    for number in order:
        merged = pushes.merge(merged, body([HEAD, LISTED][number]), OTHER_KEY)
    assert merged == pushes.dump(LISTED)
    own = {**HEAD, "revisions": [{"revision": OTHER_REVISION}]}
    assert pushes.merge(merged, body(own), OTHER_KEY) == pushes.dump(own)
    assert pushes.merge(body(own), merged or b"", OTHER_KEY) == pushes.dump(own)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_each_of_two_may_be_the_others_head(order: list[int]) -> None:
    told = [{**identity, "head_revision": OTHER_REVISION}, {**HEAD, "head_revision": REVISION}]
    for key, wanted in ((KEY, told[0]), (OTHER_KEY, told[1])):
        merged = pushes.merge(body(told[order[0]]), body(told[order[1]]), key)
        assert merged == pushes.dump(wanted)


def test_of_two_that_have_the_name_besides_the_later_stands() -> None:
    later = {**HEAD, "revision": "a" * 40, "head_revision": OTHER_REVISION}
    assert pushes.merge(body(LISTED), body(later)) == pushes.dump(later)
    assert pushes.merge(body(later), body(LISTED)) == pushes.dump(LISTED)


@given(
    st.lists(
        st.builds(
            lambda revision, field, more: {
                "project": "try",
                "revision": revision,
                # Each record has the name, in one way or another.
                **({field: REVISION} if revision != REVISION else {}),
                **{key: f"{key} of {revision}" for key in more},
            },
            revisions,
            st.sampled_from(["head_revision", "revision_hash"]),
            st.sets(st.sampled_from(["author", "url"])),
        ),
        min_size=1,
        max_size=4,
    ).flatmap(lambda told: st.tuples(st.just(told), st.permutations(told)))
)
def test_records_of_different_revisions_are_never_mixed(
    orders: tuple[list[dict[str, Any]], list[dict[str, Any]]],
) -> None:
    results = []
    for told in orders:
        merged: bytes | None = None
        for record in told:
            merged = pushes.merge(merged, body(record), KEY)
        result = pushes.load(merged or b"")
        for key in ("author", "url"):
            assert result.get(key) in (None, f"{key} of {result['revision']}")
        results.append(result)
    if any(record["revision"] == REVISION for record in orders[0]):
        assert results[0] == results[1]
        assert results[0]["revision"] == REVISION


def test_a_later_push_of_a_pull_request_may_have_the_same_list() -> None:
    later = {**identity, "revisions": [{"revision": REVISION, "author": "a"}]}
    both = {**LISTED, "revisions": later["revisions"]}
    assert pushes.merge(body(LISTED), body(later)) == pushes.dump(both)
    assert pushes.merge(body(later), body(LISTED)) == pushes.dump(both)


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
