"""The Faust application: a group member whose agents hand partition batches to tasks."""

import asyncio
import contextlib
import gc
import logging
import os
import socket
import sys
import threading
from collections.abc import Sequence
from typing import Any, NoReturn

import faust
import mode.loop
from aiokafka.errors import KafkaError
from faust.tables import TableManager

from pipeline import logs, stages
from pipeline.observer import Observer
from pipeline.runtime.batches import Batch, BatchSchema, CommittedTransport, scheduler
from pipeline.runtime.ownership import Ownership, Place
from pipeline.runtime.stage import Stage
from pipeline.runtime.transaction import Fenced
from pipeline.state import StateFolder
from pipeline.web.history import History
from pipeline.web.server import Page
from pipeline.web.views import PLOTS, Views
from pulseload import kafka
from pulseload import settings as settings_module
from pulseload.errors import Failure
from pulseload.log_lines import JsonLines
from pulseload.settings import Settings

POLL_RECORDS = 20_000
"""How many records Faust takes at a time: all that a fetch brought, unless they are tiny."""

PARTITION_FETCH_BYTES = 2 * 1_048_576
BUFFERED_BATCHES = 16
"""How many batches Faust holds for one stage before it stops fetching what fills it."""

REQUEST_SECONDS = 30
"""After how long without an answer Faust gives a connection up, and so notices one that is
half-open."""

REBALANCE_SECONDS = 25
"""How long a worker has to join in when its group is shared out anew. Less than a request may take:
the answer to one who joins comes when all have."""

SESSION_MARGIN_SECONDS = 5

CLOSING_SECONDS = 2.0
"""How long a worker that must end waits for transactions in hand."""

SHUTDOWN_SECONDS = 15.0
"""How long a worker that was asked to end, or that Faust ends, may take for it."""

MEMBER_URL = "http://pulseload"
"""What Faust tells the group as every member's address, and asks of nobody. It must not change: a
worker with an instance id gets its former assignment back, and Faust ends at another address."""

GC_THRESHOLDS = (50_000, 20, 50)
"""How rarely Python looks for cycles: batches of records are many objects, and hold none."""

log = logging.getLogger(__name__)


class _App(faust.App):  # type: ignore[misc]
    ownership: Ownership
    ending: "Ending"
    observer: Observer

    def _new_web(self) -> Page:
        history = History(configured, [counter for counter, _ in PLOTS])
        return Page(self, Views(configured, self.observer, history).routes, history.run)

    async def on_start(self) -> None:
        self.add_future(self.observer.run())
        await super().on_start()

    def _new_transport(self) -> CommittedTransport:
        transport = CommittedTransport(self.conf.broker_consumer, self)
        transport.failed = self.ending.begin
        return transport


class _Tables(TableManager):  # type: ignore[misc]
    async def on_start(self) -> None:
        # Faust would wait a second here for tables to be declared; none is Faust's own.
        if not self.should_stop:
            await self._update_channels()
            await self.recovery.start()


class _Worker(faust.Worker):  # type: ignore[misc]
    """Checks what a worker needs before Faust starts, and ends with one line if it lacks."""

    def __init__(self, app: faust.App, *services: Any, **options: Any) -> None:
        # Options of the command line have made another of it.
        app.conf.canonical_url = MEMBER_URL
        super().__init__(app, *services, **options)

    def on_setup_root_logger(self, logger: logging.Logger, level: int) -> None:
        super().on_setup_root_logger(logger, level)
        logs.tidy(logger, level, JsonLines() if configured.pulseload_log == "json" else None)

    def execute_from_commandline(self) -> None:
        try:
            cluster = self.loop.run_until_complete(kafka.require(configured, safe=True))
        except Failure as failure:
            sys.exit(f"pulseload: {failure}")
        self.app.ownership.cluster = cluster
        # What is there now stays for good, so it need not be looked through again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        super().execute_from_commandline()

    def stop_and_shutdown(self) -> None:
        # Faust may wait for a Kafka that is gone, without an end.
        watch = threading.Timer(SHUTDOWN_SECONDS, os._exit, [1])
        watch.daemon = True
        watch.start()
        super().stop_and_shutdown()


class Ending:
    """Ends the process with a line and status 1 when a worker cannot go on.

    Faust's own way down would wait for what no longer answers, and tell it in tracebacks. What
    is left half done the next start settles.
    """

    ownership: Ownership

    def __init__(self) -> None:
        self._ending: asyncio.Task[NoReturn] | None = None

    def begin(self, error: BaseException) -> None:
        """Begin to end, from within a task that failed."""
        if self._ending is None:
            self._ending = asyncio.ensure_future(self.end(error))

    async def end(self, error: BaseException) -> NoReturn:
        """End: the other tasks have a moment to finish the transaction in hand."""
        log.error("this worker ends: %s", error, exc_info=None if _expected(error) else error)
        if not isinstance(error, Fenced):
            # Of the last transactions Kafka may keep less than it said (`orphans`).
            self.ownership.give_up()
        with contextlib.suppress(Exception):
            async with asyncio.timeout(CLOSING_SECONDS):
                await self.ownership.close()
        logging.shutdown()
        os._exit(1)


