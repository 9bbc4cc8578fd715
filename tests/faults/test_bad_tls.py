"""Certificates and logins that are not right: programs say so in one line, and most end."""

import contextlib
import re
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ports
from local.kafka import Kafka
from tests.system.command import run
from tests.system.harness import Service, System

PASSWORDS = re.compile("not-a-secret|wrong-word")


def certificate(folder: Path, days: int) -> Path:
    """Make a certificate for `localhost` that signs itself, with its key in the same file."""
    folder.mkdir(exist_ok=True)
    key, request, made = (folder / name for name in ("key.pem", "request.pem", "made.pem"))
    (folder / "names").write_text("subjectAltName=DNS:localhost\n")
    req = (
        f"req -new -nodes -subj /CN=localhost -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 "
        f"-keyout {key} -out {request}"
    )
    # Of the two commands only this one makes what has run out already.
    x509 = (
        f"x509 -req -in {request} -signkey {key} -days {days} -extfile {folder / 'names'} "
        f"-out {made}"
    )
    for command in (req, x509):
        subprocess.run(["openssl", *command.split()], check=True, capture_output=True)
    whole = folder / f"localhost-{days}.pem"
    whole.write_text(key.read_text() + made.read_text())
    return whole


@pytest.fixture(scope="module")
def valid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("valid"), 2)


@pytest.fixture(scope="module")
def expired(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certificate(tmp_path_factory.mktemp("expired"), -1)


class Kafkas(Kafka):
    """A Kafka with three listeners: plain, with TLS, and with a login."""

    def __init__(self, folder: Path, pem: Path) -> None:
        port, controller_port, self.tls_port, self.login_port = ports.free(4)
        listeners = {
            "PLAINTEXT": port,
            "TLS": self.tls_port,
            "LOGIN": self.login_port,
        }
        addresses = ",".join(f"{name}://{ports.HOST}:{at}" for name, at in listeners.items())
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule"
        super().__init__(
            folder,
            port,
            controller_port,
            properties={
                "listeners": f"{addresses},CONTROLLER://{ports.HOST}:{controller_port}",
                "advertised.listeners": addresses,
                "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
                "TLS:SSL,LOGIN:SASL_PLAINTEXT",
                "listener.name.tls.ssl.keystore.type": "PEM",
                "listener.name.tls.ssl.keystore.location": str(pem),
                "listener.name.login.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.login.plain.sasl.jaas.config": f"{plain} required "
                'user_tester="not-a-secret";',
            },
        )


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory, valid: Path) -> Iterator[Kafkas]:
    broker = Kafkas(tmp_path_factory.mktemp("kafka"), valid)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


class TlsPort:
    """A port that begins TLS with a certificate and says no more; `handshakes` were tried."""

    def __init__(self, pem: Path) -> None:
        self.handshakes = 0
        (self.port,) = ports.free(1)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(pem)
        self._listener = ports.bind(self.port)
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self.handshakes += 1
                with connection, contextlib.suppress(OSError):
                    connection.settimeout(20)
                    with self._context.wrap_socket(connection, server_side=True) as secure:
                        secure.recv(1)

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(30)


def ended(program: Service, text: str) -> None:
    """See that it ended with one line that names the thing, and has told no password."""
    assert program.wait() == 1
    said = [line for line in program.log.splitlines() if line.startswith("pulseload: ")]
    assert len(said) == 1, program.log
    assert re.search(text, said[0]), said
    assert "Traceback" not in program.log
    assert not PASSWORDS.search(program.log)


def found(system: System, section: str, text: str, **env: str) -> None:
    """See that `pulseload check` finds one problem in a section, and tells no password."""
    done = run(system, "check", "--section", section, stdin=b"", **env)
    assert done.returncode == 1, done
    problems = [line for line in done.stdout.splitlines() if line.startswith("PROBLEM")]
    assert len(problems) == 1, done
    assert re.search(text, problems[0]), problems
    assert done.stderr == ""
    assert not PASSWORDS.search(done.stdout)


AMQP = {
    "expired": ("expired", "localhost", "?ssl=1", "certificate is not accepted: certificate has"),
    "another host": ("valid", "127.0.0.1", "?ssl=1", "not accepted: IP address mismatch"),
    "unknown authority": ("unknown", "localhost", "?ssl=1", "not accepted: self.signed"),
    "no TLS on a TLS port": (
        "valid",
        "localhost",
        "",
        r"localhost:\d+: the connection broke: .*; if this is a TLS port, write amqps:// or",
    ),
}


