"""The schemas accept and refuse what they are meant to, by the reference for them."""

from pathlib import Path
from typing import Any

import pytest
from jsonschema.validators import validator_for

import schemas
from pulseload.errors import Failure
from tests.examples import (
    OTHER_REVISION,
    REVISION,
    REVISION_HASH,
    changed,
    hg_push,
    job,
    job_2016,
    push,
    without,
)

NAMES = sorted(path.stem for path in Path(schemas.__file__).parent.glob("*.yml"))


def accepts(name: str, document: Any) -> bool:
    return schemas.validator(name).is_valid(document)


@pytest.mark.parametrize("name", NAMES)
def test_each_is_a_schema_and_says_what_it_is_for(name: str) -> None:
    schema = schemas.load(name)
    validator_for(schema).check_schema(schema)
    assert schema["title"]
    assert schema["description"]


@pytest.mark.parametrize(
    "name", ["pulse-job", "pulse-job-2016", "push", "hg-push", "github-push", "github-pull-request"]
)
def test_each_field_that_people_write_is_described(name: str) -> None:
    def undescribed(schema: dict[str, Any]) -> list[str]:
        return [
            field
            for field, form in schema.get("properties", {}).items()
            if "description" not in form and field not in ("project", "payload", "pushLogID")
        ]

    assert undescribed(schemas.load(name)) == []


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a: [", "cannot be read"),
        ("a: b", "not a schema"),
        ("- a", "not a schema"),
        ("$schema: http://json-schema.org/draft-06/schema#\ntype: 5", "not a schema"),
        (None, "cannot be read"),
    ],
)
def test_a_broken_schema_is_one_line(
    text: str | None, complaint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schemas, "_HERE", tmp_path)
    if text is not None:
        (tmp_path / "broken.yml").write_text(text)
    with pytest.raises(Failure, match=complaint) as failure:
        schemas.load("broken")
    assert "broken.yml" in str(failure.value)
    assert "\n" not in str(failure.value)


def test_the_drafts_are_those_of_the_forms() -> None:
    assert "draft-06" in schemas.load("pulse-job")["$schema"]
    assert "draft-04" in schemas.load("pulse-job-2016")["$schema"]


@pytest.mark.parametrize(
    ("document", "fine"),
    [
        (push(), True),
        (push(revision_hash=REVISION_HASH), True),
        ({"project": "try", "revision": REVISION}, True),
        (without(push(), "project"), False),
        (without(push(), "revision"), False),
        (push(revision=REVISION[:39]), False),
        (push(revision=REVISION + "\n"), False),
        (push(revision=REVISION.upper()), False),
        (push(project="a project"), False),
        (push(author=""), False),
        (push(author=None), False),
        (push(push_timestamp="2026-03-01"), False),
        (push(push_timestamp=-1), False),
        (push(push_id=2**53), False),
        (push(colour="green"), False),
        (push(revisions=[]), True),
        (push(revisions=[{"revision": OTHER_REVISION}]), True),
        (push(revisions=[{"author": "nobody"}]), False),
        (push(revisions=[{"revision": REVISION, "colour": "green"}]), False),
    ],
)
def test_push_records(document: dict[str, Any], fine: bool) -> None:
    assert accepts("push", document) == fine


@pytest.mark.parametrize(
    ("document", "fine"),
    [
        (hg_push(), True),
        (hg_push(heads=[REVISION, OTHER_REVISION]), True),
        (hg_push(heads=[]), False),
        (hg_push(heads=["tip"]), False),
        (hg_push(heads=[f" {REVISION} "]), True),
        (hg_push(pushlog_pushes=[]), True),
        (hg_push(pushlog_pushes=None), True),
        (hg_push(pushlog_pushes={"pushid": 1}), True),
        (hg_push(pushlog_pushes={"pushid": "1"}), True),
        (without(hg_push(), "payload.pushlog_pushes"), True),
        (without(hg_push(), "_meta"), True),
        (changed(without(hg_push(), "_meta"), "payload._meta", {"sent": "now"}), True),
        (without(hg_push(), "payload.heads"), False),
        (without(hg_push(), "payload.repo_url"), False),
        (without(hg_push(), "payload"), False),
        ({"payload": {"type": "newrepo.1", "data": {}}}, False),
        (changed(hg_push(), "payload.pushlog_pushes.0.pushid", "136598"), True),
        (changed(hg_push(), "payload.pushlog_pushes.0.user", None), True),
        (changed(hg_push(), "payload.pushlog_pushes.0.user", 5), True),
        (changed(hg_push(), "payload.pushlog_pushes.0.time", "late"), True),
    ],
)
def test_messages_of_hg_pushes(document: dict[str, Any], fine: bool) -> None:
    assert accepts("hg-push", document) == fine


@pytest.mark.parametrize(
    ("document", "fine"),
    [
        ({"job": job(), "push": push(), "result": "success"}, True),
        ({"job": job_2016(), "push": push(), "result": "busted"}, True),
        ({"job": job(tier=4), "push": push(), "result": "success"}, False),
        ({"job": job(), "push": {}, "result": "success"}, False),
        ({"job": job(), "result": "success"}, False),
        ({"job": job(), "push": push()}, False),
        ({"job": job(), "push": push(), "result": "fail"}, False),
        ({"job": job(), "push": push(), "result": "success", "colour": "green"}, False),
    ],
)
def test_joined_jobs(document: dict[str, Any], fine: bool) -> None:
    assert accepts("joined-job", document) == fine
