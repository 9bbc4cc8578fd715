"""Fixtures that several modules of tests on real brokers use."""

from collections.abc import Iterator

import pytest

from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from tests.system.harness import System, memory_peak
from tests.system.judging import Judge
from tests.system.pulse import Pulse


@pytest.fixture(scope="module")
def judge(
    kafka: Kafka, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Judge]:
    """One worker for all of it: what a test sends it must leave it as it was."""
    rabbitmq.start()
    system = System(kafka, Pulse(rabbitmq, "judge"), tmp_path_factory.mktemp("judge"))
    try:
        judge = Judge(system.prepare())
        yield judge
        assert judge.worker.running
        assert "Traceback" not in judge.worker.log
        assert memory_peak(judge.worker) < 300
        assert judge.worker.terminate() == 0
    finally:
        system.close()
        rabbitmq.delete_vhost("judge")
