"""The pushlog bridge's HTTP client against a real server: polite, bounded, and clear."""

import asyncio
import gzip
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from aiohttp import web
from yarl import URL

from bridges.pushlog.answers import read
from bridges.pushlog.client import Client, Limits, TooMuch, TooSlow, Trouble
from local import ports
from pulseload import __version__
from tests.pushlogs import Handler, Server

QUICK = Limits(connect=2, silence=0.5, whole=2, body=100_000, requests_per_second=1_000)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(["integration/one", "two"]) as running:
        yield running


def get(url: str, limits: Limits = QUICK) -> bytes:
    async def once() -> bytes:
        async with Client(limits) as client:
            return await client.get(URL(url))

    return asyncio.run(once())


def address(server: Server, name: str = "integration/one") -> str:
    return f"{server.url(name)}/json-pushes?version=2"


def answering(body: bytes = b"", status: int = 200, **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named)

    return handler


def redirecting(target: Callable[[web.Request], str]) -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": target(request)})

    return handler


async def truncated(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": "1000"})
    await response.prepare(request)
    await response.write(b'{"lastpushid": 5, ')
    assert request.transport is not None
    request.transport.close()
    return response


async def broken_chunks(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.enable_chunked_encoding()
    await response.prepare(request)
    await response.write(b'{"lastpushid": 5, ')
    assert request.transport is not None
    request.transport.close()
    return response


async def closed(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


async def silent(_: web.Request) -> web.StreamResponse:
    await asyncio.sleep(5)
    return web.Response()


async def dripping(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(50):
        await response.write(b" ")
        await asyncio.sleep(0.1)
    return response


async def endless(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    for _ in range(1_000):
        await response.write(b" " * 10_000)
    return response


def test_an_answer_comes_whole_and_names_us_politely(server: Server) -> None:
    server["integration/one"].push(12)
    found = read(get(address(server)))
    assert (found.last, len(found.pushes)) == (12, 10)
    assert server["integration/one"].agents == {f"pulseload/{__version__}"}


@pytest.mark.parametrize(
    ("handler", "kind", "text"),
    [
        (answering(status=500), Trouble, "answers 500"),
        (answering(status=404), Trouble, "answers 404; mend the repository's url, or give it"),
        (answering(status=204), Trouble, "answers 204"),
        (truncated, Trouble, "no whole answer"),
        (broken_chunks, Trouble, "no whole answer"),
        (closed, Trouble, "no whole answer"),
        (answering(b"no gzip", Content_Encoding="gzip"), Trouble, "no whole answer"),
        (silent, TooSlow, "does not answer in time"),
        (dripping, TooSlow, "does not answer in time"),
        (endless, TooMuch, "answers with more than 100000 bytes"),
        (
            answering(gzip.compress(b" " * 50_000_000), Content_Encoding="gzip"),
            TooMuch,
            "answers with more than 100000 bytes",
        ),
        (redirecting(lambda request: request.path), Trouble, "redirects again and again"),
        (
            redirecting(lambda _: "http://user:secret-word@other.example.com/x"),
            Trouble,
            "redirects to http://user:***@other.example.com/x, another server",
        ),
        (
            redirecting(lambda request: f"https://{request.host}{request.path}"),
            Trouble,
            "another server",
        ),
        (redirecting(lambda _: "file:///etc/passwd"), Trouble, "integration/one/json-pushes"),
        (redirecting(lambda _: ""), Trouble, "redirects again and again"),
    ],
)
def test_what_is_no_answer_is_one_line(
    server: Server, handler: Handler, kind: type[Trouble], text: str
) -> None:
    server["integration/one"].handler = handler
    began = time.monotonic()
    with pytest.raises(Trouble) as found:
        get(address(server))
    assert type(found.value) is kind
    assert text in str(found.value)
    assert f"{server.url('integration/one')}/json-pushes" in str(found.value)
    assert len(str(found.value).splitlines()) == 1
    assert "secret-word" not in str(found.value)
    assert time.monotonic() - began < 10


def test_a_redirection_within_the_server_is_followed(server: Server) -> None:
    server["integration/one"].handler = redirecting(lambda _: "/two/json-pushes?version=2")
    server["two"].push(3)
    assert read(get(address(server))).last == 3


@pytest.mark.parametrize(
    ("status", "header", "asked"),
    [(429, "7", 7), (503, "30", 30), (500, "99999", 3_600), (503, "nonsense", None)],
)
def test_what_a_server_asks_for_is_told(
    server: Server, status: int, header: str, asked: float | None
) -> None:
    server["integration/one"].handler = answering(status=status, Retry_After=header)
    with pytest.raises(Trouble) as found:
        get(address(server))
    assert found.value.asked == asked


@pytest.mark.parametrize(("status", "waits"), [(429, True), (503, False)])
def test_too_many_requests_are_said_of_all_repositories(
    server: Server, status: int, waits: bool
) -> None:
    server["integration/one"].handler = answering(status=status, Retry_After="2")

    async def both() -> None:
        async with Client(QUICK) as client:
            with pytest.raises(Trouble):
                await client.get(URL(address(server)))
            await client.get(URL(address(server, "two")))

    asyncio.run(both())
    first, second = server.starts
    assert (second - first > 1.9) == waits


def test_no_more_requests_than_the_limits_say(server: Server) -> None:
    limits = Limits(connections_per_host=3, requests_per_second=20)
    server.delay = 0.3

    async def many() -> None:
        async with Client(limits) as client:
            await asyncio.gather(*(client.get(URL(address(server))) for _ in range(30)))

    asyncio.run(many())
    assert server.at_once == 3
    assert server.rate() <= 21


def test_a_server_that_hangs_holds_up_no_other(server: Server) -> None:
    with Server(["stuck"]) as hanging:
        hanging["stuck"].handler = silent

        async def both() -> None:
            async with Client() as client:
                waiting = [
                    asyncio.ensure_future(client.get(URL(address(hanging, "stuck"))))
                    for _ in range(8)
                ]
                await asyncio.sleep(0.3)
                async with asyncio.timeout(3):
                    await client.get(URL(address(server)))
                assert not any(one.done() for one in waiting)
                for one in waiting:
                    one.cancel()

        asyncio.run(both())


def test_nobody_listens() -> None:
    with pytest.raises(Trouble, match="no whole answer: Cannot connect"):
        get(f"http://127.0.0.1:{ports.free(1)[0]}/x")
    with pytest.raises(Trouble, match="no whole answer"):
        get("http://nowhere.invalid/x")


def test_a_certificate_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
            *("-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with Server(["one"], tls=context) as server:
        named = address(server, "one").replace("127.0.0.1", "localhost")
        with pytest.raises(Trouble, match="its certificate is not accepted: self-signed"):
            get(named)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert read(get(named)).last == 0
        with pytest.raises(Trouble, match="its certificate is not accepted: IP address mismatch"):
            get(address(server, "one"))
