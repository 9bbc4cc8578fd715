"""Announcements of GitHub, and what is found in them."""

from typing import Any

import schemas
from pipeline import announcements, pushes
from pipeline.pushes import Ignored
from pulseload.repositories import Repositories, Repository
from tests.examples import GITHUB, without


def git(name: str, *branches: str, **more: bool) -> Repository:
    return Repository(name, f"{GITHUB}.git", "git", branches, **more)


REPOSITORIES = Repositories(
    [
        git("lamp", "main"),
        git("lamp-releases", "releases/*"),
        git("lamp-tags", "tag"),
        git("lamp-prs", "pull request"),
    ]
)
ZEROS = "0" * 40
HEAD = f"{2:040x}"


def found(document: dict[str, Any], repositories: Repositories = REPOSITORIES) -> dict[str, Any]:
    records = announcements.read(document, repositories)
    assert isinstance(records, list), records
    (record,) = records
    assert list(schemas.validator("push").iter_errors(record)) == []
    assert pushes.load(pushes.dump(record)) == record
    return record


def ignored(document: dict[str, Any]) -> Ignored:
    answer = announcements.read(document, REPOSITORIES)
    assert isinstance(answer, Ignored), answer
    return answer


def bare(document: dict[str, Any]) -> dict[str, Any]:
    """Return a message as it was before version 1: without the webhook."""
    return without(document, "body")


def detailless(document: dict[str, Any]) -> dict[str, Any]:
    return without(document, "details")


def revision(number: int) -> dict[str, Any]:
    return {
        "revision": f"{number:040x}",
        "author": f"Dev {number} <dev{number}@example.com>",
        "comment": f"Turn the screw ({number})",
    }
