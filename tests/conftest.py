"""Fixtures of the tests on real brokers; a test that asks for none starts none."""

import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from local import ports
from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from tests import ledger
from tests.system.harness import System
from tests.system.pulse import Pulse

_vhosts = itertools.count(1)


def pytest_configure() -> None:
    """Open the ledger, before the processes start that write into it."""
    if ledger.PLACE not in os.environ:
        handle, os.environ[ledger.PLACE] = tempfile.mkstemp(prefix="pulseload-ledger-")
        os.close(handle)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell what the run has done."""
    if hasattr(terminalreporter.config, "workerinput"):
        return
    if found := ledger.told():
        terminalreporter.write_line(f"in this run: {found}")
    Path(os.environ[ledger.PLACE]).unlink()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running Kafka, empty when a module's tests begin."""
    port, controller_port = ports.free(2)
    broker = Kafka(tmp_path_factory.mktemp("kafka"), port, controller_port)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@pytest.fixture(scope="session")
def rabbitmq(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RabbitMQ]:
    """A running RabbitMQ."""
    port, management_port, dist_port, _ = ports.free(4)
    broker = RabbitMQ(tmp_path_factory.mktemp("rabbitmq"), port, management_port, dist_port)
    try:
        broker.start()
        yield broker
    finally:
        broker.kill()


@pytest.fixture
def pulse(rabbitmq: RabbitMQ) -> Iterator[Pulse]:
    """A Pulse that is this test's alone; RabbitMQ is started again if a test stopped it."""
    rabbitmq.start()
    own = Pulse(rabbitmq, f"pulse-{next(_vhosts)}")
    yield own
    rabbitmq.start()
    rabbitmq.delete_vhost(own.vhost)


@pytest.fixture
def system(kafka: Kafka, pulse: Pulse, tmp_path: Path) -> Iterator[System]:
    """Brokers with fresh topics and exchanges, for programs that end with the test."""
    kafka.start()
    own = System(kafka, pulse, tmp_path)
    try:
        yield own.prepare()
    finally:
        own.close()
