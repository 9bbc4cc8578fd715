"""Both forms of a job accept and refuse exactly what they say, by the reference for them."""

from typing import Any

import pytest

import schemas
from local import ROOT
from tests.examples import REVISION, REVISION_HASH, changed, job, job_2016, without

HG = "hg.mozilla.org"
MACHINE = {"platform": "linux64", "os": "linux", "architecture": "x86_64"}


def accepts(name: str, document: Any) -> bool:
    return schemas.validator(name).is_valid(document)


def test_each_form_of_a_job_is_refused_by_the_other() -> None:
    assert accepts("pulse-job", job())
    assert accepts("pulse-job-2016", job_2016())
    assert not accepts("pulse-job", job_2016())
    assert not accepts("pulse-job-2016", job())


FORMS = {"pulse-job": job(), "pulse-job-2016": job_2016()}
BOTH = sorted(FORMS)


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    "field", ["taskId", "origin", "buildSystem", "display", "state", "jobKind", "version"]
)
def test_what_a_job_needs(form: str, field: str) -> None:
    assert not accepts(form, without(FORMS[form], field))


@pytest.mark.parametrize("form", BOTH)
def test_the_page_about_jobs_names_every_field(form: str) -> None:
    page = (ROOT / "docs/jobs.md").read_text(encoding="utf-8")
    table = page.partition("## Validity")[2].partition("\n## ")[0]
    assert [name for name in schemas.load(form)["properties"] if name not in table] == []


@pytest.mark.parametrize("form", BOTH)
def test_what_a_job_can_do_without(form: str) -> None:
    needed = {"taskId", "origin", "buildSystem", "display", "state", "jobKind", "version"}
    assert accepts(form, {key: FORMS[form][key] for key in needed})
    assert not accepts(form, {**FORMS[form], "colour": "green"})


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    ("path", "least", "most"),
    [
        ("taskId", 1, 50),
        ("buildSystem", 1, 25),
        ("origin.project", 1, 50),
        ("display.jobSymbol", 0, 25),
        ("display.groupSymbol", 1, 25),
        ("owner", 1, 50),
        ("reason", 1, 125),
        ("productName", 1, 125),
        ("labels.0", 1, 50),
        ("coalesced.0", 1, 50),
        ("runMachine.name", 1, 50),
        ("runMachine.platform", 1, 100),
        ("runMachine.os", 1, 25),
        ("buildMachine.architecture", 1, 25),
        ("logs.0.name", 1, 50),
        ("logs.0.url", 1, 255),
        ("jobInfo.links.0.url", 0, 512),
        ("jobInfo.links.0.linkText", 1, 125),
        ("jobInfo.links.0.label", 1, 70),
    ],
)
def test_lengths_in_both_forms(form: str, path: str, least: int, most: int) -> None:
    check_lengths(form, path, least, most)


@pytest.mark.parametrize(
    ("form", "path", "least", "most"),
    [
        ("pulse-job", "display.jobName", 1, 140),
        ("pulse-job", "display.groupName", 1, 255),
        ("pulse-job-2016", "display.jobName", 1, 100),
        ("pulse-job-2016", "display.groupName", 1, 100),
        ("pulse-job-2016", "logs.0.steps.0.name", 1, 255),
        ("pulse-job-2016", "logs.0.steps.0.errors.0.line", 1, 255),
        ("pulse-job", "origin.revision", 40, 40),
        ("pulse-job-2016", "origin.revision", 40, 40),
    ],
)
def test_lengths_that_differ(form: str, path: str, least: int, most: int) -> None:
    check_lengths(form, path, least, most)


def full(form: str) -> dict[str, Any]:
    """A job of a form with every field that both forms have."""
    link = {"url": "https://example.com/", "linkText": "text", "label": "label"}
    return {
        **FORMS[form],
        "coalesced": ["0a1b2c3d/0"],
        "buildMachine": {**MACHINE, "name": "builder"},
        "jobInfo": {"links": [link]},
    }


def check_lengths(form: str, path: str, least: int, most: int) -> None:
    for length in {max(least - 1, 0), least, most, most + 1}:
        document = changed(full(form), path, "a" * length)
        assert accepts(form, document) == (least <= length <= most), length
    others: list[Any] = [None, 5, ["a" * least], {}]
    for other in others:
        assert not accepts(form, changed(full(form), path, other))


@pytest.mark.parametrize("form", BOTH)
@pytest.mark.parametrize(
    "path", ["buildSystem", "origin.project", "labels.0", "runMachine.name", "runMachine.os"]
)
def test_words_in_the_sense_of_python(form: str, path: str) -> None:
    for value, fine in {
        "a-b_C9": True,
        "été": True,
        "word\n": True,
        "two words": False,
        "a.b": False,
        "a/b": False,
        "word\n\n": False,
    }.items():
        assert accepts(form, changed(full(form), path, value)) == fine, value


