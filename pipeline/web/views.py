"""The page's views: each takes a request and answers with HTML, or with what machines read."""

import importlib.resources
import json
import time
from collections.abc import Sequence
from typing import Any, Final

import jinja2
from aiohttp import web

import pulseload
from lookup.saying import moment
from pipeline.observer import Observer
from pipeline.web.history import History
from pipeline.web.inspector import Inspector
from pipeline.web.lookups import Lookups
from pipeline.web.overview import overview, span
from pipeline.web.plots import figure, plot
from pulseload import serving
from pulseload.settings import STAGES, Settings

MIRRORED: Final = "pulseload_messages_mirrored_total"
VALID: Final = 'pulseload_records_sent_total{stage="validate",topic="jobs.valid"}'
JOINED: Final = 'pulseload_records_sent_total{stage="join",topic="jobs.joined"}'
DEAD: Final = "pulseload_dead_letters_total"
SUPPRESSED: Final = "pulseload_jobs_suppressed_total"
EXPIRED: Final = "pulseload_jobs_expired_total"

PLOTS: Final = (
    (MIRRORED, "Messages from Pulse"),
    (VALID, "Valid jobs"),
    (JOINED, "Joined jobs"),
    (SUPPRESSED, "Suppressed"),
    (EXPIRED, "Expired"),
    (DEAD, "Dead letters"),
)
"""The counters that are drawn, and what each is called."""

_STATIC: Final = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}


def environment() -> jinja2.Environment:
    """Return the templates; whatever is put into them is escaped."""
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("pipeline.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        enable_async=False,
    )
    made.filters |= {"span": span, "figure": figure, "moment": moment, "pretty": _pretty}
    made.globals["version"] = pulseload.__version__
    return made


def _pretty(document: object) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


class Views:
    """What the page shows of one worker's world."""

    def __init__(self, settings: Settings, observer: Observer, history: History) -> None:
        self._settings = settings
        self._observer = observer
        self._history = history
        self._templates = environment()
        self._files = importlib.resources.files("pipeline.web") / "static"
        self._began = time.monotonic()
        self._lookups = Lookups(settings, self.render)
        self._inspector = Inspector(settings)

    def routes(self) -> list[web.AbstractRouteDef]:
        """Return all addresses that are served."""
        return [
            web.get("/", self.status),
            web.get("/metrics", serving.metrics),
            web.get("/healthz", self.healthz),
            web.get("/readyz", self.readyz),
            web.get("/static/{name}", self.static),
            web.get("/inspect", self.inspect),
            web.get("/inspect/events", self._inspector.events),
            *self._lookups.routes(),
        ]

    def render(self, template: str, /, status: int = 200, **values: Any) -> web.Response:
        """Return a page; `silent` in every template says for how long Kafka has been away."""
        text = self._templates.get_template(template).render(
            silent=self._silent, me=self._observer.name, **values
        )
        return web.Response(text=text, status=status, content_type="text/html")

    @property
    def _silent(self) -> float:
        answered = self._history.answered
        return time.monotonic() - (self._began if answered is None else answered)

    async def status(self, _: web.Request) -> web.Response:
        """Show the front page."""
        now = self._history.now()
        seen = overview(
            self._history.latest.values(),
            now,
            stages=STAGES,
            partitions=self._settings.pulseload_partitions,
            silent=self._silent,
            warn_depth=self._settings.pulse_warn_depth,
            delete_depth=self._settings.pulse_delete_depth,
        )
        plots = [
            (title, plot(series, f"{title} per second"), series[-1][1])
            for title, series in self._series(now)
        ]
        return self.render("status.html", seen=seen, plots=plots, now=now)

    async def inspect(self, request: web.Request) -> web.Response:
        """Show the live inspector."""
        return self.render(
            "inspect.html",
            exchanges=self._inspector.exchanges,
            topics=self._inspector.topics,
            exchange=request.query.get("exchange", ""),
            topic=request.query.get("topic", ""),
            key=request.query.get("key", ""),
            match=request.query.get("match", ""),
        )

    def _series(self, now: int) -> Sequence[tuple[str, Any]]:
        return [(title, self._history.rates(counter, now)) for counter, title in PLOTS]

    async def healthz(self, _: web.Request) -> web.Response:
        """Answer 200 where the worker gets on, 503 and what is wrong where it does not."""
        return serving.verdict(self._observer.health.problems)

    async def readyz(self, _: web.Request) -> web.Response:
        """Answer 200 once all tables are restored, 503 before."""
        state = self._observer.state
        return serving.verdict([] if self._observer.ready else [state], state)

    async def static(self, request: web.Request) -> web.Response:
        """Send a file of the page's own."""
        name = request.match_info["name"]
        if name not in _STATIC:
            raise web.HTTPNotFound
        text = (self._files / name).read_text(encoding="utf-8")
        return web.Response(text=text, content_type=_STATIC[name])
