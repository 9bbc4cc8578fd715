"""Workers as a supervisor would run them."""

import shutil

from tests.faults.load import Event, Feeder
from tests.system.harness import Service, System


def start(system: System, name: str, session_timeout: int = 6) -> Service:
    return system.worker(
        name,
        PULSELOAD_INSTANCE_ID=name,
        PULSELOAD_SESSION_TIMEOUT=str(session_timeout),
    )


def loaded(system: System, events: list[Event], per_second: float) -> tuple[Service, Feeder]:
    """Return a worker that is at work, and what has begun to feed it."""
    worker = start(system, "one")
    worker.wait_for("ready; working")
    feeder = Feeder(system.kafka.url, events, per_second)
    feeder.start()
    return worker, feeder


def wipe(system: System, name: str) -> None:
    shutil.rmtree(system.folder / f"{name}-state", ignore_errors=True)


def restart_if_ended(service: Service) -> None:
    """Do what a supervisor does."""
    if not service.running:
        service.start()