def _expected(error: BaseException) -> bool:
    return isinstance(error, Failure | KafkaError | TimeoutError)


def _loaded() -> Settings:
    try:
        return settings_module.load()
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")


def _credentials(settings: Settings) -> Any:
    """Return how Faust's own clients log in; ours do the same by `kafka.connection`."""
    how = kafka.connection(settings)
    context = how.get("ssl_context")
    if "sasl_mechanism" in how:
        return faust.SASLCredentials(
            username=how["sasl_plain_username"],
            password=how["sasl_plain_password"],
            mechanism=how["sasl_mechanism"],
            ssl_context=context,
        )
    return faust.SSLCredentials(context) if context else None


def build(settings: Settings, folder: StateFolder) -> faust.App:
    """Return the Faust app of a worker with these settings, its agents and hooks in place."""
    chosen = stages.build(settings)
    place = Place(
        settings.pulseload_app_id,
        settings.pulseload_partitions,
        kafka.connection(settings),
        folder.path,
    )
    ending = Ending()
    ownership = Ownership(chosen, place, ending.begin)
    ending.ownership = ownership
    app = _App(
        settings.pulseload_app_id,
        broker=";".join(f"kafka://{server}" for server in settings.kafka_servers),
        broker_credentials=_credentials(settings),
        autodiscover=False,
        store="memory://",
        datadir=folder.path / "faust",
        TableManager=_Tables,
        Worker=_Worker,
        ConsumerScheduler=scheduler(lambda: ownership.epoch),
        broker_session_timeout=settings.pulseload_session_timeout,
        # Faust takes no session timeout that is longer than a request's.
        broker_request_timeout=max(
            REQUEST_SECONDS, settings.pulseload_session_timeout + SESSION_MARGIN_SECONDS
        ),
        broker_rebalance_timeout=REBALANCE_SECONDS,
        broker_heartbeat_interval=settings.pulseload_session_timeout / 5,
        broker_max_poll_records=POLL_RECORDS,
        consumer_max_fetch_size=PARTITION_FETCH_BYTES,
        consumer_auto_offset_reset="none",
        consumer_group_instance_id=settings.pulseload_instance_id,
        stream_buffer_maxsize=BUFFERED_BATCHES,
        stream_wait_empty=False,
        stream_recovery_delay=0,
        topic_allow_declare=False,
        topic_disable_leader=True,
        web_bind=settings.pulseload_web_bind,
        web_port=settings.pulseload_web_port,
    )
    app.ownership, app.ending = ownership, ending
    name = f"{socket.gethostname()}/{folder.path.name}"
    app.observer = Observer(
        settings,
        name,
        ownership,
        lambda: app.transport.fetched,
        lambda: app.web.address if app.conf.web_enabled else None,
    )
    _connect(app, chosen, ownership, ending)
    return app


def _connect(app: faust.App, chosen: Sequence[Stage], ownership: Ownership, ending: Ending) -> None:
    for stage in chosen:

        async def agent(batches: Any) -> None:
            async for batch in batches:
                await ownership.accept(batch)

        # Without acks Faust commits nothing itself: offsets move with transactions only.
        topic = app.topic(*stage.inputs, schema=BatchSchema(), value_type=Batch, acks=False)
        app.agent(topic, name=stage.name)(agent)

    async def revoked(_app: faust.App, _revoked: Any, **_: Any) -> None:
        await ownership.revoked()

    async def assigned(_app: faust.App, **_: Any) -> None:
        try:
            await ownership.assigned(app.consumer.assignment)
        except Exception as error:  # noqa: BLE001 - whatever it is, Faust must not go on
            await ending.end(error)

    async def shutdown(_app: faust.App, **_: Any) -> None:
        await ownership.close()

    app.on_partitions_revoked.connect(revoked, weak=False)
    # Faust awaits this one before it seeks to the committed offsets and lets records through.
    app.on_rebalance_complete.connect(assigned, weak=False)
    app.on_before_shutdown.connect(shutdown, weak=False)


# A transaction is some ten answers to wait for, each a turn of the loop.
mode.loop.use("uvloop")
configured = _loaded()
try:
    state_folder = StateFolder(configured.pulseload_home, configured.pulseload_instance_id)
    app = build(configured, state_folder)
except Failure as failure:
    sys.exit(f"pulseload: {failure}")
