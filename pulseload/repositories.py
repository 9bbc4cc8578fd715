"""Repositories: which project a push belongs to."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import yaml

from pulseload.errors import Failure
from pulseload.wording import value_shown

TAG: Final = "tag"
"""The word that stands for all tags in a repository's `branches`."""

PULL_REQUEST: Final = "pull request"
"""The word in `branches` that stands for pull requests, as Treeherder had it until 2026."""

_GITHUB: Final = re.compile(r"https?://(www\.)?github\.com(?=[:/]|$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository; `name` is the project that jobs name in `origin.project`.

    `branches` are those that belong to it, with `*` as a wildcard; none means all that no other
    repository of the same address names. They and `pull_requests` matter to Git repositories
    only. Pushes of one that is not `active` are not taken. Where `pushlog` is false, the pushlog
    of a Mercurial repository is not polled.
    """

    name: str
    url: str
    kind: Literal["hg", "git"] = "hg"
    branches: tuple[str, ...] = ()
    pull_requests: bool = False
    active: bool = True
    pushlog: bool = True

    @property
    def polled(self) -> bool:
        """Whether its push log is to be polled."""
        return self.active and self.kind == "hg" and self.pushlog

    @classmethod
    def read(cls, row: Mapping[str, Any]) -> "Repository":
        """Make a repository of a row that `schemas/settings.yml` accepts."""
        return cls(**{**row, "branches": tuple(row.get("branches", ()))})

    @property
    def takes_pull_requests(self) -> bool:
        """Whether its pull requests are pushes, said in either way."""
        return self.pull_requests or PULL_REQUEST in self.branches


def usual() -> list[dict[str, Any]]:
    """Return the rows of the usual Mozilla repositories, which are built in."""
    text = Path(__file__).with_name("repositories.yml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = yaml.safe_load(text)
    return rows


def read(rows: Iterable[Mapping[str, Any]], name: str) -> tuple[Repository, ...]:
    """Make repositories of rows that `schemas/settings.yml` accepts.

    Raises Failure, which begins with `name`, where a row's keys do not fit its kind, and where two
    rows claim the same.
    """
    found: list[Repository] = []
    for number, row in enumerate(rows):
        for key, why in _misfits(row):
            raise Failure(f"{name}[{number}].{key}: {row['name']} {why}")
        found.append(Repository.read(row))
    names: set[str] = set()
    taken: dict[tuple[str, str], str] = {}
    for one in found:
        if one.name in names:
            raise Failure(f"{name}: {one.name} is listed twice; give each repository once")
        names.add(one.name)
        for what in _taken(one):
            other = taken.setdefault((compared(one.url), what), one.name)
            if other != one.name:
                raise Failure(
                    f"{name}: {other} and {one.name} have the same {what} "
                    f"{value_shown(one.url)}; leave one out"
                )
    return tuple(found)


def _misfits(row: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield which keys do not fit a row's kind, and why: else they would be silently void."""
    branches = row.get("branches", ())
    if row.get("kind", "hg") == "hg":
        if _GITHUB.match(row["url"]):
            yield "kind", "is at github.com, where nothing is of hg; write kind: git"
        for key in ("branches", "pull_requests"):
            if row.get(key):
                yield key, f"is of hg, which has no {key}; leave it out, or write kind: git"
    elif row.get("pushlog"):
        yield "pushlog", "is of git, which has no push log; leave it out"
    for number, branch in enumerate(branches):
        if branch.startswith("refs/"):
            bare = branch.removeprefix("refs/heads/")
            mend = f"write {TAG}, for all tags" if bare == branch else f"write {value_shown(bare)}"
            yield f"branches[{number}]", f"has {value_shown(branch)}, no branch's name; {mend}"


def _taken(repository: Repository) -> Iterator[str]:
    """Yield what only one active repository of an address can have."""
    if not repository.active:
        return
    if repository.kind == "hg":
        yield "url"
        return
    for branch in repository.branches:
        if branch != PULL_REQUEST:
            yield f"branch {value_shown(branch)} of"
    if not repository.branches:
        yield "branches, all others, of"
    if repository.takes_pull_requests:
        yield "pull requests of"


@dataclass(frozen=True, slots=True)
class Untaken:
    """What no repository takes.

    `by` are those that would: none, one that is not active, or several of which none is the best.
    `listed` is whether any has the address at all.
    """

    by: tuple[Repository, ...] = ()
    listed: bool = True


class Repositories:
    """Finds active repositories by what messages about pushes name.

    Whoever looks for a branch or for pull requests gets a repository only where exactly one is
    the best: Treeherder skips what two of them would take (`etl/push_loader.py`). What belongs
    to one that is not active does not go to one that would take it less precisely.
    """

    def __init__(self, repositories: Iterable[Repository]) -> None:
        self._hg: dict[str, Repository] = {}
        self._git: dict[str, list[Repository]] = {}
        for one in repositories:
            if one.kind == "git":
                self._git.setdefault(compared(one.url), []).append(one)
            elif one.active:
                self._hg.setdefault(compared(one.url), one)

    def by_url(self, url: str) -> Repository | None:
        """Return the Mercurial repository at `url`, the first of several, or None."""
        return self._hg.get(compared(url))

    def by_branch(self, url: str, branch: str) -> Repository | Untaken:
        """Return the Git repository at `url` that takes a branch.

        One that names the branch comes before one with a wildcard for it, and that before one
        that names no branches. A branch that is called `tag` cannot be named.
        """
        return self._best(url, branch, named=branch != TAG)

    def by_tag(self, url: str) -> Repository | Untaken:
        """Return the Git repository at `url` that takes tags, as if they were a branch `tag`."""
        return self._best(url, TAG)

    def _best(self, url: str, branch: str, *, named: bool = True) -> Repository | Untaken:
        rows = self._git.get(compared(url), [])
        for best in (
            [(branch, one) for one in rows if named and branch in one.branches],
            [(each, one) for one in rows for each in one.branches if _matches(each, branch)],
            [("", one) for one in rows if not one.branches],
        ):
            if best:
                return _only(best)
        return Untaken(listed=bool(rows))

    def by_pull_request(self, url: str) -> Repository | Untaken:
        """Return the Git repository at `url` that takes pull requests."""
        rows = self._git.get(compared(url), [])
        claims = [("", one) for one in rows if one.takes_pull_requests]
        return _only(claims) if claims else Untaken(listed=bool(rows))


def _only(claims: Sequence[tuple[str, Repository]]) -> Repository | Untaken:
    """Return the repository whose claims these are, if it is one and active.

    Of one that is not active, an active one may have taken the very claim over.
    """
    active = {claim for claim, one in claims if one.active}
    left = dict.fromkeys(one for claim, one in claims if one.active or claim not in active)
    only, *others = left
    return Untaken(tuple(left)) if others or not only.active else only


def plain(url: str) -> str:
    """Return a repository's address in the one form that is shown.

    White space anywhere, slashes at its end and `.git` do not count.
    """
    return "".join(url.split()).rstrip("/").removesuffix(".git")


def compared(url: str) -> str:
    """Return a repository's address in the one form that is compared.

    Scheme and host are the same in capitals, and http is the same as https; on github.com owner
    and name are the same in capitals, too.
    """
    address = plain(url)
    try:
        parts = urlsplit(address)
    except ValueError:
        return address
    scheme = "https" if parts.scheme == "http" else parts.scheme
    address = parts._replace(scheme=scheme, netloc=parts.netloc.lower()).geturl()
    return address.lower().removesuffix(".git") if parts.hostname == "github.com" else address


def _matches(pattern: str, branch: str) -> bool:
    if "*" not in pattern:
        return False
    return bool(re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), branch, re.DOTALL))
