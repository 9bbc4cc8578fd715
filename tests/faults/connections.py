"""Brokers behind a proxy, and programs that a supervisor starts again."""

import contextlib
import threading
from collections.abc import Iterator
from pathlib import Path

from local import ports
from local.kafka import Kafka
from tests.faults.proxy import Proxy
from tests.faults.workers import restart_if_ended
from tests.system.harness import Service


@contextlib.contextmanager
def kafka_behind_a_proxy(folder: Path) -> Iterator[tuple[Kafka, Proxy]]:
    """Run a Kafka with two listeners: its own, for the tests, and one behind a proxy.

    Kafka tells its clients where to come back to, for each listener on its own: a client that
    begins at the proxy stays there.
    """
    port, controller_port, behind, front = ports.free(4)
    own = f"PLAINTEXT://{ports.HOST}:{port}"
    broker = Kafka(
        folder,
        port,
        controller_port,
        properties={
            "listeners": f"{own},CONTROLLER://{ports.HOST}:{controller_port},"
            f"PROXIED://{ports.HOST}:{behind}",
            "advertised.listeners": f"{own},PROXIED://{ports.HOST}:{front}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,"
            "PROXIED:PLAINTEXT",
        },
    )
    try:
        broker.start()
        with Proxy(behind, front) as proxy:
            yield broker, proxy
    finally:
        broker.kill()


@contextlib.contextmanager
def supervised(*services: Service) -> Iterator[None]:
    """Start programs again whenever they end, for as long as the block runs."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.2):
            for service in services:
                restart_if_ended(service)

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
