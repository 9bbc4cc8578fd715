"""A server of push logs on 127.0.0.1, as hg.mozilla.org serves them, and in every broken way."""

import asyncio
import hashlib
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import Future
from ssl import SSLContext
from types import TracebackType
from typing import Any, Self

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

LATEST = 10
"""How many pushes an answer has where it is not said which."""


def node(*what: object) -> str:
    """Return a revision of its own for each text."""
    return hashlib.sha1(repr(what).encode(), usedforsecurity=False).hexdigest()


def entry(name: str, push_id: int, changesets: int = 1) -> dict[str, Any]:
    """Return a push as json-pushes gives it in full."""
    return {
        "user": f"user-{push_id}@example.com",
        "date": 1_770_000_000 + push_id,
        "changesets": [
            {
                "author": f"Author {number} <a{number}@example.com>",
                "branch": "default",
                "desc": f"Bug {push_id} - part {number}",
                "files": ["a/b.c"],
                "node": node(name, push_id, number),
                "tags": [],
            }
            for number in range(changesets)
        ],
    }


class Log:
    """One repository's push log. `handler` answers instead of it, where it is set."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.pushes: dict[int, dict[str, Any]] = {}
        self.handler: Handler | None = None
        self.requests: list[dict[str, str]] = []
        self.agents: set[str] = set()

    def push(self, count: int = 1, changesets: int = 1) -> None:
        """Take more pushes."""
        for push_id in range(self.last + 1, self.last + 1 + count):
            self.pushes[push_id] = entry(self.name, push_id, changesets)

    @property
    def last(self) -> int:
        """The number of the last push."""
        return max(self.pushes, default=0)

    def revisions(self) -> list[str]:
        """Return the tip of each push that has one, in order."""
        found = [self.pushes[push_id]["changesets"] for push_id in sorted(self.pushes)]
        return [changesets[-1]["node"] for changesets in found if changesets]

    def answer(self, query: dict[str, str]) -> dict[str, Any]:
        """Return what json-pushes says to a query."""
        assert query.pop("version") == "2"
        full = query.pop("full", None)
        if "startID" in query:
            start, end = int(query.pop("startID")), int(query.pop("endID", 2**60))
            found = [one for one in self.pushes if start < one <= end]
        else:
            found = sorted(self.pushes)[-LATEST:]
        assert query == {}
        pushes = {str(one): dict(self.pushes[one]) for one in sorted(found, reverse=True)}
        if not full:
            for push in pushes.values():
                push["changesets"] = [one["node"] for one in push["changesets"]]
        return {"lastpushid": self.last or None, "pushes": pushes}


class Server:
    """Serves logs by their names, for as long as the block runs, in a thread of its own.

    It counts: `at_once` are the most requests that it had in hand together, `per_name` the most
    of one repository, and `starts` is when each came.
    """

    def __init__(self, names: Iterable[str] = (), tls: SSLContext | None = None) -> None:
        self.logs = {name: Log(name) for name in names}
        self.at_once = 0
        self.per_name: defaultdict[str, int] = defaultdict(int)
        self.starts: list[float] = []
        self.delay = 0.0
        self._tls = tls
        self._now: Counter[str] = Counter()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        self._in_loop(self._start())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in_loop(self._runner.cleanup())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __getitem__(self, name: str) -> Log:
        return self.logs[name]

    def url(self, name: str) -> str:
        """Return the address of a repository."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}/{name}"

    def rows(self) -> list[dict[str, Any]]:
        """Return the repositories as settings name them."""
        return [{"name": name, "url": self.url(name)} for name in self.logs]

    def _in_loop(self, work: Any) -> None:
        done: Future[None] = asyncio.run_coroutine_threadsafe(work, self._loop)
        done.result(30)

    async def _start(self) -> None:
        app = web.Application()
        app.router.add_get("/{name:.+}/json-pushes", self._serve)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=self._tls)
        await site.start()
        self.port = self._runner.addresses[0][1]

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        log = self.logs[request.match_info["name"]]
        self.starts.append(time.monotonic())
        self._now[log.name] += 1
        self.per_name[log.name] = max(self.per_name[log.name], self._now[log.name])
        self.at_once = max(self.at_once, self._now.total())
        log.requests.append(dict(request.query))
        log.agents.add(request.headers.get("User-Agent", ""))
        try:
            await asyncio.sleep(self.delay)
            if log.handler is not None:
                return await log.handler(request)
            return web.json_response(log.answer(dict(request.query)))
        finally:
            self._now[log.name] -= 1

    def rate(self, seconds: float = 1.0) -> int:
        """Return the most requests that came within so many seconds."""
        starts = self.starts
        return max(
            (sum(begin <= one < begin + seconds for one in starts) for begin in starts), default=0
        )


def failing(status: int, content: bytes, **headers: str) -> Handler:
    """Return a handler that gives one answer to every request."""

    async def handler(_: web.Request) -> web.Response:
        return web.Response(status=status, body=content, headers=headers)

    return handler