@pytest.mark.parametrize("form", BOTH)
def test_names_of_jobs(form: str) -> None:
    for value, fine in {"a/+-Z0": True, "a\n": True, "a_b": False, "é": False}.items():
        assert accepts(form, changed(full(form), "taskId", value)) == fine, value
    for value, fine in {"a_b/+-": True, "é": True, "a b": False}.items():
        assert accepts(form, changed(full(form), "coalesced.0", value)) == fine, value


@pytest.mark.parametrize("form", BOTH)
def test_revisions(form: str) -> None:
    for value, fine in {
        "0" * 40: True,
        "a" * 39 + "\n": True,
        "A" * 40: False,
        "g" * 40: False,
        "a" * 40 + "\n": False,
    }.items():
        assert accepts(form, changed(full(form), "origin.revision", value)) == fine, value


@pytest.mark.parametrize("form", BOTH)
def test_choices(form: str) -> None:
    later = form == "pulse-job"
    for path, values in {
        "state": ("unscheduled", "pending", "running", "completed"),
        "result": ("success", "fail", "exception", "canceled", "unknown"),
        "jobKind": ("build", "test", "other"),
    }.items():
        for value in values:
            assert accepts(form, changed(full(form), path, value))
        assert not accepts(form, changed(full(form), path, values[0].upper()))
        assert not accepts(form, changed(full(form), path, None))
    for value in ("retry", "superseded"):
        assert accepts(form, changed(full(form), "result", value)) == later
    assert accepts(form, changed(full(form), "isRetried", True))
    assert not accepts(form, changed(full(form), "isRetried", 1))


@pytest.mark.parametrize("form", BOTH)
def test_numbers(form: str) -> None:
    for path, least, most in (
        ("retryId", 0, None),
        ("display.chunkId", 1, None),
        ("display.chunkCount", 1, None),
        ("tier", 1, 3),
    ):
        document = full(form)
        assert accepts(form, changed(document, path, least))
        assert not accepts(form, changed(document, path, least - 1))
        assert accepts(form, changed(document, path, 10**400)) == (most is None)
        assert not accepts(form, changed(document, path, True))
        assert not accepts(form, changed(document, path, "1"))
        assert not accepts(form, changed(document, path, 1.5))
        # An integer with a point is one to the later draft only.
        assert accepts(form, changed(document, path, 1.0)) == (form == "pulse-job")
    assert accepts(form, changed(full(form), "tier", 3))
    assert not accepts(form, changed(full(form), "tier", 4))


def test_versions() -> None:
    for version in (1, 0, 7, -1):
        assert accepts("pulse-job", job(version=version)) == (version == 1)
        assert accepts("pulse-job-2016", job_2016(version=version))
    assert not accepts("pulse-job", job(version=True))
    assert not accepts("pulse-job-2016", job_2016(version="1"))


@pytest.mark.parametrize("form", BOTH)
def test_formats_are_not_checked(form: str) -> None:
    for path in ("timeScheduled", "timeStarted", "timeCompleted"):
        assert accepts(form, changed(full(form), path, "tomorrow, perhaps"))
        assert not accepts(form, changed(full(form), path, 1_700_000_000))
    assert accepts(form, changed(full(form), "logs.0.url", "no address"))


@pytest.mark.parametrize("form", BOTH)
def test_machines_and_logs_are_closed(form: str) -> None:
    for machine in ("buildMachine", "runMachine"):
        document = changed(full(form), machine, MACHINE)
        assert accepts(form, document)
        assert not accepts(form, changed(document, f"{machine}.colour", "green"))
        for field in MACHINE:
            assert not accepts(form, without(document, f"{machine}.{field}"))
    assert not accepts(form, changed(full(form), "jobInfo.colour", "green"))
    assert accepts(form, changed(full(form), "jobInfo", {}))
    assert not accepts(form, changed(full(form), "logs.0.colour", "green"))
    for field in ("url", "name"):
        assert not accepts(form, without(full(form), f"logs.0.{field}"))
    for field in ("url", "linkText", "label"):
        assert not accepts(form, without(full(form), f"jobInfo.links.0.{field}"))
    assert not accepts(form, changed(full(form), "jobInfo.links.0.colour", "green"))


def test_a_form_of_2016_names_the_first_link_only() -> None:
    for second in ({"anything": 1}, "text", None):
        assert accepts("pulse-job-2016", changed(full("pulse-job-2016"), "jobInfo.links.1", second))
        assert not accepts("pulse-job", changed(full("pulse-job"), "jobInfo.links.1", second))


