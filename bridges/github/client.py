"""A client of GitHub's API that is patient, and knows when to give up."""

import logging
from asyncio import sleep
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import orjson
from yarl import URL

import pulseload
from bridges.github import answers
from bridges.pauses import Pauses, bounded, retry_after
from pipeline.github import Commit

TRIES: Final = 6
"""How often a page is asked for that GitHub fails to give."""

FIRST_PAUSE: Final = 1.0
LONGEST_PAUSE: Final = 60.0
"""Seconds until a page is asked for again."""

SECONDARY_WAIT: Final = 60.0
"""Seconds to wait where a secondary limit is exceeded, and GitHub asks for no time."""

MAX_MOVES: Final = 5
"""How often one question may be redirected, within the same origin only."""

_MOVED: Final = (301, 302, 303, 307, 308)

PAGE: Final = 100
MAX_PAGES: Final = 20
"""Commits on a page, as many as GitHub gives, and pages of one push."""

MAX_BYTES: Final = 32 * 1_048_576
"""How large a page may be: a comparison's holds patches, too."""

TIMEOUT: Final = aiohttp.ClientTimeout(total=60, connect=10)

log = logging.getLogger(__name__)


class _Again(Exception):  # noqa: N818 - no error, but an answer of its own
    """GitHub fails, and may not do so later; `wait` are the seconds that it asks for, if any."""

    def __init__(self, why: str, wait: float | None = None) -> None:
        super().__init__(why)
        self.wait = wait


class Client:
    """Asks GitHub's API at a base address, with a token or without; it is never logged.

    No other origin (scheme, host, port) is asked for anything, whatever an answer says.
    """

    def __init__(self, base: str, token: str | None, connections: int = 4) -> None:
        self._base = base.rstrip("/")
        headers = {
            "Accept": "application/vnd.github+json",
            "User-Agent": f"pulseload/{pulseload.__version__}",
        }
        if token:
            headers["Authorization"] = f"Bearer {token}"
        self._session = aiohttp.ClientSession(
            headers=headers,
            timeout=TIMEOUT,
            connector=aiohttp.TCPConnector(limit=connections),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def commits(self, path: str) -> list[Commit] | None:
        """Return all commits that GitHub lists at a path, or None where it does not tell them.

        It does not where it says so (not found, gone, forbidden), where it keeps failing, and
        where there are more pages than are read.
        """
        found: list[Commit] = []
        for page in range(1, MAX_PAGES + 1):
            answer = await self._page(path, page)
            if answer is None:
                return None
            listed, more = answer
            found += listed
            if not more:
                return found
        log.warning("%s lists more than %s pages of commits", path, MAX_PAGES)
        return None

    async def _page(self, path: str, page: int) -> tuple[list[Commit], bool] | None:
        pauses = Pauses(FIRST_PAUSE, LONGEST_PAUSE)
        for number in range(1, TRIES + 1):
            try:
                return await self._asked(path, page)
            except _Again as again:
                if number == TRIES:
                    log.warning("GitHub does not tell %s: %s; given up", path, again)
                    return None
                wait = pauses.longer(again.wait)
                log.info("GitHub does not tell %s: %s; again in %.0f s", path, again, wait)
                await sleep(wait)
        return None

    async def _asked(self, path: str, page: int) -> tuple[list[Commit], bool] | None:
        """Ask once for a page: its commits, and whether another follows."""
        url = URL(self._base + path).update_query(per_page=PAGE, page=page)
        try:
            for _ in range(MAX_MOVES + 1):
                async with self._session.get(url, allow_redirects=False) as response:
                    if response.status not in _MOVED:
                        return await _read(path, response)
                    url = response.url.join(URL(response.headers.get("Location", "")))
                    if url.origin() != response.url.origin():
                        break
            log.warning("GitHub does not tell %s: redirected elsewhere or again and again", path)
            return None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise _Again(str(error) or type(error).__name__) from error
        except ValueError as error:
            # A page that was cut or is no JSON at all: whatever stands before GitHub fails.
            raise _Again(f"no list of commits: {error}") from error


async def _read(path: str, response: aiohttp.ClientResponse) -> tuple[list[Commit], bool] | None:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > MAX_BYTES:
            log.warning("GitHub's answer to %s is too large", path)
            return None
    if response.status != 200:
        _refused(path, response.status, response.headers, body)
        return None
    return list(answers.commits(orjson.loads(body))), "next" in response.links


def _refused(path: str, status: int, headers: Mapping[str, Any], body: bytes | bytearray) -> None:
    """Say that asking again is in vain; raise _Again where it is not.

    https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api: too many
    requests are answered by 403 or 429, with Retry-After or the time when the limit ends. Where
    a secondary limit is exceeded, neither need be there, and the body says so.
    """
    wait = _wait(headers)
    if wait is None and status in (403, 429) and b"secondary rate limit" in body.lower():
        wait = SECONDARY_WAIT
    if status == 429 or status >= 500 or (status == 403 and wait is not None):
        raise _Again(f"status {status}", wait)
    hint = "; is pulseload_github_token right?" if status == 401 else ""
    log.warning("GitHub does not tell %s: status %s%s", path, status, hint)


def _wait(headers: Mapping[str, Any]) -> float | None:
    """Return the seconds that an answer asks to wait, bounded, or None."""
    now = datetime.now(UTC)
    asked = retry_after(headers.get("Retry-After"), now)
    if asked is None:
        with suppress(KeyError, ValueError):
            if int(headers["X-RateLimit-Remaining"]) == 0:
                return bounded(float(headers["X-RateLimit-Reset"]) - now.timestamp() + 1)
    return asked
