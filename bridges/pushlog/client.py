"""The HTTP client: one bounded, polite request at a time, and one line for whatever goes wrong."""

import asyncio
import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Final, Self

from aiohttp import (
    ClientConnectorCertificateError,
    ClientError,
    ClientResponse,
    ClientSession,
    ClientTimeout,
    ConnectionTimeoutError,
    DummyCookieJar,
    TCPConnector,
)
from yarl import URL

from bridges.pauses import retry_after
from pulseload import __version__
from pulseload.amqp import shown

_MOVED: Final = (301, 302, 303, 307, 308)
_TOO_MANY: Final = 429
_MAX_REDIRECTS: Final = 5
_CHUNK: Final = 64 * 1_024


@dataclass(frozen=True, slots=True)
class Limits:
    """What no request exceeds; seconds and bytes."""

    connections: int = 16
    connections_per_host: int = 4
    requests_per_second: float = 5
    """Of one host: a request more waits."""
    connect: float = 10
    silence: float = 30
    """How long nothing may come."""
    whole: float = 120
    """How long a request may take, from its beginning to the answer's last byte."""
    body: int = 16 * 1_048_576


class Trouble(Exception):  # noqa: N818 - it passes, or a person mends it
    """There is no answer; the text says why. `asked` are the seconds the server wants to rest."""

    def __init__(self, text: str, asked: float | None = None) -> None:
        super().__init__(text)
        self.asked = asked


class TooMuch(Trouble):
    """The answer is too large: one to a smaller question may not be."""


class TooSlow(Trouble):
    """The answer does not come in time: one to a smaller question may."""


class Client:
    """Gets what some servers answer, within limits; usable inside its `async with` block.

    Each server, told by scheme, host and port, has its own share of connections, so that one
    that hangs holds up no other. Certificates are verified, cookies not kept, and redirections
    followed within the same server only.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._all = asyncio.Semaphore(self._limits.connections)
        self._hosts: defaultdict[URL, _Host] = defaultdict(lambda: _Host(self._limits))

    async def __aenter__(self) -> Self:
        limits = self._limits
        self._session = ClientSession(
            connector=TCPConnector(limit=limits.connections, ssl=ssl.create_default_context()),
            cookie_jar=DummyCookieJar(),
            headers={"User-Agent": f"pulseload/{__version__}", "Accept": "application/json"},
            timeout=ClientTimeout(
                limits.whole, sock_connect=limits.connect, sock_read=limits.silence
            ),
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._session.close()

    async def get(self, url: URL) -> bytes:
        """Return the body of an answer with status 200. Raises Trouble."""
        place = shown(str(url.with_query(None)))
        try:
            for _ in range(_MAX_REDIRECTS):
                found = await self._once(url, place)
                if isinstance(found, bytes):
                    return found
                url = found
        except ClientConnectorCertificateError as error:
            reason = getattr(error.certificate_error, "verify_message", error.certificate_error)
            raise Trouble(f"{place}: its certificate is not accepted: {reason}") from error
        except ConnectionTimeoutError as error:
            raise Trouble(f"{place} cannot be reached in time") from error
        except TimeoutError as error:
            raise TooSlow(f"{place} does not answer in time") from error
        except (ClientError, OSError, ValueError) as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise Trouble(f"{place}: no whole answer: {text[:200]}") from error
        raise Trouble(f"{place} redirects again and again")

    async def _once(self, url: URL, place: str) -> bytes | URL:
        """Return a body, or where else it is said to be."""
        host = self._hosts[url.origin()]
        async with (
            host.turn(),
            self._all,
            self._session.get(url, allow_redirects=False) as response,
        ):
            if response.status in _MOVED:
                return _target(response, place)
            if response.status != 200:
                asked = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
                if response.status == _TOO_MANY and asked is not None:
                    # It is said to the client, whichever repository it asked for.
                    host.rest(asked)
                raise Trouble(f"{place} answers {response.status}{_hint(response.status)}", asked)
            return await self._body(response, place)

    async def _body(self, response: ClientResponse, place: str) -> bytes:
        body = bytearray()
        async for chunk in response.content.iter_chunked(_CHUNK):
            body += chunk
            if len(body) > self._limits.body:
                response.close()
                raise TooMuch(f"{place} answers with more than {self._limits.body} bytes")
        return bytes(body)


class _Host:
    """One server: how many requests it has in hand, and when it may have the next."""

    def __init__(self, limits: Limits) -> None:
        self._slots = asyncio.Semaphore(limits.connections_per_host)
        self._gap = 1 / limits.requests_per_second
        self._free_at = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, and have it for as long as the block runs."""
        now = asyncio.get_running_loop().time
        async with self._slots:
            while (wait := self._free_at - now()) > 0:  # noqa: ASYNC110 - it is the time that passes
                await asyncio.sleep(wait)
            self._free_at = now() + self._gap
            yield

    def rest(self, seconds: float) -> None:
        """Leave it alone for so long."""
        now = asyncio.get_running_loop().time()
        self._free_at = max(self._free_at, now + seconds)


def _target(response: ClientResponse, place: str) -> URL:
    target = response.url.join(URL(response.headers.get("Location", "")))
    if target.origin() != response.url.origin():
        elsewhere = shown(str(target.with_query(None)))
        raise Trouble(
            f"{place} redirects to {elsewhere}, another server; mend the url if it is right"
        )
    return target


def _hint(status: int) -> str:
    if status in (401, 403, 404, 410):
        return "; mend the repository's url, or give it `pushlog: false`"
    return ""
