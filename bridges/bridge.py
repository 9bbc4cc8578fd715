"""The bridge: what comes from Pulse goes to Kafka, and is acknowledged when Kafka has it.

One batch after the other is taken from RabbitMQ, written to Kafka, confirmed and acknowledged.
Meanwhile more arrives in the buffers below, as much as the prefetch count allows, so that two
batches at a time would gain nothing; and one is all that is in hand when something fails.
"""

import asyncio
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Final, NoReturn, TypeVar

from bridges.consumer import Consumer, LoginRefused, Lost
from bridges.deliveries import Delivery
from bridges.depth import Depth
from bridges.mirror import Mirror
from bridges.pauses import Pauses
from bridges.record import Record
from bridges.watch import Progress, Watch
from bridges.writer import Unconfirmed, Writer
from pulseload import headers, metrics
from pulseload.errors import Failure
from pulseload.settings import Settings

GRACE: Final = 2.0
"""Seconds that the batch in hand has when the bridge is asked to end."""

CLOSING: Final = 1.0
"""Seconds that each of the two connections has to close."""

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 15.0
"""Seconds until the bridge tries again."""

STEADY: Final = 10.0
"""Seconds after which a connection counts as good, and the pauses begin anew."""

IMPATIENCE: Final = 5.0
"""Seconds without a confirmation after which a line says that Kafka is silent."""

REPORT: Final = 60.0
"""Seconds between two lines with counts."""

log = logging.getLogger(__name__)

Result = TypeVar("Result")


async def run(settings: Settings) -> None:
    """Run a bridge until SIGTERM or SIGINT.

    Raises Failure where it cannot start, and whenever RabbitMQ does not let the user in.
    """
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    bridge = Bridge(settings)
    try:
        await bridge.run()
    except asyncio.CancelledError:
        log.info("ended, as asked: %s", bridge.total)


class Bridge:
    """Brings the messages of one queue to Kafka, until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._mirror = Mirror(settings.pulse_data_ingestion_sources)
        self._writer = Writer(settings)
        self._counts: Counter[str] = Counter()
        self._progress = Progress()
        self._started = False

    @property
    def total(self) -> str:
        """How much has been done, in words."""
        counts = self._counts
        return (
            f"{counts['messages']} messages mirrored, {counts['redelivered']} of them delivered "
            f"again, {counts['dead letters']} dead letters"
        )

    async def run(self) -> NoReturn:
        """Connect and pass messages on, again and again. Raises Failure where it cannot start."""
        self._progress.begins("connecting")
        async with Watch(self._settings, self._progress):
            reporting = asyncio.create_task(self._report())
            try:
                await self._again_and_again()
            finally:
                reporting.cancel()
                await self._writer.stop(CLOSING)

    async def _again_and_again(self) -> NoReturn:
        pauses = Pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            began = time.monotonic()
            try:
                await self._connection()
            except LoginRefused:
                raise
            except (Failure, Lost, Unconfirmed) as trouble:
                if not self._started:
                    raise
                metrics.RECONNECTS.inc()
                self._progress.begins("without a connection")
                if time.monotonic() - began > STEADY:
                    pauses.reset()
                seconds = pauses.longer()
                log.warning("%s (trying again in %.1f s)", trouble, seconds)
                await asyncio.sleep(seconds)

    async def _connection(self) -> NoReturn:
        """Pass messages on for as long as both connections hold."""
        await self._writer.start()
        consumer = await _in_thread(lambda: Consumer(self._settings))
        if not self._started:
            self._started = True
            Depth(self._settings).start()
        self._progress.done()
        log.info(
            "taking messages from %s to Kafka at %s",
            self._settings.pulse_url_shown,
            ", ".join(self._settings.kafka_servers),
        )
        try:
            while True:
                if deliveries := consumer.take():
                    await self._pass_on(consumer, deliveries)
                if not consumer.full:
                    await _readable(consumer)
        finally:
            closing = asyncio.ensure_future(_in_thread(consumer.close))
            await asyncio.wait({closing}, timeout=CLOSING)

    async def _pass_on(self, consumer: Consumer, deliveries: Sequence[Delivery]) -> None:
        """Write messages to Kafka, then acknowledge them; a cancellation lets both be finished."""
        self._progress.begins("waiting for Kafka to confirm messages")
        records = [self._mirror.record(delivery) for delivery in deliveries]
        writing = asyncio.create_task(self._writer.write(records))
        try:
            await self._confirmation(consumer, writing)
        except asyncio.CancelledError:
            await asyncio.wait({writing}, timeout=GRACE)
            if writing.done() and writing.exception() is None:
                with suppress(Lost):
                    self._acknowledge(consumer, deliveries, records)
            else:
                writing.cancel()
                log.warning("Kafka has not confirmed the last messages; they will come again")
            raise
        self._acknowledge(consumer, deliveries, records)

    def _acknowledge(
        self, consumer: Consumer, deliveries: Sequence[Delivery], records: Sequence[Record]
    ) -> None:
        redelivered = sum(one.redelivered for one in deliveries)
        dead = [record for record in records if record.topic == record.dead_letter]
        self._counts["messages"] += len(deliveries)
        self._counts["redelivered"] += redelivered
        self._counts["dead letters"] += len(dead)
        metrics.MIRRORED.inc(len(deliveries))
        metrics.REDELIVERED.inc(redelivered)
        for letter in dead:
            reason = dict(letter.headers)[headers.ERROR_REASON].decode()
            metrics.DEAD_LETTERS.labels(letter.topic, reason).inc()
        consumer.acknowledge(deliveries[-1])
        self._progress.done()

    async def _confirmation(self, consumer: Consumer, writing: asyncio.Task[None]) -> None:
        """Wait for Kafka, however long, and show RabbitMQ meanwhile that the bridge lives."""
        began = time.monotonic()
        silent = False
        while not (await asyncio.wait({writing}, timeout=min(consumer.silence, IMPATIENCE)))[0]:
            consumer.beat()
            if not silent:
                silent = True
                log.warning("Kafka is silent: waiting for it, and acknowledging nothing")
        writing.result()
        if silent:
            log.info("Kafka has confirmed after %.0f s", time.monotonic() - began)

    async def _report(self) -> NoReturn:
        while True:
            before = self._counts["messages"]
            await asyncio.sleep(REPORT)
            minute = self._counts["messages"] - before
            log.info("%d messages in the last minute; in all %s", minute, self.total)


async def _readable(consumer: Consumer) -> None:
    """Wait until something comes from RabbitMQ, or it is time to look whether it lives."""
    loop = asyncio.get_running_loop()
    came = asyncio.Event()
    number = consumer.fileno()
    loop.add_reader(number, came.set)
    try:
        async with asyncio.timeout(consumer.silence):
            await came.wait()
    except TimeoutError:
        pass
    finally:
        loop.remove_reader(number)


async def _in_thread(call: Callable[[], Result]) -> Result:
    """Run what blocks. Once this is cancelled nobody waits for the thread, nor does the process."""
    outcome: Future[Result] = Future()

    def work() -> None:
        if outcome.set_running_or_notify_cancel():
            try:
                outcome.set_result(call())
            except BaseException as error:  # noqa: BLE001 - raised where it is waited for
                outcome.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return await asyncio.wrap_future(outcome)
