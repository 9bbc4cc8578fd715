"""Verdicts on jobs: always those of the reference, whatever stands before it."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings

import schemas
from pipeline import jobs
from pipeline.bodies import Item, decode
from pipeline.forms import form
from pipeline.jobs import ANY, OF_2016, PROFILES, TODAY
from pipeline.refusals import MAX_LENGTH
from tests.examples import OTHER_REVISION, REVISION, REVISION_HASH, body, changed, job, job_2016
from tests.fuzz.documents import BOTH, GITHUB, HASH_ONLY, HG, JOBS, near


def verdict(raw: bytes, profile: str) -> str | None:
    found = decode(raw)
    assert isinstance(found, list)
    fault = jobs.judge(found[0], profile)
    if fault is not None:
        assert 0 < len(fault) <= MAX_LENGTH
        assert fault.isprintable()
    return fault


def check(raw: bytes) -> None:
    document = json.loads(raw)
    for profile, forms in PROFILES.items():
        valid = any(schemas.validator(form).is_valid(document) for form in forms)
        for sent in (raw, b"[" + raw + b"]"):
            assert (verdict(sent, profile) is None) == valid, profile
        if valid:
            assert jobs.push_of(document).decode().startswith(document["origin"]["project"] + ":")
            assert jobs.job_id(document).decode() == document["taskId"]


@settings(max_examples=600)
@given(near(JOBS))
@example(job_2016(origin={**BOTH, "revision_hash": "a" * 39 + "\n"}))
@example(job_2016(origin={**BOTH, "revision": "a" * 39 + "\n"}))
@example(job_2016(origin={**BOTH, "revision": "a" * 39 + "\n", "pushLogID": 2**64}))
@example(job_2016(origin={**HASH_ONLY, "pushLogID": 2**64}))
@example(job_2016(origin={**BOTH, "project": "é"}))
@example(job(labels=["a\n"]))
@example(job(labels=["é"]))
@example(job(labels=["a\n\n"]))
@example(job(taskId="a" * 49 + "\n"))
@example(job(retryId=0.0))
@example(job_2016(retryId=0.0))
@example(job_2016(retryId=2**64))
@example(job(retryId=-(2**64)))
@example(job(version=True))
@example(job(version=1.0))
@example(job_2016(origin={**GITHUB, "revision": "\ud800" * 40}))
@example(job_2016(origin={**GITHUB, "revision": "\0" * 40}))
@example(job(owner="😀" * 50))
@example(job(owner="😀" * 51))
def test_verdicts_are_the_reference_s(document: dict[str, Any]) -> None:
    check(body(document))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"version": 1', b'"version": 1e0'),
        (b'"version": 1', b'"version": 1.0'),
        (b'"version": 1', b'"version": 2, "version": 1'),
        (b'"version": 1', b'"version": 1, "version": 2'),
        (b'"tier": 1', b'"tier": 1' + b"0" * 400),
        (b'"tier": 1', b'"tier": 1e400'),
        (b'"tier": 1', b'"retryId": 1' + b"0" * 300),
        (b'"tier": 1', b'"isRetried": "\\ud83d"'),
        (b'"owner": "', b'"owner": "\\ud83d\\ude00'),
        (b'"owner": "', b'"owner": "\\ud83d'),
    ],
)
def test_verdicts_on_odd_bytes(old: bytes, new: bytes) -> None:
    raw = body(job())
    assert raw.count(old) == 1
    check(raw.replace(old, new))


@settings(max_examples=300)
@given(near(JOBS))
def test_what_a_narrowed_schema_accepts_is_valid(document: dict[str, Any]) -> None:
    (item,) = decode(body(document))  # type: ignore[misc]
    reference = json.loads(item.raw)
    for name in (TODAY, OF_2016):
        if form(name).surely_accepts(item.document):
            assert schemas.validator(name).is_valid(reference)


@pytest.mark.parametrize("start", JOBS)
def test_ordinary_jobs_need_no_reference(start: dict[str, Any]) -> None:
    valid = [name for name in (TODAY, OF_2016) if schemas.validator(name).is_valid(start)]
    assert [name for name in (TODAY, OF_2016) if form(name).surely_accepts(start)] == valid


def test_each_form_is_refused_by_the_other_profile() -> None:
    assert verdict(body(job()), TODAY) is None
    assert verdict(body(job_2016()), OF_2016) is None
    assert verdict(body(job()), OF_2016) is not None
    assert verdict(body(job_2016()), TODAY) is not None
    assert verdict(body(job()), ANY) is None
    assert verdict(body(job_2016()), ANY) is None


@pytest.mark.parametrize(
    ("document", "profile", "fault"),
    [
        (job(revision="xyz"), TODAY, "origin.revision: 'xyz' does not match '^[0-9a-f]+$'"),
        (job(revision="abc"), TODAY, "origin.revision: 'abc' is shorter than 40"),
        (job(labels=["opt", "a b"]), TODAY, r"labels[1]: 'a b' does not match '^[\\w-]+$'"),
        (job(owner="o" * 51), TODAY, f"owner: '{'o' * 51}' is longer than 50"),
        (job(tier=4), ANY, "tier: 4 is greater than the maximum of 3 (by pulse-job)"),
        (job_2016(tier=4), ANY, "tier: 4 is greater than the maximum of 3 (by pulse-job-2016)"),
        ({}, ANY, "'taskId' is a required property (by pulse-job)"),
        (job(origin=5), ANY, "origin: 5 is not of type 'object' (by pulse-job)"),
        (
            job(colour=1),
            TODAY,
            "Additional properties are not allowed ('colour' was unexpected)",
        ),
        (
            job_2016(origin={"kind": HG, "project": "p", "revision": "G" * 40}),
            OF_2016,
            f"origin.revision: '{'G' * 40}' does not match '^[0-9a-f]+$'",
        ),
        (
            job_2016(origin={**GITHUB, "owner": "o o"}),
            OF_2016,
            r"origin.owner: 'o o' does not match '^[\\w-]+$'",
        ),
        (
            job_2016(logs=[{"name": "a", "url": "b", "steps": [{}]}]),
            OF_2016,
            "logs[0].steps[0]: 'name' is a required property",
        ),
    ],
)
def test_a_fault_names_the_place_and_the_rule(
    document: dict[str, Any], profile: str, fault: str
) -> None:
    assert verdict(body(document), profile) == fault


def test_a_fault_of_two_names_for_a_push_says_which() -> None:
    fault = verdict(body(job_2016(origin=BOTH)), OF_2016)
    assert fault is not None
    assert "a revision on hg.mozilla.org, a revision_hash on hg.mozilla.org" in fault


@pytest.mark.parametrize("huge", ["x" * 100_000, ["x" * 100_000], {"x" * 100_000: 1}, [[]] * 9_999])
@pytest.mark.parametrize(
    ("path", "rule"),
    [("isRetried", "is not of type 'boolean'"), ("tier", "is not of type 'integer'")],
)
def test_a_fault_is_bounded_and_still_names_the_rule(path: str, rule: str, huge: object) -> None:
    fault = verdict(body(changed(job(), path, huge)), ANY)
    assert fault is not None
    assert fault.startswith(f"{path}: ")
    assert rule in fault


def test_a_fault_is_bounded_whatever_is_long() -> None:
    for name in ("x" * 100_000, "\n" * 1_000, "\ud800" * 1_000):
        assert verdict(body({**job(), name: 1}), ANY) is not None
        assert verdict(body(job(owner=name)), ANY) is not None
        assert verdict(body(job(origin={name: 1})), ANY) is not None


def test_a_job_nested_as_deep_as_can_be_read_is_judged() -> None:
    deep = b'"owner": ' + b"[" * 900 + b"]" * 900 + b', "x": "'
    raw = body(job()).replace(b'"owner": "', deep)
    assert verdict(raw, ANY) is not None
    for depth in range(900, 1_024, 4):
        extra = b'"extra": {"a": ' + b"[" * depth + b"]" * depth + b"}"
        found = decode(body(job_2016(extra={})).replace(b'"extra": {}', extra))
        if isinstance(found, list):
            assert jobs.judge(found[0], TODAY) is not None
            jobs.judge(found[0], OF_2016)


@pytest.mark.parametrize(
    ("document", "key"),
    [
        (job(), f"try:{REVISION}"),
        (job_2016(), f"mozilla-inbound:{REVISION}"),
        (job_2016(origin=HASH_ONLY), f"p:{REVISION_HASH}"),
        (job_2016(origin={**HASH_ONLY, "revision": "short"}), f"p:{REVISION_HASH}"),
        (job_2016(origin={**HASH_ONLY, "revision": 5}), f"p:{REVISION_HASH}"),
        (job_2016(origin={**BOTH, "revision_hash": "short"}), f"p:{REVISION}"),
        (job_2016(origin={**GITHUB, "revision_hash": OTHER_REVISION}), f"p:{REVISION}"),
        (job_2016(origin={**GITHUB, "revision": "é" * 40}), "p:" + "é" * 40),
        (job_2016(origin={**GITHUB, "revision": "\ud800" * 40}), "p:" + "?" * 40),
        (job_2016(origin={**GITHUB, "revision": "\0" * 40}), "p:" + "\0" * 40),
    ],
)
def test_the_push_of_a_job(document: dict[str, Any], key: str) -> None:
    (item,) = decode(body(document))  # type: ignore[misc]
    assert isinstance(item, Item)
    assert isinstance(item.document, dict)
    assert jobs.judge(item, ANY) is None
    assert jobs.push_of(item.document) == key.encode()
