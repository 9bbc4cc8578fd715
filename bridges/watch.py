"""What a bridge tells about itself: its metrics and health by HTTP, its status to Kafka."""

import asyncio
import logging
import os
import socket
import time
from typing import Final, Self

from aiohttp import web

from pulseload import serving, status
from pulseload.settings import Settings
from pulseload.status import Teller

CLOSING_SECONDS: Final = 0.5
"""How long each last word may take when the bridge ends."""


log = logging.getLogger(__name__)


class Progress:
    """Since when a bridge has had something to do that is not done, and what; None: nothing."""

    def __init__(self) -> None:
        self._what: str | None = None
        self._since = 0.0

    def begins(self, what: str) -> None:
        """Note what is begun; beginning the same again changes nothing."""
        if self._what != what:
            self._what, self._since = what, time.monotonic()

    def done(self) -> None:
        """Note that it is done, and nothing is left to do."""
        self._what = None

    @property
    def problems(self) -> list[str]:
        """What has gone on for too long, in words."""
        waited = time.monotonic() - self._since
        if self._what is None or waited < status.STALL_SECONDS:
            return []
        return [f"{self._what}, for {waited:.0f} s"]

    @property
    def state(self) -> str:
        """What it is at, in words."""
        return self._what or status.WORKING


class Watch:
    """Serves `/metrics` and `/healthz`, and tells the status, for as long as the block runs.

    Raises Failure where the address cannot be listened on.
    """

    def __init__(self, settings: Settings, progress: Progress) -> None:
        self._settings = settings
        self._progress = progress
        self._teller = Teller(settings, f"{socket.gethostname()}/{os.getpid()}", "bridge")
        app = web.Application(middlewares=[serving.guarded(settings.pulseload_web_bind)])
        app.add_routes([web.get("/metrics", serving.metrics), web.get("/healthz", self._healthz)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=CLOSING_SECONDS)

    async def __aenter__(self) -> Self:
        settings = self._settings
        await self._runner.setup()
        try:
            address = await serving.listen(
                self._runner, settings.pulseload_web_bind, settings.pulseload_bridge_port
            )
        except BaseException:
            await self._runner.cleanup()
            raise
        if address is not None:
            log.info("metrics and health are at %s", address)
        self._telling = asyncio.create_task(self._tell())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._telling.cancel()
        await asyncio.wait({self._telling}, timeout=3 * CLOSING_SECONDS)
        await self._runner.cleanup()

    async def _tell(self) -> None:
        try:
            while True:
                # One that cannot even connect has ended by then.
                await asyncio.sleep(status.SECONDS)
                await self._teller.tell(self._progress.state, None)
        finally:
            await self._teller.end(CLOSING_SECONDS)

    async def _healthz(self, _: web.Request) -> web.Response:
        return serving.verdict(self._progress.problems)
