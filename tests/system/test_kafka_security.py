"""The whole of pulseload over TLS and a login, the password from a file."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ports
from local.kafka import Kafka
from pulseload import topics
from tests.examples import body, job, push
from tests.system.bridging import started
from tests.system.command import failed, run
from tests.system.harness import System
from tests.system.pulse import Pulse

PASSWORD = "not-a-secret"
LOGIN = "org.apache.kafka.common.security.plain.PlainLoginModule"


class SecureKafka(Kafka):
    """A Kafka with one listener more, for TLS and a login; `authority` is whom to trust for it."""

    def __init__(self, folder: Path) -> None:
        port, controller_port, self.secure_port = ports.free(3)
        self.authority = folder / "certificate.pem"
        whole = folder / "whole.pem"
        listeners = f"PLAINTEXT://127.0.0.1:{port},SECURE://localhost:{self.secure_port}"
        super().__init__(
            folder,
            port,
            controller_port,
            properties={
                "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller_port}",
                "advertised.listeners": listeners,
                "listener.security.protocol.map": (
                    "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL"
                ),
                "listener.name.secure.ssl.keystore.type": "PEM",
                "listener.name.secure.ssl.keystore.location": str(whole),
                "listener.name.secure.sasl.enabled.mechanisms": "PLAIN",
                "listener.name.secure.plain.sasl.jaas.config": (
                    f'{LOGIN} required user_loader="{PASSWORD}";'
                ),
            },
        )
        key = folder / "key.pem"
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
                *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-addext", "subjectAltName=DNS:localhost"),
                *("-keyout", str(key), "-out", str(self.authority)),
            ],
            check=True,
            capture_output=True,
        )
        whole.write_text(key.read_text() + self.authority.read_text())


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    broker = SecureKafka(tmp_path_factory.mktemp("secure"))
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def secure(kafka: SecureKafka, pulse: Pulse, tmp_path: Path) -> Iterator[System]:
    """A system whose programs know the secure listener only."""
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    own = System(kafka, pulse, tmp_path)
    own.prepare()
    own.env |= {
        "KAFKA_URL": f"kafka://localhost:{kafka.secure_port}",
        "KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "KAFKA_SASL_MECHANISM": "PLAIN",
        "KAFKA_SASL_USERNAME": "loader",
        "KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password"),
        "SSL_CERT_FILE": str(kafka.authority),
    }
    try:
        yield own
    finally:
        own.close()
    for service in own.services:
        assert PASSWORD not in service.log


def test_a_job_goes_all_the_way(secure: System) -> None:
    assert run(secure, "topics").returncode == 0
    worker = secure.worker()
    bridge = started(secure)
    secure.pulse.publish("exchange/taskcluster-treeherder/v1/jobs", body(job()))
    secure.produce(topics.PUSHES_INBOX, body(push()))
    secure.read(topics.JOBS_JOINED, count=1)
    assert (worker.terminate(), bridge.terminate()) == (0, 0)


def test_a_wrong_password_is_told_at_once_and_in_one_line(secure: System) -> None:
    (secure.folder / "password").write_text("wrong")
    line = failed(run(secure, "topics"))
    assert "refuses the login of 'loader' by PLAIN" in line
    assert "wrong" not in line
    worker = secure.worker()
    assert worker.wait() == 1
    assert "refuses the login of 'loader' by PLAIN" in worker.log
