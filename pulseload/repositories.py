"""Repositories: which project a push belongs to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml


@dataclass(frozen=True, slots=True)
class Repository:
    """One repository; `name` is the project that jobs name in `origin.project`.

    `branches` are those that belong to it, with `*` as a wildcard; none means all. They and
    `pull_requests` matter to Git repositories only, `pushlog` to those of hg. Pushes of one that
    is not `active` are not taken.
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


def usual() -> list[dict[str, Any]]:
    """Return the rows of the usual Mozilla repositories, which are built in."""
    text = Path(__file__).with_name("repositories.yml").read_text(encoding="utf-8")
    rows: list[dict[str, Any]] = yaml.safe_load(text)
    return rows


class Repositories:
    """Finds repositories by the addresses that messages name."""

    def __init__(self, repositories: Iterable[Repository]) -> None:
        self._by_url: dict[str, Repository] = {}
        for repository in repositories:
            if repository.active:
                self._by_url.setdefault(plain(repository.url), repository)

    def by_url(self, url: str) -> Repository | None:
        """Return the active repository at `url`, the first of several, or None."""
        return self._by_url.get(plain(url))


def plain(url: str) -> str:
    """Return a repository's address in the one form that is compared.

    White space around it, slashes at its end and `.git` do not count.
    """
    return url.strip().rstrip("/").removesuffix(".git")
