"""GitHub's API: what is asked of it about a push, and what its answers say of commits.

The questions are Treeherder's (`etl/push_loader.py`): the comparison of a push's base with its
head, and the commits of a pull request.
"""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote, urlsplit

from pipeline.forms import form
from pipeline.github import Announced, Commit
from pulseload.repositories import plain

FORM: Final = "github-commits"
"""The schema of what is read of an answer."""


def question(announced: Announced) -> str | None:
    """Return the path to ask for a push's commits; None where the message has told them.

    A new branch and a tag cannot be compared with anything.
    """
    name = quote(urlsplit(plain(announced.repository.url)).path.strip("/"))
    if announced.number is not None:
        return f"/repos/{name}/pulls/{announced.number}/commits"
    if announced.base is not None:
        return f"/repos/{name}/compare/{announced.base}...{announced.head}"
    return None


def commits(answer: Any) -> Sequence[Commit]:
    """Return the commits of an answer, or of one page of it, as a webhook has them.

    A comparison holds them under `commits`. A commit's time is its committer's. Raises
    ValueError where the answer is none.
    """
    listed: Any = answer.get("commits") if isinstance(answer, dict) else answer
    fault = form(FORM).fault(listed)
    if fault is not None:
        raise ValueError(fault)
    return [_commit(row) for row in listed]


def _commit(row: dict[str, Any]) -> Commit:
    commit, committer = row["commit"], row["commit"].get("committer")
    return {
        "id": row["sha"],
        "message": commit.get("message"),
        "timestamp": committer.get("date") if isinstance(committer, dict) else None,
        "author": commit.get("author"),
    }