@pytest.mark.parametrize("case", AMQP)
def test_amqp(system: System, valid: Path, expired: Path, case: str) -> None:
    which, host, query, text = AMQP[case]
    pem = expired if which == "expired" else valid
    port = TlsPort(pem)
    try:
        url = system.pulse.url.replace(system.pulse.broker.address, f"{host}:{port.port}")
        env = {"PULSE_DATA_INGESTION_CONFIG": f"{url}{query}"}
        if which != "unknown":
            env["SSL_CERT_FILE"] = str(pem)
        ended(system.bridge(**env), text)
        found(system, "pulse", text, **env)
        assert port.handshakes >= 2
    finally:
        port.close()


def test_amqp_with_tls_on_a_port_without(system: System) -> None:
    env = {"PULSE_DATA_INGESTION_CONFIG": f"{system.pulse.url}?ssl=1"}
    ended(system.bridge(**env), "does not speak TLS")
    found(system, "pulse", "does not speak TLS", **env)


def all_end(system: System, text: str) -> None:
    """See that bridge, worker and check all say it of Kafka; at the same time, as each waits."""
    programs = system.bridge(), system.worker()
    found(system, "kafka", text)
    for program in programs:
        ended(program, text)


@pytest.mark.parametrize("listener", ["tls", "login"])
def test_kafka_that_wants_tls_or_a_login(system: System, kafka: Kafkas, listener: str) -> None:
    port = kafka.tls_port if listener == "tls" else kafka.login_port
    system.env["KAFKA_URL"] = f"kafka://127.0.0.1:{port}"
    all_end(system, f"Kafka at 127.0.0.1:{port} does not answer within 10 s: .*{port} closed")


def test_kafka_with_a_certificate_that_has_expired(system: System, expired: Path) -> None:
    port = TlsPort(expired)
    try:
        system.env |= {
            "KAFKA_URL": f"kafka://localhost:{port.port}",
            "KAFKA_SECURITY_PROTOCOL": "SSL",
            "SSL_CERT_FILE": str(expired),
        }
        place = f"Kafka at localhost:{port.port}"
        all_end(system, f"{place}: its certificate is not accepted: certificate has expired")
        # Once by each program: to try again would be in vain.
        assert port.handshakes == 3
    finally:
        port.close()


@pytest.mark.parametrize(
    ("host", "trusted", "text"),
    [
        ("127.0.0.1", True, "IP address mismatch"),
        ("localhost", False, "self.signed certificate"),
    ],
    ids=["another host", "unknown authority"],
)
def test_kafka_with_a_certificate_that_is_not_accepted(
    system: System, kafka: Kafkas, valid: Path, host: str, trusted: bool, text: str
) -> None:
    system.env |= {
        "KAFKA_URL": f"kafka://{host}:{kafka.tls_port}",
        "KAFKA_SECURITY_PROTOCOL": "SSL",
    }
    if trusted:
        system.env["SSL_CERT_FILE"] = str(valid)
    all_end(system, f"Kafka at {host}:{kafka.tls_port}: its certificate is not accepted: {text}")


def test_kafka_with_tls_on_a_port_without(system: System, kafka: Kafkas) -> None:
    system.env["KAFKA_SECURITY_PROTOCOL"] = "SSL"
    all_end(system, f"Kafka at {kafka.url} does not answer within 10 s")


def login(kafka: Kafkas, password: str) -> dict[str, str]:
    return {
        "KAFKA_URL": f"kafka://127.0.0.1:{kafka.login_port}",
        "KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "tester",
        "KAFKA_SASL_PASSWORD": password,
    }


def test_kafka_with_a_password_in_the_clear(system: System, kafka: Kafkas) -> None:
    system.env |= login(kafka, "not-a-secret")
    worker = system.worker()
    worker.wait_for("ready; working")
    assert worker.terminate() == 0
    assert worker.log.count("Sending username and password in the clear") == 1
    # The first group of all, whose coordinator is not there at once.
    assert "Group Coordinator Request failed" not in worker.log
    assert not PASSWORDS.search(worker.log)


def test_kafka_with_a_wrong_password(system: System, kafka: Kafkas) -> None:
    system.env |= login(kafka, "wrong-word")
    all_end(system, f"Kafka at 127.0.0.1:{kafka.login_port} refuses the login of 'tester'")


def test_a_login_in_kafka_url_is_refused_and_not_shown(system: System, kafka: Kafkas) -> None:
    system.env["KAFKA_URL"] = f"kafka://tester:wrong-word@127.0.0.1:{kafka.login_port}"
    text = r"KAFKA_URL is .*\*\*\*@.*; allowed: kafka://host:port"
    programs = system.bridge(), system.worker()
    found(system, "settings", text)
    for program in programs:
        ended(program, text)
