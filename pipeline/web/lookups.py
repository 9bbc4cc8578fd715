"""The page's views of jobs, pushes, what waits, and what was put aside.

They answer as the commands do, from Kafka alone: whichever worker is asked says the same.
"""

import asyncio
import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from aiohttp import web
from aiohttp.web import Request, Response

from letters.letter import Letter, Position, Selection
from letters.reading import listed, one
from letters.replay import Tally, Wanted, rehearse, replay
from letters.wording import page as letter_page
from lookup import job as jobs
from lookup import pending, push
from lookup.depth import Sample, sample
from pulseload import topics
from pulseload.errors import Failure
from pulseload.settings import Settings

LOOK_SECONDS: Final = 60
"""How long one look may take; what it has not found by then the commands find."""

LOOKS_AT_ONCE: Final = 2

MAX_ASKED: Final = 8
"""How many may look or wait for their turn."""

KEPT_RESULTS: Final = 20
"""How many replays' results are kept to be shown."""

LISTED: Final = 50
"""How many rows a list shows."""

PERIODS: Final = {"1h": 3_600, "6h": 21_600, "1d": 86_400, "7d": 604_800, "all": None}
TOPICS: Final = (topics.JOBS_DEAD_LETTER, topics.PUSHES_DEAD_LETTER, topics.JOBS_EXPIRED)

_T = TypeVar("_T")


class Render(Protocol):
    """Makes a page of a template and values."""

    def __call__(self, template: str, /, status: int = 200, **values: Any) -> Response:
        """Return the page."""
        ...


class _Done(NamedTuple):
    """What a replay has sent, and why it ended early, if it did."""

    topic: str
    said: str
    early: str


