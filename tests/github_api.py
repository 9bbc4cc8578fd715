"""A stand-in for GitHub's API: a real HTTP server on 127.0.0.1 with answers of the test's own."""

import asyncio
import threading
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from aiohttp import web


def row(number: int) -> dict[str, Any]:
    """Return a commit as GitHub's API lists it."""
    person = {"name": f"Dev {number}", "email": f"dev{number}@example.com"}
    return {
        "sha": f"{number:040x}",
        "commit": {
            "author": {**person, "date": "2026-02-01T12:00:00Z"},
            "committer": {"name": "GitHub", "date": "2026-03-01T10:00:00Z"},
            "message": f"Turn the screw ({number})",
        },
        "parents": [],
    }


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: a document or bytes, a status, headers."""

    document: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class GitHubAPI:
    """Gives the answers of a path one after the other, the last for ever; unknown paths are 404.

    `asked` has each request's path with its page, and `tokens` what each had as `Authorization`.
    """

    def __init__(self, answers: Mapping[str, Sequence[Answer]]) -> None:
        self._answers = answers
        self._given: defaultdict[str, int] = defaultdict(int)
        self.asked: list[tuple[str, str]] = []
        self.tokens: list[str | None] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.query["page"]))
        self.tokens.append(request.headers.get("Authorization"))
        answers = self._answers.get(request.path, [Answer({"message": "Not Found"}, 404)])
        answer = answers[min(self._given[request.path], len(answers) - 1)]
        self._given[request.path] += 1
        if isinstance(answer.document, bytes):
            return web.Response(
                body=answer.document, status=answer.status, headers=dict(answer.headers)
            )
        return web.json_response(
            answer.document, status=answer.status, headers=dict(answer.headers)
        )


@contextmanager
def serving(api: GitHubAPI) -> Iterator[None]:
    """Serve it from a thread of its own for as long as the block runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        asyncio.run_coroutine_threadsafe(api.__aenter__(), loop).result(30)
        yield
    finally:
        asyncio.run_coroutine_threadsafe(api.__aexit__(None, None, None), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
