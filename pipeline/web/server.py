"""The page's server: Faust's own, with nothing of Faust's own pages."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

from aiohttp import web
from faust.web.drivers.aiohttp import Web

from pulseload.errors import Failure

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

NEXT_PORTS: Final = 16
"""How many ports are tried, one after the other, where several workers share a machine."""

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}

log = logging.getLogger(__name__)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Page(Web):  # type: ignore[misc]
    """Serves `routes` on the first free port from `app.conf.web_port` on.

    `beside` runs for as long as it serves. Where no port can be had the worker works without.
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
        self._routes = routes
        self._beside = beside

    def init_server(self) -> None:
        """Put the routes in place."""
        self.web_app.middlewares.append(_guarded(self.app.conf.web_bind))
        self.web_app.add_routes(self._routes())

    async def start_server(self) -> None:
        """Listen."""
        await self._runner.setup()
        bind, first = self.app.conf.web_bind, self.app.conf.web_port
        for port in range(first, first + NEXT_PORTS):
            try:
                await web.TCPSite(self._runner, bind, port).start()
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise Failure(f"cannot serve the page on {bind}:{port}: {error}") from error
                continue
            host = f"[{bind}]" if ":" in bind else bind
            self.address = f"http://{host}:{port}"
            log.info("the page is at %s/", self.address)
            self._besides = asyncio.ensure_future(self._beside())
            return
        log.warning("no page: ports %d to %d are all taken", first, first + NEXT_PORTS - 1)

    async def stop_server(self) -> None:
        """Stop listening."""
        if self.address is not None:
            self._besides.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await self._besides
        await super().stop_server()


def _guarded(bind: str) -> Any:
    """Return what stands before each view.

    A page on the loopback must not answer to another name: a stranger's site could give its own
    name that address, and read what the browser then takes for that site.
    """

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if bind in LOOPBACK and (request.url.host or "") not in LOOPBACK:
            raise web.HTTPForbidden(text="this page answers to 127.0.0.1 and localhost only\n")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guard
