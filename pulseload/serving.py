"""What the HTTP servers of worker and bridge have in common: where they listen, and to whom."""

import errno
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

from aiohttp import web
from prometheus_client import REGISTRY
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from pulseload.errors import Failure

LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

NEXT_PORTS: Final = 16
"""How many ports are tried, one after the other, where several processes share a machine."""

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


async def listen(runner: web.AppRunner, bind: str, first: int) -> str | None:
    """Let a runner that is set up listen on the first free port from `first` on.

    Returns its address, or None where `NEXT_PORTS` are all taken. Raises Failure where `bind` is
    no address of this machine, or a port may not be used.
    """
    for port in range(first, first + NEXT_PORTS):
        try:
            await web.TCPSite(runner, bind, port).start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                continue
            raise Failure(
                f"cannot serve on {bind}:{port}: {error.strerror}; mend PULSELOAD_WEB_BIND or the "
                "port"
            ) from error
        return f"http://{f'[{bind}]' if ':' in bind else bind}:{port}"
    log.warning("no page: ports %d to %d of %s are all taken", first, first + NEXT_PORTS - 1, bind)
    return None


def guarded(bind: str) -> Any:
    """Return the middleware that stands before each view.

    A server on the loopback must not answer to another name: a stranger's site could give its own
    name that address, and read what the browser then takes for that site.
    """

    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        if bind in LOOPBACK and (request.url.host or "") not in LOOPBACK:
            raise web.HTTPForbidden(text="this page answers to 127.0.0.1 and localhost only\n")
        if (
            request.headers.get("Sec-Fetch-Site") == "cross-site"
            and request.headers.get("Sec-Fetch-Mode") != "navigate"
        ):
            raise web.HTTPForbidden(text="another site's page may not ask this one\n")
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(_HEADERS)
            raise
        if not response.prepared:
            response.headers.update(_HEADERS)
        return response

    return guard


async def metrics(_: web.Request) -> web.Response:
    """Answer Prometheus."""
    return web.Response(
        body=generate_latest(REGISTRY), headers={"Content-Type": CONTENT_TYPE_LATEST}
    )


def verdict(wrong: Sequence[str], fine: str = "ok") -> web.Response:
    """Answer 200 where nothing is wrong, else 503 with a line for each thing that is."""
    text = "".join(f"{line}\n" for line in wrong or [fine])
    return web.Response(text=text, status=503 if wrong else 200)