class Lookups:
    """These views; `render` makes their pages."""

    def __init__(self, settings: Settings, render: Render) -> None:
        self._settings = settings
        self._render = render
        self._turns = asyncio.Semaphore(LOOKS_AT_ONCE)
        self._asked = 0
        self._done: dict[str, _Done] = {}

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return the addresses of these views."""
        return [
            web.get("/job", self._guarded(self.job)),
            web.get("/push", self._guarded(self.push)),
            web.get("/pending", self._guarded(self.pending)),
            web.get("/letters", self._guarded(self.letters)),
            web.get("/letter", self._guarded(self.letter)),
            web.get("/replay", self._guarded(self.rehearse)),
            web.post("/replay", self._guarded(self.replay)),
            web.get("/replayed/{name}", self.replayed),
        ]

    def _guarded(
        self, view: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await view(request)
            except Failure as failure:
                return self._render("failure.html", status=503, text=str(failure))
            except TimeoutError:
                text = (
                    f"That took longer than {LOOK_SECONDS} s and was given up. Choose a shorter "
                    "time, or ask the command: it looks as long as it takes."
                )
                return self._render("failure.html", status=503, text=text)

        return guarded

    async def _apart(self, look: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Look in a thread with a loop of its own: the worker's tasks do not wait for it."""

        async def bounded() -> _T:
            async with asyncio.timeout(LOOK_SECONDS):
                return await look()

        if self._asked >= MAX_ASKED:
            raise Failure(f"{MAX_ASKED} are looking already; try again in a moment")
        self._asked += 1
        try:
            async with self._turns:
                return await asyncio.to_thread(lambda: asyncio.run(bounded()))
        finally:
            self._asked -= 1

    async def job(self, request: Request) -> Response:
        """Tell where a job is."""
        job_id, since = _text(request, "id"), _since(request, "1d")
        found = queue = None
        if job_id:
            found = await self._apart(lambda: jobs.look(self._settings, job_id, since))
        if found is not None and not found.events:
            queue = await self._apart(self._queue)
        return self._render(
            "job.html",
            queue=queue,
            job_id=job_id,
            found=found,
            period=request.query.get("since", "1d"),
            periods=PERIODS,
        )

    async def _queue(self) -> Sample | str:
        """Return what RabbitMQ tells of Pulse's queue, or why it does not."""
        try:
            return sample(self._settings)
        except Failure as failure:
            return str(failure)

    async def push(self, request: Request) -> Response:
        """Tell what is known of a push."""
        key, now = _text(request, "key"), int(time.time() * 1_000)
        found = said = record = None
        wrong = bool(key) and not all(key.partition(":"))
        if key and not wrong:
            began = now - push.DAY_MS
            found = await self._apart(lambda: push.look(self._settings, key, began))
            said, record = push.sentence(key, found, now), push.record_of(found.tellings)
        return self._render(
            "push.html", key=key, found=found, said=said, record=record, wrong=wrong, now=now
        )

    async def pending(self, _: Request) -> Response:
        """Tell which jobs wait, by push."""
        waits = await self._apart(lambda: pending.waits_of(self._settings))
        return self._render(
            "pending.html",
            jobs=sum(one.jobs for one in waits),
            pushes=len(waits),
            waits=pending.oldest(waits, LISTED),
            now=int(time.time() * 1_000),
            max_age=self._settings.pending_max_age * 1_000,
        )

    async def letters(self, request: Request) -> Response:
        """List what was put aside."""
        topic, reason = _topic(request), _text(request, "reason")
        after = Position.read(_text(request, "after"))
        selection = _selection(request)

        async def look() -> list[Letter]:
            found: list[Letter] = []
            async with aclosing(listed(self._settings, topic, selection, after)) as letters:
                async for letter in letters:
                    found.append(letter)
                    if len(found) > LISTED:
                        break
            return found

        found = await self._apart(look)
        return self._render(
            "letters.html",
            topics=TOPICS,
            topic=topic,
            reason=reason,
            period=request.query.get("since", "1d"),
            periods=PERIODS,
            letters=found[:LISTED],
            more=len(found) > LISTED,
        )

    async def letter(self, request: Request) -> Response:
        """Show one of them."""
        topic, position = _topic(request), Position.read(_text(request, "position"))
        if position is None:
            raise web.HTTPNotFound

        async def look() -> tuple[Letter, str]:
            letter = await one(self._settings, topic, position)
            return letter, letter_page(letter)

        found, shown = await self._apart(look)
        return self._render("letter.html", letter=found, shown=shown)

    async def rehearse(self, request: Request) -> Response:
        """Say what a replay would send, and ask for the token."""
        wanted = _wanted(request)
        tally = await self._apart(lambda: rehearse(self._settings, wanted, lambda *_: None))
        return self._replay_page(request, tally)

    async def replay(self, request: Request) -> Response:
        """Send letters once more, where the token is right."""
        token, given = self._settings.pulseload_web_token, await request.post()
        typed = str(given.get("token", ""))
        if token is None or not hmac.compare_digest(typed.encode(), token.encode()):
            wanted = _wanted(request)
            tally = await self._apart(lambda: rehearse(self._settings, wanted, lambda *_: None))
            return self._replay_page(request, tally, refused=True)
        tally, early = Tally(), ""
        try:
            await self._apart(lambda: replay(self._settings, _wanted(request), tally))
        except TimeoutError:
            early = f"It took longer than {LOOK_SECONDS} s"
        except Failure as failure:
            early = str(failure)
        name = secrets.token_hex(8)
        self._done[name] = _Done(_topic(request), tally.said("sent"), early)
        while len(self._done) > KEPT_RESULTS:
            del self._done[next(iter(self._done))]
        # A reload of what follows sends nothing.
        raise web.HTTPSeeOther(f"/replayed/{name}")

    async def replayed(self, request: Request) -> Response:
        """Say what a replay has sent."""
        done = self._done.get(request.match_info["name"])
        if done is None:
            raise web.HTTPNotFound
        return self._render("replayed.html", done=done)

    def _replay_page(self, request: Request, tally: Tally, *, refused: bool = False) -> Response:
        return self._render(
            "replay.html",
            status=403 if refused else 200,
            topic=_topic(request),
            query=request.query_string,
            said=tally.said("would send"),
            any=bool(tally.sent),
            locked=self._settings.pulseload_web_token is None,
            refused=refused,
        )


def _text(request: Request, name: str) -> str:
    return request.query.get(name, "").strip()[:500]


def _topic(request: Request) -> str:
    topic = request.query.get("topic", TOPICS[0])
    if topic not in TOPICS:
        raise web.HTTPNotFound
    return topic


def _since(request: Request, usual: str) -> int | None:
    """Return the moment (ms since 1970) from which on is meant, None for all."""
    seconds = PERIODS.get(request.query.get("since", usual), PERIODS[usual])
    return None if seconds is None else int((time.time() - seconds) * 1_000)


def _selection(request: Request) -> Selection:
    reason = _text(request, "reason")
    return Selection(frozenset([reason] if reason else ()), _since(request, "1d"))


def _wanted(request: Request) -> Wanted:
    if text := _text(request, "position"):
        position = Position.read(text)
        if position is None:
            raise web.HTTPBadRequest(text="no such position; they look like 2/17\n")
        return Wanted(_topic(request), [position], Selection())
    return Wanted(_topic(request), [], _selection(request))
