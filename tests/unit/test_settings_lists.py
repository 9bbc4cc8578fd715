"""The settings that are lists: sources and repositories."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pulseload.sources import Source
from tests.unit.settings_files import load, refused


def test_sources_in_the_old_systems_form(tmp_path: Path) -> None:
    found = load(
        tmp_path,
        {
            "PULSE_DATA_INGESTION_CONFIG": "amqp://me:p%40ss@pulse.mozilla.org:5671/?ssl=1",
            "PULSE_DATA_INGESTION_SOURCES": """[{
                "exchange": "exchange/taskcluster-treeherder/v1/jobs",
                "destinations": ["tc-treeherder", "other"],
                "projects": ["mozilla-inbound.#", "try.#"]
            }]""",
        },
    )
    assert found.pulse_data_ingestion_sources == (
        Source(
            "exchange/taskcluster-treeherder/v1/jobs",
            "jobs",
            "any",
            (
                "tc-treeherder.mozilla-inbound.#",
                "tc-treeherder.try.#",
                "other.mozilla-inbound.#",
                "other.try.#",
            ),
        ),
    )
    assert found.amqp_user == "me"
    assert found.pulse_url_shown == "amqp://me:***@pulse.mozilla.org:5671/?ssl=1"


def test_routing_keys_are_used_as_they_are_and_once(tmp_path: Path) -> None:
    row = {
        "exchange": "exchange/x/jobs",
        "destinations": ["a"],
        "projects": ["b"],
        "routing_keys": ["#.c", "a.b"],
    }
    found = load(tmp_path, pulse_data_ingestion_sources=[row])
    assert found.pulse_data_ingestion_sources[0].bindings == ("a.b", "#.c")


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [
        ("exchange/hgpushes/v1", "hg-pushes"),
        ("exchange/hgpushes/v2", "hg-pushes"),
        ("exchange/taskcluster-github/v1/push", "github-pushes"),
        ("exchange/taskcluster-github/v1/pull-request", "github-pull-requests"),
        ("exchange/taskcluster-github/v1/release", "jobs"),
        ("exchange/me/hgpushes", "jobs"),
    ],
)
def test_the_kind_follows_from_the_exchange(tmp_path: Path, exchange: str, kind: str) -> None:
    found = load(tmp_path, pulse_data_ingestion_sources=[{"exchange": exchange}])
    assert found.pulse_data_ingestion_sources[0].kind == kind


def test_a_kind_that_is_given_wins(tmp_path: Path) -> None:
    row = {"exchange": "exchange/hgpushes/v1", "kind": "jobs", "profile": "pulse-job-2016"}
    (source,) = load(tmp_path, pulse_data_ingestion_sources=[row]).pulse_data_ingestion_sources
    assert (source.kind, source.profile) == ("jobs", "pulse-job-2016")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "a list (not empty)"),
        ([{}], "PULSE_DATA_INGESTION_SOURCES[0] lacks exchange"),
        ([{"name": "x"}], "[0] has the unknown key 'name'; known: exchange"),
        ([{"exchange": "x", "routing_key": ["#"]}], "did you mean routing_keys?"),
        ([{"exchange": "x", "projects": ["a"]}], "has projects but no destinations"),
        ([{"exchange": "x", "profile": "x"}], "one of any, pulse-job, pulse-job-2016"),
        ([{"exchange": "x", "kind": "job"}], '[0].kind is "job"; allowed: one of jobs'),
        ([{"exchange": "ex change"}], "such as exchange/taskcluster-treeherder/v1/jobs"),
        ([{"exchange": "x", "routing_keys": "#"}], '[0].routing_keys is "#"; allowed: a list'),
        ([{"exchange": "x"}, {"exchange": "x"}], "x is listed twice"),
        ([{"exchange": "exchange/a/b"}, {"exchange": "a.b"}], "both be mirrored in pulse.a.b"),
        ([{"exchange": "a.b"}, {"exchange": "a_b"}], "both be mirrored"),
        (
            [{"exchange": "x", "destinations": ["a" * 200], "projects": ["b" * 200]}],
            "too long; allowed: 255 bytes",
        ),
    ],
)
def test_wrong_sources(tmp_path: Path, rows: list[Any], said: str) -> None:
    text = refused(tmp_path, {"PULSE_DATA_INGESTION_SOURCES": yaml.safe_dump(rows)})
    assert text.startswith("PULSE_DATA_INGESTION_SOURCES")
    assert said in text


def test_sources_that_are_no_list(tmp_path: Path) -> None:
    assert "as JSON or YAML" in refused(tmp_path, {"PULSE_DATA_INGESTION_SOURCES": "[{"})
    assert "a list" in refused(tmp_path, {"PULSE_DATA_INGESTION_SOURCES": "a: b"})


@pytest.mark.parametrize(
    "text", ['[{"exchange": "x", "exchange": 1}]', "[{exchange: x, exchange: 1}]"]
)
def test_a_key_of_a_list_that_stands_twice_is_told(tmp_path: Path, text: str) -> None:
    said = refused(tmp_path, {"PULSE_DATA_INGESTION_SOURCES": text})
    assert "allowed: a list as JSON or YAML (line 1, column " in said
    assert said.endswith(": the key 'exchange' stands there twice)")


def test_a_key_that_stands_in_for_a_merged_one_is_there_once(tmp_path: Path) -> None:
    text = """
    - &one {name: a, <<: &all {url: 'https://x', kind: git}, url: 'https://y'}
    - {<<: *one, name: b, branches: [main]}
    """
    (tmp_path / "mine.yml").write_text(text)
    found = load(tmp_path, {"PULSELOAD_REPOSITORIES": "mine.yml"}).pulseload_repositories
    assert [(one.name, one.url) for one in found] == [("a", "https://y"), ("b", "https://y")]


def test_repositories_come_from_a_file_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("- {name: mine, url: 'https://example.org/mine'}")
    found = load(tmp_path, {"PULSELOAD_REPOSITORIES": "mine.yml"})
    assert [one.name for one in found.pulseload_repositories] == ["mine"]


def test_relative_paths_start_in_the_working_folder(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    for place, name in ((tmp_path, "working"), (tmp_path / "conf", "beside-the-settings")):
        (place / "mine.yml").write_text(f"- {{name: {name}, url: 'https://example.org/mine'}}")
    (tmp_path / "conf/settings.yml").write_text("pulseload_repositories: mine.yml")
    found = load(tmp_path, {"PULSELOAD_CONFIG": "conf/settings.yml"})
    assert [one.name for one in found.pulseload_repositories] == ["working"]


def test_repositories_of_the_environment(tmp_path: Path) -> None:
    text = "[{name: mine, url: 'https://example.org/mine', kind: git, branches: [main]}]"
    (found,) = load(tmp_path, {"PULSELOAD_REPOSITORIES": text}).pulseload_repositories
    assert (found.kind, found.branches, found.pull_requests) == ("git", ("main",), False)
    assert found.pushlog


def test_a_pushlog_need_not_be_polled(tmp_path: Path) -> None:
    text = "[{name: mine, url: 'https://example.org/mine', pushlog: false}]"
    (found,) = load(tmp_path, {"PULSELOAD_REPOSITORIES": text}).pulseload_repositories
    assert not found.pushlog


def test_repositories_may_share_an_address_by_branch(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"branches": ["main"]},
        {"branches": ["releases/*", "tag"]},
        {"branches": ["main"], "active": False},
        {"pull_requests": True},
        {"branches": ["next"]},
    ]
    text = yaml.safe_dump(
        [
            {"name": f"row-{number}", "url": "https://github.com/x/y", "kind": "git", **row}
            for number, row in enumerate(rows)
        ]
    )
    assert len(load(tmp_path, {"PULSELOAD_REPOSITORIES": text}).pulseload_repositories) == 5


def twice(one: str, other: str) -> str:
    """Return two repositories of one address, each with more of its own."""
    pair = zip("ab", (one, other), strict=True)
    rows = [f"{{name: {name}, url: 'http://x', kind: git, {more}}}" for name, more in pair]
    return f"[{', '.join(rows)}]"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "PULSELOAD_REPOSITORIES: cannot read "),
        ("a: b", "allowed: a list of repositories"),
        ("# none yet", "mine.yml is empty; allowed: a list of repositories"),
        ("[]", "is []; allowed: a list (not empty)"),
        ("- {name: a, url: 'https://x', name: b}", "line 1, column 31: the key 'name' stands"),
        ("- {name: a b, url: 'https://x'}", '[0].name is "a b"'),
        ("- {name: a, url: x.org/a}", '[0].url is "x.org/a"; allowed: a text that begins with h'),
        ("- {name: a, url: 'https://me:word@x/a'}", '[0].url is "https://me:***@x/a"; allowed: '),
        ("- {name: a, url: 'https://x/a?b'}", '[0].url is "https://x/a?b"; allowed: '),
        ("- {name: a, url: 'https://x/a#b'}", '[0].url is "https://x/a#b"; allowed: '),
        ("- {name: a, url: 'https://x', activ: true}", "did you mean active?"),
        ("[{name: a, url: 'http://x'}, {name: a, url: 'http://y'}]", "a is listed twice"),
        ("[{name: a, url: 'http://x'}, {name: b, url: 'http://X/'}]", "a and b have the same url"),
        (
            twice("branches: [x, main]", "branches: [main]"),
            'a and b have the same branch "main" of "http://x"',
        ),
        (
            twice("branches: [pull request]", "branches: [x], pull_requests: true"),
            "a and b have the same pull requests of",
        ),
        (twice("", "active: true"), "a and b have the same branches, all others, of"),
        ("- {name: a, url: 'http://x', pushlog: 1}", "[0].pushlog is 1; allowed: true or false"),
    ],
)
def test_wrong_repositories(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "mine.yml").write_text(content)
    text = refused(tmp_path, {"PULSELOAD_REPOSITORIES": "mine.yml"})
    assert text.startswith("PULSELOAD_REPOSITORIES")
    assert said in text


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"url": "https://GitHub.com/x/y"}, "kind: lamp is at github.com, where nothing is of hg;"),
        ({"url": "http://www.github.com/x/y", "kind": "hg"}, "kind: lamp is at github.com"),
        ({"url": "https://github.com/x/y", "branches": ["main"]}, "kind: lamp is at github.com"),
        ({"branches": ["main"]}, "branches: lamp is of hg, which has no branches; leave it out"),
        ({"pull_requests": True}, "pull_requests: lamp is of hg, which has no pull_requests;"),
        ({"kind": "git", "pushlog": True}, "pushlog: lamp is of git, which has no push log;"),
        ({"kind": "git", "branches": ["a", "refs/heads/b/*"]}, 'branches[1]: lamp has "refs/heads'),
        ({"kind": "git", "branches": ["refs/heads/b/*"]}, 'no branch\'s name; write "b/*"'),
        ({"kind": "git", "branches": ["refs/tags/*"]}, "no branch's name; write tag, for all tags"),
    ],
)
def test_keys_of_a_repository_that_do_not_fit_its_kind(
    tmp_path: Path, row: dict[str, Any], said: str
) -> None:
    rows = [{"name": "try", "url": "https://x/try"}, {"name": "lamp", "url": "https://x/y", **row}]
    text = refused(tmp_path, pulseload_repositories=rows)
    assert "pulseload_repositories[1]." in text
    assert said in text


@pytest.mark.parametrize(
    "row",
    [
        {"branches": [], "pull_requests": False, "pushlog": True},
        {"kind": "git", "pushlog": False},
        {"kind": "git", "url": "https://github.com/x/y", "branches": ["heads/x", "refs", "pref/s"]},
        {"url": "https://github.company.org/x"},
    ],
)
def test_keys_that_say_nothing_else_than_the_kind(tmp_path: Path, row: dict[str, Any]) -> None:
    rows = [{"name": "lamp", "url": "https://x/y", **row}]
    (found,) = load(tmp_path, pulseload_repositories=rows).pulseload_repositories
    assert found.name == "lamp"
