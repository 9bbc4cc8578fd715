"""`bin/up`: brokers, bridge and worker, kept running in the background."""

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ROOT, exchanges, kafka, ports, sample
from local.stack import Ports, Stack
from pulseload.errors import Failure


def stack() -> Stack:
    """Return the stack that the environment names, started or not; raises Failure."""
    home = Path(os.environ.get("PULSELOAD_HOME") or ROOT / ".local").absolute()
    home.mkdir(parents=True, exist_ok=True)
    return Stack(home, Ports.chosen(os.environ), os.environ, Path.cwd())


@contextmanager
def alone(home: Path) -> Iterator[None]:
    """Let only one `bin/up` or `bin/down` at a time work on a home."""
    with (home / "up.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up(mine: Stack, *, brokers_only: bool) -> None:
    """Start what does not run. Where that fails, stop again what this call started."""
    before = mine.running
    try:
        mine.start_brokers()
        if not brokers_only:
            mine.start_programs()
    except BaseException:
        mine.stop(*(name for name in mine.running if name not in before))
        raise


def report(mine: Stack) -> str:
    """Return what runs now, at which addresses, and what to try next."""
    host, numbers = ports.HOST, mine.ports
    lines = [
        f"Kafka     {mine.kafka.url}",
        f"RabbitMQ  {mine.rabbitmq.url}",
        f"          http://{host}:{numbers.management}/ (its web page: user guest, password guest)",
        f"inside    {host}:{numbers.controller} (Kafka's controller)",
        f"          {host}:{numbers.dist}, {host}:{numbers.dist + 1} (Erlang)",
        f"Pulse     {', '.join(exchanges.needed(mine.settings))}",
    ]
    if mine.bridge.running:
        lines.append(f"bridge    from {mine.settings.pulse_url_shown}")
        lines.append(f"          {mine.metrics} (its metrics and health)")
    if mine.worker.running:
        lines.append(f"worker    stages {', '.join(mine.settings.pulseload_stages)}")
        lines.append(f"page      {mine.page}")
    lines.append(f"logs      {mine.home}/*.log")
    return "\n".join([*lines, "", "Try next:", *(f"  {step}" for step in _steps(mine))])


def _steps(mine: Stack) -> Iterator[str]:
    if not (mine.bridge.running and mine.worker.running):
        url = mine.settings.pulse_data_ingestion_config
        yield f"export KAFKA_URL={mine.settings.kafka_url} PULSE_DATA_INGESTION_CONFIG='{url}'"
        yield ".venv/bin/pulseload bridge"
        yield ".venv/bin/faust -A pipeline worker"
    files = mine.home / "sample"
    port = "" if mine.ports.kafka == kafka.PORT else f"KAFKA_PORT={mine.ports.kafka} "
    write = f"{port}bin/kafka-console-producer --topic"
    yield f".venv/bin/pulseload publish try.staging {mine.rabbitmq.url} {files}/job.json"
    yield f"{write} jobs.inbox < {files}/jobs.ndjson"
    yield f"{write} pushes.inbox < {files}/pushes.ndjson   # the pushes that they wait for"
    yield (
        f"{port}bin/kafka-console-consumer --topic jobs.joined --from-beginning "
        "--isolation-level read_committed"
    )
    yield "bin/down"


def main() -> None:
    """Start everything, and say what runs."""
    parser = argparse.ArgumentParser(
        prog="bin/up",
        description="Start a real Kafka and a real RabbitMQ on 127.0.0.1, a bridge and a worker, "
        "and leave them running. What runs already stays. bin/down stops them.",
        epilog="Environment: PULSELOAD_HOME (.local) keeps data and logs; KAFKA_PORT (9092) and "
        "AMQP_PORT (5672) are the ports; the other settings are bridge's and worker's.",
    )
    parser.add_argument(
        "--brokers-only", action="store_true", help="no bridge and no worker: start your own"
    )
    chosen = parser.parse_args()
    try:
        mine = stack()
        with alone(mine.home):
            up(mine, brokers_only=chosen.brokers_only)
            for name, content in sample.files().items():
                (mine.home / "sample").mkdir(exist_ok=True)
                (mine.home / "sample" / name).write_bytes(content)
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(report(mine))


if __name__ == "__main__":
    main()
