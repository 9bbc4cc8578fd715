"""A TCP proxy between a client and a broker that breaks their connections in chosen ways."""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Final, Literal, Self

from local import ports

Direction = Literal["up", "down"]
"""`up` is from the client to the broker."""

CHUNK: Final = 65_536
IN_FLIGHT: Final = 64
"""How many chunks are on their way in one direction of a connection; then reading pauses."""

STEPS: Final = 10
"""Into how many pieces a second a slow drip is cut."""

_LINGER_0: Final = struct.pack("ii", 1, 0)
"""The value of SO_LINGER with which a close sends RST."""


class _Link:
    """A client's connection and the one to the broker that belongs to it."""

    def __init__(self, client: asyncio.StreamWriter, silent: bool) -> None:
        self.silent = silent
        self.writers: list[asyncio.StreamWriter] = []
        self.add(client)

    def add(self, writer: asyncio.StreamWriter) -> None:
        # Written is written: neither a reset nor a rate may be late by what lies in a buffer.
        writer.transport.set_write_buffer_limits(0)
        self.writers.append(writer)

    def close(self, reset: bool = False) -> None:
        for writer in self.writers:
            if reset and not writer.is_closing():
                connection = writer.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_0)
            writer.transport.abort()


class Proxy:
    """Listens on `port` and passes everything on to the broker's port, both on 127.0.0.1.

    It is transparent until it is told otherwise, from any thread, at any time. Latency, drip, cut
    and half-open hold until `restore`. The counters tell what was really done.
    """

    def __init__(self, broker_port: int, port: int | None = None) -> None:
        self.port = ports.free(1)[0] if port is None else port
        self.connections = 0
        """Connections accepted."""
        self.cuts = 0
        """Connections closed by a cut."""
        self.resets = 0
        """Connections reset."""
        self.swallowed = self.delayed = self.dripped = 0
        """Bytes that were dropped, that waited, and that went at a drip's rate."""
        self.withheld = b""
        """What was about to be passed on at the last reset, and was not."""
        self._broker_port = broker_port
        self._latency = 0.0
        self._rate = 0
        self._silent = False
        self._left: dict[Direction, int] = {}
        self._links: set[_Link] = set()
        self._serving: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self.restore()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(30)
        self._loop.close()

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{ports.HOST}:{self.port}"

    def delay(self, seconds: float) -> None:
        """Let everything arrive later, in each direction."""
        self._latency = seconds

    def drip(self, bytes_per_second: int) -> None:
        """Pass on no more than this in each direction of each connection."""
        self._rate = bytes_per_second

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        self._do(self._cut())

    def half_open(self) -> None:
        """Take everything and pass on nothing, while connections stay open and new ones are taken.

        These never recover: what was swallowed cannot be made good.
        """
        self._do(self._silence())

    def reset_after(self, count: int, direction: Direction) -> None:
        """Let so many bytes pass, then reset the connection, on both sides, that has one more."""
        self._left[direction] = count

    def restore(self) -> None:
        """Be transparent again, for connections that still can be."""
        self._latency, self._rate, self._silent = 0.0, 0, False
        self._left.clear()
        self._do(self._listen())

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(
                self._serve, ports.HOST, self.port, limit=CHUNK
            )

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for link in self._links:
            link.close()
            self.cuts += 1

    async def _silence(self) -> None:
        self._silent = True
        for link in self._links:
            link.silent = True

    async def _end(self) -> None:
        await self._cut()
        while self._serving:
            for task in self._serving:
                task.cancel()
            await asyncio.wait(self._serving)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        task.add_done_callback(self._serving.discard)
        self.connections += 1
        link = _Link(writer, self._silent)
        self._links.add(link)
        try:
            if link.silent:
                while data := await reader.read(CHUNK):
                    self.swallowed += len(data)
                return
            behind = await asyncio.open_connection(ports.HOST, self._broker_port, limit=CHUNK)
            link.add(behind[1])
            await asyncio.gather(
                *self._pump("up", reader, behind[1], link),
                *self._pump("down", behind[0], writer, link),
            )
        except (OSError, asyncio.CancelledError):
            pass  # One side has gone, or the proxy ends.
        finally:
            link.close()
            self._links.discard(link)
            for one in link.writers:
                with contextlib.suppress(OSError):
                    await one.wait_closed()

    def _pump(
        self,
        direction: Direction,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        link: _Link,
    ) -> tuple[Coroutine[Any, Any, None], Coroutine[Any, Any, None]]:
        queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(IN_FLIGHT)
        return self._receive(source, queue), self._deliver(direction, queue, sink, link)

    async def _receive(
        self, source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]
    ) -> None:
        data = b"any"
        while data:
            try:
                data = await source.read(CHUNK)
            except OSError:
                data = b""
            await queue.put((self._loop.time() + self._latency, data))

    async def _deliver(
        self,
        direction: Direction,
        queue: asyncio.Queue[tuple[float, bytes]],
        sink: asyncio.StreamWriter,
        link: _Link,
    ) -> None:
        data = b"any"
        while data:
            due, data = await queue.get()
            if (early := due - self._loop.time()) > 0:
                await asyncio.sleep(early)
                self.delayed += len(data)
            rest = data
            while rest and not link.silent:
                rest = await self._write(direction, rest, sink, link)
            self.swallowed += len(rest)
        if not link.silent:
            sink.close()

    async def _write(
        self, direction: Direction, data: bytes, sink: asyncio.StreamWriter, link: _Link
    ) -> bytes:
        """Pass on the beginning of what is there, and return the rest."""
        rate = self._rate
        size = max(1, rate // STEPS) if rate else len(data)
        left = self._left.get(direction)
        if strikes := left is not None and left < size and left < len(data):
            size = left or 0
        elif left is not None:
            self._left[direction] = left - min(size, len(data))
        if rate:
            self.dripped += min(size, len(data))
        sink.write(data[:size])
        await sink.drain()
        if strikes:
            self._left.pop(direction, None)
            self.withheld = data[size:]
            self.resets += 1
            link.close(reset=True)
            raise ConnectionResetError
        if rate:
            await asyncio.sleep(1 / STEPS)
        return data[size:]
