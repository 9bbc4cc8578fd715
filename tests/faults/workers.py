"""Workers as a supervisor would run them."""

import random
import shutil
import time
from collections.abc import Mapping

from local import ROOT
from pipeline.runtime.steps import Step
from tests import ledger
from tests.faults.load import Event, Feeder
from tests.system.harness import BIN, Service, System


def start(system: System, name: str, session_timeout: int = 6) -> Service:
    return system.worker(
        name,
        PULSELOAD_INSTANCE_ID=name,
        PULSELOAD_SESSION_TIMEOUT=str(session_timeout),
    )


def crash(system: System, stage: str, step: Step, count: int, later: int = 0) -> Service:
    """Start a worker that ends at a step; it shares state and identity with the worker `one`."""
    ledger.note("crashes at a step")
    return system.program(
        "one",
        str(BIN / "faust"),
        *("-A", "tests.faults.crashing", "worker"),
        PYTHONPATH=str(ROOT),
        PULSELOAD_HOME=str(system.folder / "one-state"),
        PULSELOAD_INSTANCE_ID="one",
        PULSELOAD_SESSION_TIMEOUT="6",
        CRASH_STAGE=stage,
        CRASH_STEP=step,
        CRASH_COUNT=str(count),
        CRASH_MS=str(later),
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


def kill_one(system: System, services: Mapping[str, Service], dice: random.Random) -> None:
    """Kill a worker after a while, now and then with its state, and start again what has ended."""
    time.sleep(dice.uniform(0.3, 2.5))
    name = dice.choice(list(services))
    services[name].kill()
    if dice.random() < 0.3:
        wipe(system, name)
    for service in services.values():
        restart_if_ended(service)