def test_what_was_open_in_2016() -> None:
    old, new = full("pulse-job-2016"), full("pulse-job")
    assert accepts("pulse-job-2016", changed(old, "display.colour", "green"))
    assert not accepts("pulse-job", changed(new, "display.colour", "green"))
    assert accepts("pulse-job-2016", changed(old, "origin.colour", "green"))
    assert not accepts("pulse-job", changed(new, "origin.colour", "green"))
    assert accepts("pulse-job-2016", changed(old, "extra", {"anything": [1]}))
    assert not accepts("pulse-job-2016", changed(old, "extra", []))
    assert not accepts("pulse-job", changed(new, "extra", {}))
    for field in ("steps", "errorsTruncated"):
        document = changed(new, f"logs.0.{field}", old["logs"][0][field])
        assert not accepts("pulse-job", document)


def test_steps_of_2016() -> None:
    old = full("pulse-job-2016")
    step = "logs.0.steps.0"
    for field in ("name", "timeStarted", "timeFinished", "lineStarted", "lineFinished", "result"):
        assert not accepts("pulse-job-2016", without(old, f"{step}.{field}"))
    assert accepts("pulse-job-2016", without(old, f"{step}.errors"))
    assert accepts("pulse-job-2016", changed(old, f"{step}.colour", "green"))
    assert not accepts("pulse-job-2016", changed(old, f"{step}.lineStarted", -1))
    assert not accepts("pulse-job-2016", changed(old, f"{step}.result", "retry"))
    assert accepts("pulse-job-2016", changed(old, f"{step}.errors.0", {}))
    assert not accepts("pulse-job-2016", changed(old, f"{step}.errors.0.linenumber", -1))
    assert not accepts("pulse-job-2016", changed(old, f"{step}.errors.0.colour", "green"))


@pytest.mark.parametrize(
    ("origin", "fine"),
    [
        ({"kind": HG, "project": "p", "revision": REVISION}, True),
        ({"kind": HG, "project": "p", "revision_hash": REVISION_HASH}, True),
        ({"kind": HG, "project": "p", "revision": REVISION, "revision_hash": REVISION}, False),
        ({"kind": HG, "project": "p", "revision": REVISION, "revision_hash": "short"}, True),
        ({"kind": HG, "project": "p", "revision": 5, "revision_hash": REVISION_HASH}, True),
        ({"kind": HG, "project": "p"}, False),
        ({"kind": HG, "revision": REVISION}, False),
        ({"kind": HG, "project": "p", "revision": REVISION, "pushLogID": 5}, True),
        ({"kind": HG, "project": "p", "revision": REVISION, "pushLogID": "5"}, False),
        ({"kind": HG, "project": "p", "revision": REVISION, "pushLogID": 5.0}, False),
        ({"project": "p", "revision": REVISION}, False),
        (
            {"kind": "github.com", "project": "p", "revision": "Any forty: " + "é" * 29},
            True,
        ),
        ({"kind": "github.com", "project": "p", "revision": "a" * 39}, False),
        ({"kind": "github.com", "project": "p", "revision_hash": REVISION_HASH}, False),
        ({"kind": "github.com", "project": "p", "revision": REVISION, "owner": "o"}, True),
        ({"kind": "github.com", "project": "p", "revision": REVISION, "owner": "o o"}, False),
        ({"kind": "github.com", "project": "p", "revision": REVISION, "owner": "o" * 51}, False),
        ({"kind": "github.com", "project": "p", "revision": REVISION, "pullRequestID": 1}, True),
        ({"kind": "github.com", "project": "p", "revision": REVISION, "pullRequestID": ""}, False),
        ({"kind": "bitbucket.org", "project": "p", "revision": REVISION}, False),
        ([], False),
    ],
)
def test_origins_of_2016(origin: object, fine: bool) -> None:
    assert accepts("pulse-job-2016", job_2016(origin=origin)) == fine


@pytest.mark.parametrize(
    ("origin", "fine"),
    [
        ({"project": "p", "revision": REVISION}, True),
        ({"project": "p", "revision": REVISION, "id": 5}, True),
        ({"project": "p", "revision": REVISION, "id": "5"}, False),
        ({"project": "p"}, False),
        ({"revision": REVISION}, False),
        ({"project": "p", "revision": REVISION, "kind": HG}, False),
        ({"project": "p", "revision": REVISION, "pushLogID": 5}, False),
        ({"project": "p", "revision": REVISION, "owner": "o"}, False),
    ],
)
def test_origins_of_today(origin: object, fine: bool) -> None:
    assert accepts("pulse-job", job(origin=origin)) == fine
