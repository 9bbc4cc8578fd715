"""GitHub's API asked by a client, and what it tells."""

import asyncio
from collections.abc import Mapping, Sequence

from bridges.github.client import Client
from pipeline.github import Commit
from tests.github_api import Answer, GitHubAPI

PATH = "/repos/mozilla/lamp.shade/pulls/17/commits"


def asked(
    given: Mapping[str, Sequence[Answer]], path: str = PATH, token: str | None = None
) -> tuple[list[Commit] | None, GitHubAPI]:
    """Ask a server with these answers."""

    async def ask() -> tuple[list[Commit] | None, GitHubAPI]:
        async with GitHubAPI(given) as api, Client(f"{api.url}/", token) as asking:
            return await asking.commits(path), api

    return asyncio.run(ask())
