"""A real RabbitMQ behind TLS: the certificate's chain and host name are verified."""

import asyncio
import json
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pulseload import amqp
from pulseload.errors import Failure
from tests.examples import body
from tests.system.bridging import GUEST, ended, started
from tests.system.harness import BIN, System
from tests.system.pulse import Pulse


@dataclass(frozen=True, slots=True)
class Front:
    """A port that speaks TLS before RabbitMQ's own, with a certificate for `localhost` alone."""

    port: int
    certificate: Path

    def url(self, pulse: Pulse, host: str) -> str:
        """Return the user's URL with TLS, by way of a host name."""
        address = f"{host}:{self.port}"
        return f"{pulse.url.replace(pulse.broker.address, address)}?ssl=1"


@pytest.fixture
def front(pulse: Pulse, tmp_path: Path) -> Iterator[Front]:
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
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        serving = _serve(context, pulse.broker.port)
        server = asyncio.run_coroutine_threadsafe(serving, loop).result(30)
        yield Front(server.sockets[0].getsockname()[1], certificate)
        asyncio.run_coroutine_threadsafe(_end(server), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


async def _serve(context: ssl.SSLContext, behind: int) -> asyncio.Server:
    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # The other side is gone.
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker_writer = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(pump(reader, broker_writer), pump(broker_reader, writer))

    return await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)


async def _end(server: asyncio.Server) -> None:
    server.close()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


def test_a_certificate_of_a_known_authority_is_taken(
    front: Front, pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))
    with amqp.connected(front.url(pulse, "localhost")) as connection:
        assert connection.connected
        assert connection.connection.server_properties["product"] == "RabbitMQ"


def test_an_unknown_authority_is_refused(front: Front, pulse: Pulse) -> None:
    with (
        pytest.raises(Failure, match=r"certificate is not accepted: self.signed certificate"),
        amqp.connected(front.url(pulse, "localhost")),
    ):
        pass


def test_a_certificate_for_another_host_is_refused(
    front: Front, pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(front.certificate))
    with (
        pytest.raises(Failure, match="certificate is not accepted: IP address mismatch"),
        amqp.connected(front.url(pulse, "127.0.0.1")),
    ):
        pass


def test_the_bridge_takes_messages_through_tls(front: Front, system: System) -> None:
    bridge = started(
        system,
        PULSE_DATA_INGESTION_CONFIG=front.url(system.pulse, "localhost"),
        SSL_CERT_FILE=str(front.certificate),
    )
    # Of every size: TLS has records of its own, which end anywhere in a frame.
    contents = [body({"pad": "x" * (number**2 % 40_000)}) for number in range(1_500)]
    contents += [body({"pad": "y" * 900_000})] * 3
    system.pulse.publish(GUEST, *contents)
    records = system.read("pulse.guest.jobs", count=len(contents))
    # One key, so one partition.
    assert [record.value for record in records] == contents
    ended(system, bridge)


def test_messages_are_shown_through_tls(front: Front, system: System) -> None:
    numbers = range(900)
    inspector = system.program(
        "inspect",
        *(str(BIN / "pulseload"), "inspect", GUEST, "--json", "--count", str(len(numbers))),
        PULSE_DATA_INGESTION_CONFIG=front.url(system.pulse, "localhost"),
        SSL_CERT_FILE=str(front.certificate),
    )
    inspector.wait_for("listening to ")
    contents = [{"pad": "x" * (number**2 % 40_000)} for number in numbers]
    system.pulse.publish(GUEST, *contents)
    assert inspector.wait() == 0
    lines = [line for line in inspector.log.splitlines() if line.startswith("{")]
    assert [json.loads(line)["body"] for line in lines] == contents
