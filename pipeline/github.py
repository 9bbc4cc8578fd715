"""Pushes and pull requests of GitHub, as Taskcluster announces them on Pulse.

The messages are made by taskcluster, `services/github/src/api.js`: `details` holds what they
picked out of GitHub's webhook, `body` (since version 1) the webhook itself. What is not in the
one is looked for in the other. Which repository a push belongs to, and what its revision is, are
Treeherder's rules (`etl/push_loader.py`); `docs/pushes.md` lists them. What is not needed for
either is left out where it is malformed.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pipeline.dead_letters import INVALID_PUSH
from pipeline.pushes import Found, Ignored, Push, against, number, text
from pipeline.refusals import Refusal
from pulseload.repositories import Repositories, Repository, Untaken, plain

PUSH_FORM: Final = "github-push"
PULL_REQUEST_FORM: Final = "github-pull-request"
"""The schemas of messages."""

NONE: Final = "0" * 40
"""What GitHub calls the commit before a branch began, and the one after it was deleted."""

MAX_COMMITS: Final = 10_000
"""How many commits a push record may list; of more, the last."""

_SHA: Final = re.compile("[0-9a-f]{40}")

Commit = dict[str, Any]
"""A commit as a webhook has it: `id`, `message`, `timestamp`, `author` with `name`, `email`."""


@dataclass(frozen=True, slots=True)
class Announced:
    """A push that a message announces, as far as the message tells.

    `head` is what it points to. `base` is the commit before it (None where it is not known, or
    there is none), `number` that of a pull request; they are what GitHub can be asked by for
    its commits. `commits` are those that the webhook lists, the last being the tip.
    """

    repository: Repository
    head: str
    base: str | None
    number: int | None
    commits: Sequence[Commit] = ()

    @property
    def record(self) -> Push:
        """The push record of what is known without asking GitHub."""
        return self.known_with(self.commits)

    def known_with(self, commits: Sequence[Commit]) -> Push:
        """Return the push record with these commits, the last being the push's tip.

        The tip is the revision, its author the push's author and its time the push's time. Where
        it is not the head that was announced, both name the push.
        """
        tip = commits[-1] if commits else {"id": self.head}
        address = plain(self.repository.url)
        push: Push = {"project": self.repository.name, "revision": tip["id"]}
        if tip["id"] != self.head:
            push["head_revision"] = self.head
        if email := _text(tip.get("author"), "email"):
            push["author"] = email
        if (seconds := _seconds(tip.get("timestamp"))) is not None:
            push["push_timestamp"] = seconds
        if self.number is None:
            push["url"] = f"{address}/commit/{tip['id']}"
        else:
            push["url"] = f"{address}/pull/{self.number}"
        if commits:
            push["revisions"] = [_revision(commit) for commit in commits[-MAX_COMMITS:]]
        return push


def read_push(document: dict[str, Any], repositories: Repositories) -> Found:
    """Return the push of a message of `exchange/taskcluster-github/v1/push`, in a list of one."""
    return _found(announced_push(document, repositories))


def read_pull_request(document: dict[str, Any], repositories: Repositories) -> Found:
    """Return the push of a message of `exchange/taskcluster-github/v1/pull-request`."""
    return _found(announced_pull_request(document, repositories))


def announced_push(
    document: dict[str, Any], repositories: Repositories
) -> Announced | Refusal | Ignored:
    """Return what a message about a push announces.

    Its repository is the one of its address and branch, or of its address where a tag was
    pushed. The deletion of a branch is no push.
    """
    refusal = against(PUSH_FORM, document)
    if refusal is not None:
        return refusal
    url = (
        _text(document, "details", "event.head.repo.url")
        or _text(document, "details", "event.base.repo.url")
        or _url(document, "body", "repository")
    )
    head = _text(document, "details", "event.head.sha") or _text(document, "body", "after")
    branch, tag = _branch(document)
    lacking = _lacking(address=url, head=head, branch=branch)
    if lacking is not None:
        return lacking
    body = document.get("body") or {}
    if head == NONE or body.get("deleted") is True:
        return Ignored(plain(url), "a deleted branch is no push")
    repository = repositories.by_tag(url) if tag else repositories.by_branch(url, branch)
    if isinstance(repository, Untaken):
        if tag:
            return _ignored(url, repository, "tags")
        return _ignored(url, repository, "this branch", branch)
    base = _sha(document, "details", "event.base.sha") or _sha(document, "body", "before")
    # Neither a new branch nor a tag can be compared with what was before.
    fresh = tag or base == NONE
    commits = _commits(body, head, fresh=fresh)
    return Announced(repository, head, None if fresh else base or None, None, commits)


def announced_pull_request(
    document: dict[str, Any], repositories: Repositories
) -> Announced | Refusal | Ignored:
    """Return what a message about a pull request announces.

    Its repository is the one that the request is made to, where that takes pull requests. What
    was pushed is not in the message, but for its head.
    """
    refusal = against(PULL_REQUEST_FORM, document)
    if refusal is not None:
        return refusal
    url = _text(document, "details", "event.base.repo.url") or _url(
        document, "body", "pull_request", "base", "repo"
    )
    head = _text(document, "details", "event.head.sha") or _text(
        document, "body", "pull_request", "head", "sha"
    )
    lacking = _lacking(address=url, head=head)
    if lacking is not None:
        return lacking
    repository = repositories.by_pull_request(url)
    if isinstance(repository, Untaken):
        return _ignored(url, repository, "pull requests")
    told = number(_at(document, "details", "event.pullNumber"))
    if told is None:
        told = number(_at(document, "body", "number"))
    return Announced(repository, head, None, told)


def about_pull_request(document: dict[str, Any]) -> bool:
    """Whether a message of either exchange is about a pull request."""
    event = _at(document, "details", "event.type")
    return (
        (isinstance(event, str) and event.startswith("pull_request"))
        or _at(document, "body", "pull_request") is not None
        or "action" in document
    )


def _found(announced: Announced | Refusal | Ignored) -> Found:
    return [announced.record] if isinstance(announced, Announced) else announced


def _ignored(url: str, untaken: Untaken, what: str, branch: str = "") -> Ignored:
    """Say who takes what nobody gets."""
    if not untaken.listed:
        return Ignored(plain(url), "no repository has this address")
    names = " and ".join(
        one.name if one.active else f"{one.name} (not active)" for one in untaken.by
    )
    if not names:
        why = f"no repository takes {what}"
    elif len(untaken.by) == 1:
        why = f"only {names} takes {what}"
    else:
        why = f"{names} take {what}, and only one may"
    return Ignored(plain(url), why, branch)


def _branch(document: dict[str, Any]) -> tuple[str, bool]:
    """Return the branch or tag that was pushed, nothing where it is not told; whether a tag."""
    if tag := _text(document, "details", "event.head.tag"):
        return tag, True
    branch = _text(document, "details", "event.base.repo.branch") or _text(
        document, "details", "event.head.repo.branch"
    )
    if branch:
        return branch, False
    ref = (
        _text(document, "details", "event.base.ref")
        or _text(document, "details", "event.head.ref")
        or _text(document, "body", "ref")
    )
    kind, _, name = ref.removeprefix("refs/").partition("/")
    return name if kind in ("heads", "tags") else "", kind == "tags"


def _commits(body: dict[str, Any], head: str, *, fresh: bool) -> Sequence[Commit]:
    """Return the commits of a webhook, as far as the last of them is surely the push's tip.

    Where nothing was before, Treeherder goes by the webhook's list, whatever the head is: that
    of an annotated tag is the tag itself. Otherwise the list is cut where it is very long, and
    only the commit that is the head is sure. Commits without an `id` are left out.
    """
    lists: tuple[Any, ...] = (body.get("commits"), [body.get("head_commit")])
    for listed in lists:
        tip = _id(listed[-1]) if isinstance(listed, list) and listed else ""
        if tip and (fresh or tip == head):
            return [commit for commit in listed if _id(commit)]
    return []


def _id(commit: Any) -> str:
    """Return the name of a commit that is there; nothing where there is none."""
    found = _sha(commit, "id")
    return "" if found == NONE else found


def _lacking(**told: str) -> Refusal | None:
    missing = [what for what, found in told.items() if not found]
    if not missing:
        return None
    return Refusal(INVALID_PUSH, f"neither details nor body tell the {' and the '.join(missing)}")


def _url(document: dict[str, Any], *path: str) -> str:
    return _text(document, *path, "clone_url") or _text(document, *path, "html_url")


def _text(document: Any, *path: str) -> str:
    """Return the text at a path, without white space around it; nothing where there is none."""
    return text(_at(document, *path))


def _sha(document: Any, *path: str) -> str:
    """Return the name of a commit at a path; nothing where there is none."""
    found = _at(document, *path)
    return found if isinstance(found, str) and _SHA.fullmatch(found) else ""


def _at(document: Any, *path: str) -> Any:
    for step in path:
        document = document.get(step) if isinstance(document, dict) else None
    return document


def _revision(commit: Commit) -> Push:
    revision: Push = {"revision": commit["id"]}
    name, email = _text(commit.get("author"), "name"), _text(commit.get("author"), "email")
    if name or email:
        revision["author"] = f"{name} <{email}>".strip() if email else name
    if isinstance(commit.get("message"), str):
        revision["comment"] = commit["message"]
    return revision


def _seconds(timestamp: Any) -> int | None:
    """Return the seconds since 1970 that a time with its zone is, where it can be read."""
    try:
        time = datetime.fromisoformat(timestamp)
    except (TypeError, ValueError):
        return None
    return int(time.timestamp()) if time.tzinfo and time.timestamp() >= 0 else None
