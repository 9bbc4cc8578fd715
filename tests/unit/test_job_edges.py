"""Both forms of a job at each edge of each rule: the fast path and the reference agree.

The documents are found by walking the schemas, so that a rule which is added is tried too. That
they are near enough is shown by moving each edge by one.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema.validators import validator_for

import schemas
from pipeline import jobs
from pipeline.bodies import Item, decode
from pipeline.forms import form
from pipeline.jobs import OF_2016, PROFILES, TODAY
from pipeline.refusals import MAX_LENGTH
from tests.examples import REVISION, REVISION_HASH, body, changed, job, job_2016, without
from tests.unit.edges import Rule, documents, moved, rules, values

HG = {"kind": "hg.mozilla.org", "project": "p", "pushLogID": 1}
MACHINE = {"platform": "linux64", "os": "linux", "architecture": "x86_64", "name": "one"}
_STARTS: list[tuple[str, dict[str, Any]]] = [
    (
        TODAY,
        changed(
            job(
                retryId=0,
                isRetried=False,
                coalesced=["a/0"],
                buildMachine=MACHINE,
                origin={"project": "p", "revision": REVISION, "id": 1},
            ),
            "display",
            {**job()["display"], "chunkId": 1, "chunkCount": 2},
        ),
    ),
    (OF_2016, job_2016(jobInfo=job()["jobInfo"], tier=1)),
    (OF_2016, job_2016(origin={**HG, "revision_hash": REVISION_HASH})),
    (OF_2016, job_2016(origin={**HG, "revision": REVISION, "revision_hash": "short"})),
    (
        OF_2016,
        job_2016(
            origin={
                "kind": "github.com",
                "project": "p",
                "owner": "o",
                "revision": REVISION,
                "pullRequestID": 1,
            }
        ),
    ),
]
# No two places of a document are one object, or both would change.
STARTS: list[tuple[str, dict[str, Any]]] = [
    (name, json.loads(body(start))) for name, start in _STARTS
]
NAMES = ["today", "2016", "by hash", "by both", "github"]


@pytest.mark.parametrize(("name", "start"), STARTS, ids=NAMES)
def test_at_each_edge_the_verdict_is_the_reference_s(name: str, start: dict[str, Any]) -> None:
    reference = schemas.validator(name)
    counts = {True: 0, False: 0, "fast": 0}
    for rule in rules(schemas.load(name), start):
        for document in documents(start, rule):
            raw = body(document)
            (item,) = decode(raw)  # type: ignore[misc]
            assert isinstance(item, Item)
            fault = jobs.judge(item, name)
            valid = reference.is_valid(json.loads(raw))
            assert (fault is None) == valid, (rule.path, fault)
            counts[valid] += 1
            counts["fast"] += form(name).surely_accepts(item.document)
            if fault is not None:
                check_line(rule.path, fault)
    assert min(counts[True], counts[False]) > 150
    # Those with letters of Python's `\w` and new lines before `$` are the reference's.
    assert counts["fast"] > counts[True] / 2


def check_line(path: str, fault: str) -> None:
    """Check that a fault is one line that begins with the place, and with the rule behind it."""
    assert 0 < len(fault) <= MAX_LENGTH
    assert fault.isprintable()
    # Of an origin's alternatives it is told what is wrong with the nearest.
    if path.startswith("origin"):
        assert fault.startswith(("origin", "'origin' is a required"))
        return
    parent, _, field = path.rpartition(".")
    missing = f"{indexed(parent)}: '{field}' is a required property".removeprefix(": ")
    at, extra = indexed(path), "Additional properties are not allowed ('colour'"
    assert fault.startswith((f"{at}: ", f"{at}[", missing, extra)), (path, fault)


def indexed(path: str) -> str:
    return "".join(f"[{s}]" if s.isdigit() else f".{s}" for s in path.split(".")).lstrip(".")


@st.composite
def edged_jobs(draw: st.DrawFn) -> dict[str, Any]:
    """A job of either form with several of its places at an edge."""
    name, start = draw(st.sampled_from(STARTS))
    document: dict[str, Any] = start
    for _ in range(draw(st.integers(2, 4))):
        # What an earlier change has put there may have no such place.
        found = [rule for rule in rules(schemas.load(name), document) if rule.path]
        if found:
            rule = draw(st.sampled_from(found))
            document = changed(document, rule.path, draw(st.sampled_from(values(rule.schema))))
    return document


@settings(max_examples=400)
@given(edged_jobs())
def test_at_several_edges_the_verdict_is_the_reference_s(document: dict[str, Any]) -> None:
    raw = body(document)
    (item,) = decode(raw)  # type: ignore[misc]
    assert isinstance(item, Item)
    for profile, forms in PROFILES.items():
        valid = any(schemas.validator(one).is_valid(json.loads(raw)) for one in forms)
        assert (jobs.judge(item, profile) is None) == valid, profile


@pytest.mark.parametrize("name", [TODAY, OF_2016])
def test_an_edge_moved_by_one_would_be_seen(name: str) -> None:
    whole, reference = schemas.load(name), schemas.validator(name)
    seen, all_ = set(), set()
    for start in [start for of, start in STARTS if of == name]:
        for rule in rules(whole, start):
            tried = [*documents(start, rule), *without_each(start, rule)]
            verdicts = [reference.is_valid(document) for document in tried]
            for what, mutant in moved(whole, rule):
                edge = (rule.path, rule.at, what)
                all_.add(edge)
                other = validator_for(mutant)(mutant)
                if edge not in seen and any(
                    other.is_valid(document) != verdict
                    for document, verdict in zip(tried, verdicts, strict=True)
                ):
                    seen.add(edge)
    assert all_ - seen == set()
    assert len(all_) > 100


def without_each(start: dict[str, Any], rule: Rule) -> list[dict[str, Any]]:
    """Return documents that lack one of the fields that a rule says must be there."""
    place: Any = start
    for step in filter(None, rule.path.split(".")):
        place = place[int(step) if step.isdigit() else step]
    names = [name for name in rule.schema.get("required", []) if name in place]
    return [without(start, f"{rule.path}.{name}".lstrip(".")) for name in names]
