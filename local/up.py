"""`bin/up`: brokers, bridge and worker, kept running in the background."""

import argparse
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local import ROOT, exchanges, ports
from local.stack import Ports, Stack
from pulseload.errors import Failure

PROGRAMS = ("worker", "bridge")


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
        f"Kafka       {mine.kafka.url}",
        f"RabbitMQ    {mine.rabbitmq.url}",
        f"            http://{host}:{numbers.management}/ (its web page; user and password guest)",
        f"            {', '.join(exchanges.needed(mine.settings))}",
        (
            f"inside      {host}:{numbers.controller} (Kafka's controller), "
            f"{host}:{numbers.dist} and {host}:{numbers.dist + 1} (Erlang)"
        ),
    ]
    running = [name for name in PROGRAMS if name in mine.running]
    if "bridge" in running:
        lines.append(f"bridge      reads {mine.settings.pulse_url_shown}")
    lines.append(f"logs        {mine.home}/*.log")
    lines += ["", "Try next:"]
    if len(running) == len(PROGRAMS):
        url = mine.settings.pulse_data_ingestion_config
        lines += [
            f"  .venv/bin/pulseload publish try.staging {url} job.json"
            if url == mine.rabbitmq.url
            else "  .venv/bin/pulseload check",
            "  bin/kafka-console-producer --topic jobs.inbox < jobs.ndjson",
            (
                "  bin/kafka-console-consumer --topic jobs.joined --from-beginning"
                " --isolation-level read_committed"
            ),
        ]
    else:
        lines += [
            (
                f"  export KAFKA_URL=kafka://{mine.kafka.url}"
                f" PULSE_DATA_INGESTION_CONFIG={mine.rabbitmq.url}"
            ),
            "  .venv/bin/pulseload bridge",
            "  .venv/bin/faust -A pipeline worker",
        ]
    return "\n".join([*lines, "  bin/down"])


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
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(report(mine))


if __name__ == "__main__":
    main()
