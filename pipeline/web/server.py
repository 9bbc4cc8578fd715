"""The page's server: Faust's own, with nothing of Faust's own pages."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

from aiohttp import web
from faust.web.drivers.aiohttp import Web

from pulseload import serving

SHUTDOWN_SECONDS: Final = 1.0
"""How long a view has to end when the worker does."""

log = logging.getLogger(__name__)


class Page(Web):  # type: ignore[misc]
    """Serves `routes` on the first free port from `app.conf.web_port` on.

    `beside` runs for as long as it serves. Where no port is free the worker works without.
    """

    default_blueprints: ClassVar[Any] = ()
    production_blueprints: ClassVar[Any] = ()
    debug_blueprints: ClassVar[Any] = ()
    optional_blueprints: ClassVar[Any] = ()

    address: str | None = None
    """Where it serves, or None."""

    def __init__(
        self,
        app: Any,
        routes: Callable[[], list[web.AbstractRouteDef]],
        beside: Callable[[], Awaitable[None]],
    ) -> None:
        super().__init__(app)
        # Who looks at the inspector has no end of his own.
        self._runner = web.AppRunner(
            self.web_app, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS
        )
        self._routes = routes
        self._beside = beside

    def init_server(self) -> None:
        """Put the routes in place."""
        self.web_app.middlewares.append(serving.guarded(self.app.conf.web_bind))
        self.web_app.add_routes(self._routes())

    async def start_server(self) -> None:
        """Listen. Raises Failure where that is not possible."""
        await self._runner.setup()
        self.address = await serving.listen(
            self._runner, self.app.conf.web_bind, self.app.conf.web_port
        )
        if self.address is not None:
            log.info("the page is at %s/", self.address)
            self._besides = asyncio.ensure_future(self._beside())

    async def stop_server(self) -> None:
        """Stop listening."""
        if self.address is not None:
            self._besides.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._besides
        await super().stop_server()
