"""The pushlog bridge: polls each hg repository, and writes its pushes to Kafka, each once."""

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Iterable
from typing import Any, Final, NoReturn

from bridges.pushlog.client import Client
from bridges.pushlog.ledger import Ledger
from bridges.pushlog.poller import Poller
from bridges.sessions import Sessions, end_when_asked
from pulseload.errors import Failure
from pulseload.repositories import plain
from pulseload.settings import Settings

REPORT: Final = 60.0
"""Seconds between two lines with counts; with nothing to count there is none."""

log = logging.getLogger(__name__)


async def run(settings: Settings) -> None:
    """Run the bridge until SIGTERM or SIGINT.

    Raises Failure where it cannot start, and where another bridge has taken over.
    """
    end_when_asked()
    bridge = Bridge(settings)
    try:
        await bridge.run()
    except asyncio.CancelledError:
        log.info("ended, as asked: %s", bridge.total)


class Bridge:
    """Polls the repositories of the settings until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ledger = Ledger(settings)
        self._counts: Counter[str] = Counter()
        self._sessions = Sessions()
        self._repositories = [one for one in settings.pulseload_repositories if one.polled]

    @property
    def total(self) -> str:
        """How much has been done, in words."""
        return f"{self._counts['pushes']} pushes taken with {self._counts['requests']} requests"

    async def run(self) -> NoReturn:
        """Poll, through every trouble with Kafka. Raises Failure where it cannot start."""
        if not self._repositories:
            raise Failure(
                "no repository to poll; pulseload_repositories names none that is active, of hg, "
                "and without `pushlog: false`"
            )
        reporting = asyncio.create_task(self._report())
        try:
            async with Client() as client:
                pollers = [
                    Poller(one, client, self._ledger, self._counts) for one in self._repositories
                ]
                await self._sessions.run(lambda: self._session(pollers))
        finally:
            reporting.cancel()

    async def _session(self, pollers: list[Poller]) -> None:
        """Poll for as long as Kafka takes what comes."""
        try:
            cursors = await self._ledger.start()
            self._sessions.began()
            count, interval = len(pollers), self._settings.pushlog_interval
            log.info(
                "polling %d repositories, each every %d s, to Kafka at %s",
                *(count, interval, ", ".join(self._settings.kafka_servers)),
            )
            await _first_failure(
                poller.run(cursors.get(plain(one.url)), interval, interval * number / count)
                for number, (one, poller) in enumerate(
                    zip(self._repositories, pollers, strict=True)
                )
            )
        finally:
            await self._ledger.stop()

    async def _report(self) -> NoReturn:
        while True:
            before = self._counts["pushes"]
            await asyncio.sleep(REPORT)
            if minute := self._counts["pushes"] - before:
                log.info("%d pushes in the last minute; in all %s", minute, self.total)


async def _first_failure(running: Iterable[Coroutine[Any, Any, NoReturn]]) -> None:
    """Run all until one fails; end the others, and raise what it raised."""
    tasks = [asyncio.create_task(one) for one in running]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
