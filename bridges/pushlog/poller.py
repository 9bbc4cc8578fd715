"""One repository: its push log is asked for page by page, and each page is taken whole."""

import asyncio
import logging
import time
from collections import Counter
from typing import Final, NoReturn

from yarl import URL

from bridges.pauses import Pauses
from bridges.pushlog.answers import Answer, Malformed, read
from bridges.pushlog.client import Client, TooMuch, TooSlow, Trouble
from bridges.pushlog.ledger import Ledger
from bridges.pushlog.position import Batch, Page, Position
from bridges.pushlog.records import record
from bridges.transactions import Lost
from pulseload.amqp import shown
from pulseload.errors import Failure
from pulseload.repositories import Repository, plain

FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 300.0
"""Seconds until a repository in trouble is asked again."""

log = logging.getLogger(__name__)


RECALLED: Final = 1_000
"""How many of its last pushes are taken of a repository that was reset: many may have come before
that is sure."""


class Unreadable(Trouble):
    """An answer that is none of json-pushes."""


class Poller:
    """Polls one repository, one request at a time, for as long as `run` runs.

    What is wrong with the repository is said when it begins, changes and ends; between two
    runs it is remembered.
    """

    def __init__(
        self, repository: Repository, client: Client, ledger: Ledger, counts: Counter[str]
    ) -> None:
        self._repository = repository
        self._url = _url(repository)
        self._client = client
        self._ledger = ledger
        self._counts = counts
        self._position = Position(None)
        self._behind = False
        self._pauses = Pauses(FIRST_PAUSE, LONGEST_PAUSE)
        self._trouble = ""
        self._since = 0.0
        self._not_before = 0.0

    async def run(self, cursor: int | None, interval: float, delay: float) -> NoReturn:
        """Poll each `interval` seconds, at first after `delay`. Raises Lost or Fenced."""
        now = asyncio.get_running_loop().time
        self._position = Position(cursor)
        self._not_before = max(self._not_before, now() + delay)
        while True:
            await asyncio.sleep(self._not_before - now())
            self._not_before = now() + interval
            try:
                await self._round()
            except Trouble as trouble:
                self._not_before = now() + self._begins(trouble)
            else:
                self._ends()

    async def _round(self) -> None:
        """Take all that is new. Raises Lost, Failure, and Trouble for whatever else goes wrong."""
        try:
            while await self._page():
                pass
        except (Trouble, Lost, Failure):
            raise
        except Exception as error:
            text = " ".join(f"{type(error).__name__}: {error}".split())
            raise Trouble(f"{shown(str(self._url))}: unexpected {text[:200]}") from error

    async def _page(self) -> bool:
        """Ask once and take what comes; returns whether to ask again at once."""
        position = self._position
        page = position.page
        try:
            answer = await self._answer(page)
        except Unreadable:
            # It may be one push that is odd: those before it can be taken.
            position.fewer()
            raise
        except (TooMuch, TooSlow) as trouble:
            if not position.fewer():
                if not position.poorer():
                    raise
                log.warning(
                    "%s: of push %s only the revisions are asked for: %s",
                    *(self._repository.name, page.end, trouble),
                )
            if isinstance(trouble, TooSlow):
                raise
            return True
        batch = position.heard(page, answer, time.monotonic())
        if batch is not None:
            await self._take(batch)
            position.taken(batch)
            self._tell(page, batch)
        elif position.was_reset:
            log.warning(
                "%s was reset: its last push is %s, not %s; going on with its latest",
                *(self._repository.name, answer.last, page.start),
            )
            self._position = Position(max(0, answer.last - RECALLED))
            return True
        return position.more

    async def _answer(self, page: Page) -> Answer:
        body = await self._client.get(self._url.with_query(page.query))
        self._counts["requests"] += 1
        try:
            answer = read(body)
            page.check(answer)
        except Malformed as error:
            text = f"{shown(str(self._url))}: no answer of json-pushes: {error}"
            raise Unreadable(text) from error
        return answer

    async def _take(self, batch: Batch) -> None:
        records = [record(self._repository, push) for push in batch.pushes]
        await self._ledger.write(self._repository, records, batch.cursor)
        self._counts["pushes"] += len(records)
        for one in records:
            if one.dropped:
                log.warning(
                    "%s is too large for Kafka: written without its first %s",
                    *(one.key.decode(), one.dropped),
                )

    def _tell(self, page: Page, batch: Batch) -> None:
        name, position = self._repository.name, self._position
        if page.start is None:
            log.info("%s has no cursor: beginning after push %s", name, batch.cursor)
            return
        if position.more and not self._behind:
            log.info("%s: catching up from push %s to %s", name, page.start, position.last)
        elif self._behind and not position.more:
            log.info("%s: caught up, at push %s", name, batch.cursor)
        self._behind = position.more

    def _begins(self, trouble: Trouble) -> float:
        """Say what is wrong, unless that is known, and return how long to wait."""
        pause = self._pauses.longer(trouble.asked)
        if not self._trouble:
            self._since = time.monotonic()
        if str(trouble) != self._trouble:
            self._trouble = str(trouble)
            log.warning(
                "%s: %s (trying again, next in %.0f s)", self._repository.name, trouble, pause
            )
        return pause

    def _ends(self) -> None:
        self._pauses.reset()
        if self._trouble:
            self._trouble = ""
            seconds = time.monotonic() - self._since
            log.info("%s answers again, after %.0f s", self._repository.name, seconds)


def _url(repository: Repository) -> URL:
    try:
        return URL(f"{plain(repository.url)}/json-pushes")
    except ValueError as error:
        url = shown(repository.url)
        raise Failure(
            f"pulseload_repositories: the url of {repository.name} is {url}: {error}"
        ) from error
