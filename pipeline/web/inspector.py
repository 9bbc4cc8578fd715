"""The live inspector: what comes on an exchange of Pulse, or a topic, as server-sent events."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, closing, suppress
from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web
from aiohttp.web import Request, StreamResponse
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from letters.wording import indented
from lookup.exchange import received
from lookup.messages import Message, wanted
from pipeline.runtime.restore import reader
from pulseload import kafka
from pulseload.errors import Failure
from pulseload.settings import Settings

AT_ONCE: Final = 4
"""How many may watch at a time; each costs a connection."""

BUFFERED: Final = 100
"""How many messages wait for a slow reader; of more it is only told how many were left out."""

SHOWN_BYTES: Final = 16_384
"""How much of a body is shown."""

BEAT_SECONDS: Final = 5.0
"""How often a line goes out to see whether anybody still reads."""

WAIT_MS: Final = 500
"""How long Kafka may hold a fetch back for records."""

WRITE_SECONDS: Final = 10.0
"""How long a reader may take for what was written."""

NAME_MAX_BYTES: Final = 255
"""AMQP's own bound of exchanges and routing keys."""

_QUIET: Final = ": still here\n\n"


class Inspector:
    """Serves `/inspect/events?exchange=…&key=…&match=…` and `?topic=…&match=…`."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._watching = 0
        self._topics = {topic.name for topic in settings.topics}

    @property
    def topics(self) -> list[str]:
        """The topics that can be watched."""
        return sorted(name for name in self._topics if not name.endswith("-changelog"))

    @property
    def exchanges(self) -> list[str]:
        """The exchanges that the settings name."""
        return [source.exchange for source in self._settings.pulse_data_ingestion_sources]

    async def events(self, request: Request) -> StreamResponse:
        """Send messages as they come, until the reader goes."""
        topic = request.query.get("topic", "")
        exchange = request.query.get("exchange", "").strip()
        key = request.query.get("key", "").strip() or "#"
        if max(len(exchange.encode()), len(key.encode())) > NAME_MAX_BYTES:
            raise web.HTTPBadRequest(text=f"no name is longer than {NAME_MAX_BYTES} bytes\n")
        match = [part for part in [request.query.get("match", "").strip()[:500]] if part]
        if bool(topic) == bool(exchange) or (topic and topic not in self._topics):
            raise web.HTTPBadRequest(text="name an exchange, or one of pulseload's topics\n")
        if self._watching >= AT_ONCE:
            raise web.HTTPServiceUnavailable(text=f"{AT_ONCE} are watching already\n")
        source = self._topic(topic, match) if topic else self._exchange(exchange, key, match)
        self._watching += 1
        try:
            return await _sent(request, source)
        finally:
            self._watching -= 1

    async def _topic(self, topic: str, match: list[str]) -> AsyncIterator[dict[str, Any] | None]:
        places = [
            TopicPartition(topic, number) for number in range(self._settings.pulseload_partitions)
        ]
        try:
            async with reader(kafka.connection(self._settings), wait_ms=WAIT_MS) as consumer:
                consumer.assign(places)
                await consumer.seek_to_end(*places)
                yield {"said": f"listening to {topic}"}
                while True:
                    polled = await consumer.getmany(timeout_ms=int(BEAT_SECONDS * 1_000))
                    # Also where nothing of what came is wanted: the reader may have gone.
                    yield None
                    for place, records in polled.items():
                        for record in records:
                            body = record.value or b""
                            if all(text.encode() in body + (record.key or b"") for text in match):
                                yield {
                                    "time": _moment(record.timestamp / 1_000),
                                    "key": (record.key or b"").decode(errors="replace"),
                                    "place": f"{place.topic}/{place.partition}/{record.offset}",
                                    "body": shown(body),
                                }
        except (KafkaError, OSError) as error:
            raise Failure(f"Kafka does not answer: {error or type(error).__name__}") from error

    async def _exchange(
        self, exchange: str, key: str, match: list[str]
    ) -> AsyncIterator[dict[str, Any] | None]:
        """Let a thread read, as AMQP's client blocks; what comes too fast is counted."""
        loop, stop = asyncio.get_running_loop(), threading.Event()
        came: asyncio.Queue[dict[str, Any] | Failure] = asyncio.Queue(BUFFERED)
        missed = 0

        def put(one: dict[str, Any] | Failure) -> None:
            nonlocal missed
            try:
                came.put_nowait(one)
            except asyncio.QueueFull:
                missed += 1

        def hand(one: dict[str, Any] | Failure) -> None:
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(put, one)

        reading = threading.Thread(
            target=_read_exchange,
            args=(self._settings.pulse_data_ingestion_config, exchange, key, match, stop, hand),
            daemon=True,
        )
        reading.start()
        try:
            while True:
                if missed:
                    yield {"said": f"{missed} more came too fast to be shown"}
                    missed = 0
                yield None
                try:
                    one = await asyncio.wait_for(came.get(), BEAT_SECONDS)
                except TimeoutError:
                    continue
                if isinstance(one, Failure):
                    raise one
                yield one
        finally:
            stop.set()


def _read_exchange(
    url: str,
    exchange: str,
    key: str,
    match: list[str],
    stop: threading.Event,
    hand: Callable[[dict[str, Any] | Failure], None],
) -> None:
    def ready() -> None:
        hand({"said": f"listening to {exchange} by {key}"})

    try:
        with closing(received(url, exchange, key, stop, ready)) as deliveries:
            for delivery in deliveries:
                message = Message.of(delivery, datetime.now(UTC))
                if wanted(message, match):
                    hand(
                        {
                            "time": message.received.isoformat(timespec="milliseconds"),
                            "key": message.routing_key,
                            "place": message.exchange,
                            "body": shown(message.body),
                        }
                    )
    except Failure as failure:
        hand(failure)
    except Exception as error:  # noqa: BLE001 - else the reader would wait for ever
        hand(Failure(f"RabbitMQ cannot be read: {type(error).__name__}: {error}"))


async def _sent(request: Request, source: AsyncIterator[dict[str, Any] | None]) -> StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(request)
    # A reader that goes ends this at the next line.
    with suppress(ConnectionResetError, TimeoutError):
        try:
            async with aclosing(source) as messages:  # type: ignore[type-var]
                beat = 0.0
                async for message in messages:
                    if message is None:
                        if time.monotonic() - beat < BEAT_SECONDS / 2:
                            continue
                        beat = time.monotonic()
                    line = _QUIET if message is None else f"data: {json.dumps(message)}\n\n"
                    if request.transport is None or request.transport.is_closing():
                        return response
                    async with asyncio.timeout(WRITE_SECONDS):
                        await response.write(line.encode())
        except Failure as failure:
            await response.write(f"event: failure\ndata: {json.dumps(str(failure))}\n\n".encode())
    return response


def shown(body: bytes) -> str:
    """Return a body for people: JSON indented, and no more than about `SHOWN_BYTES`."""
    try:
        json.loads(body.decode())
    except (ValueError, RecursionError):
        text = body[: SHOWN_BYTES + 1].decode(errors="backslashreplace")
        return text if len(text) <= SHOWN_BYTES else f"{text[:SHOWN_BYTES]} …"
    return indented(body.decode(), SHOWN_BYTES)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
