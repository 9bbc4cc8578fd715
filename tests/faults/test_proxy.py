"""The proxy itself: each fault must do what it says, or the experiments show nothing."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from local import ports
from tests.faults.proxy import Proxy
from tests.system.harness import eventually


class Echo:
    """A server that sends back what comes; `ends` tells how each of its connections ended."""

    def __init__(self) -> None:
        (self.port,) = ports.free(1)
        self.ends: list[str] = []
        self.received = 0
        self.reading = threading.Event()
        self.reading.set()
        self._listener = ports.bind(self.port)
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                thread = threading.Thread(target=self._echo, args=(connection,))
                self._threads.append(thread)
                thread.start()

    def _echo(self, connection: socket.socket) -> None:
        how = "end"
        with connection:
            connection.settimeout(30)
            try:
                while self.reading.wait(30) and (data := connection.recv(65_536)):
                    self.received += len(data)
                    connection.sendall(data)
            except OSError as error:
                how = type(error).__name__
        self.ends.append(how)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join(30)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def proxy(echo: Echo) -> Iterator[Proxy]:
    with Proxy(echo.port) as own:
        yield own


@contextlib.contextmanager
def connected(proxy: Proxy) -> Iterator[socket.socket]:
    with socket.create_connection((ports.HOST, proxy.port), timeout=20) as client:
        yield client


def received(client: socket.socket, count: int) -> bytes:
    """Read so many bytes, or fewer where the connection ends before."""
    data = b""
    while len(data) < count and (more := client.recv(count - len(data))):
        data += more
    return data


def asked(client: socket.socket, data: bytes) -> bytes:
    client.sendall(data)
    return received(client, len(data))


def test_it_is_transparent_at_first(proxy: Proxy, echo: Echo) -> None:
    content = bytes(range(256)) * 4_000
    with connected(proxy) as one, connected(proxy) as two:
        sending = threading.Thread(target=one.sendall, args=(content,))
        sending.start()
        assert received(one, len(content)) == content
        sending.join()
        assert asked(two, b"hello") == b"hello"
    eventually(lambda: echo.ends == ["end", "end"], "the broker sees both ends")
    assert proxy.connections == 2


def test_a_broker_that_is_not_there_closes_the_connection() -> None:
    (nobody,) = ports.free(1)
    with Proxy(nobody) as proxy, connected(proxy) as client:
        assert client.recv(1) == b""


def test_latency_comes_in_each_direction(proxy: Proxy) -> None:
    with connected(proxy) as client:
        assert asked(client, b"before") == b"before"
        assert proxy.delayed == 0
        proxy.delay(0.2)
        began = time.monotonic()
        assert asked(client, b"after") == b"after"
        assert time.monotonic() - began >= 0.4
        assert proxy.delayed == 2 * len(b"after")
        # A delay is no queue: what follows at once arrives at once after it.
        client.sendall(b"x" * 2_000_000)
        proxy.restore()
        assert received(client, 2_000_000) == b"x" * 2_000_000


def test_a_cut_closes_all_and_refuses_until_restored(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as one, connected(proxy) as two:
        assert asked(one, b"one") + asked(two, b"two") == b"onetwo"
        proxy.cut()
        assert one.recv(1) == two.recv(1) == b""
        with pytest.raises(ConnectionRefusedError), connected(proxy):
            pass
    eventually(lambda: len(echo.ends) == 2, "the broker's connections end, too")
    assert proxy.cuts == 2
    proxy.restore()
    with connected(proxy) as again:
        assert asked(again, b"again") == b"again"


def test_half_open_swallows_and_tells_nobody(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as old:
        assert asked(old, b"known") == b"known"
        proxy.half_open()
        with connected(proxy) as new:
            old.sendall(b"from old")
            new.sendall(b"from new")
            eventually(lambda: proxy.swallowed == 16, "both are swallowed")
            for client in (old, new):
                client.settimeout(0.2)
                with pytest.raises(TimeoutError):
                    client.recv(1)
            proxy.restore()
            # Bytes are missing in it: it must not come to life again.
            old.sendall(b"more")
            eventually(lambda: proxy.swallowed == 20, "it is still silent")
    assert echo.received == len(b"known")
    assert echo.ends == []
    with connected(proxy) as fresh:
        assert asked(fresh, b"fresh") == b"fresh"


@pytest.mark.parametrize("passed", [0, 1, 100_000])
def test_a_reset_up_comes_after_so_many_bytes(proxy: Proxy, echo: Echo, passed: int) -> None:
    with connected(proxy) as client, connected(proxy) as other:
        assert asked(other, b"other") == b"other"
        proxy.reset_after(passed, "up")
        client.sendall(b"y" * passed + b"z")
        eventually(lambda: echo.ends == ["ConnectionResetError"], "the broker sees a reset")
        # A reset throws away what has come and was not read yet.
        assert len(b"other") <= echo.received <= passed + len(b"other")
        assert proxy.withheld == b"z"
        with pytest.raises(ConnectionResetError):
            received(client, passed + 1)
        # One reset, of one connection.
        assert asked(other, b"still") == b"still"
    assert proxy.resets == 1


def test_a_reset_down_comes_after_so_many_bytes(proxy: Proxy, echo: Echo) -> None:
    with connected(proxy) as client:
        proxy.reset_after(5, "down")
        client.sendall(b"123456789")
        assert received(client, 5) == b"12345"
        with pytest.raises(ConnectionResetError):
            client.recv(1)
    eventually(lambda: echo.ends == ["ConnectionResetError"], "the broker sees a reset")
    assert (echo.received, proxy.resets, proxy.withheld) == (9, 1, b"6789")


def test_a_drip_is_slow_and_loses_nothing(proxy: Proxy) -> None:
    content = bytes(range(256)) * 20
    with connected(proxy) as client:
        proxy.drip(10_000)
        began = time.monotonic()
        assert asked(client, content) == content
        assert time.monotonic() - began >= 0.4
        assert proxy.dripped == 2 * len(content)
        proxy.restore()
        assert asked(client, content * 100) == content * 100


def test_its_buffers_are_bounded(proxy: Proxy, echo: Echo) -> None:
    echo.reading.clear()
    with connected(proxy) as client:
        client.settimeout(1)
        sent = 0
        with contextlib.suppress(TimeoutError):
            while sent < 200_000_000:
                sent += client.send(b"x" * 65_536)
        assert sent < 50_000_000
    echo.reading.set()
