"""`bin/bench`: measure, print a table, and write the results as JSON."""

import argparse
import json
import logging
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, cast

from benchmarks import (
    bridge,
    comparison,
    kills,
    latency,
    plot,
    release,
    restore,
    scaling,
    throughput,
    waiting,
)
from benchmarks.figures import Figure, Measure, Result, table
from benchmarks.ground import Ground
from benchmarks.size import FULL, QUICK
from benchmarks.standings import Standings
from local import ROOT
from local.kafka import version
from pulseload.errors import Failure

MEASUREMENTS: Final[dict[str, Measure]] = {
    "throughput": throughput.measure,
    "peers": comparison.measure,
    "restore": restore.measure,
    "release": release.measure,
    "bridge": bridge.measure,
    "latency": latency.measure,
    "waiting": waiting.measure,
    "scaling": scaling.measure,
    "kills": kills.measure,
}


def _arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bin/bench",
        description="Measure pulseload and its peers on a real Kafka and a real RabbitMQ, on free "
        "ports and in a temporary folder. Nothing is left running.",
        epilog="Ends with 1 where a figure is not as it must be; with --quick none is judged.",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=MEASUREMENTS,
        metavar="NAME",
        help=f"measure this alone (may be given again): {', '.join(MEASUREMENTS)}",
    )
    parser.add_argument(
        "--peer",
        action="append",
        choices=comparison.NAMES,
        metavar="NAME",
        help=f"of the peers measure this alone (may be given again): {', '.join(comparison.NAMES)}",
    )
    parser.add_argument("--quick", action="store_true", help="only see whether all of it works")
    parser.add_argument(
        "--runs", type=int, metavar="N", help=f"runs of each ({FULL.runs}; of peers {FULL.rounds})"
    )
    parser.add_argument(
        "--rows", type=int, metavar="N", help=f"rows to restore ({FULL.waiting_rows})"
    )
    parser.add_argument("--kills", type=int, metavar="N", help=f"kills of a worker ({FULL.kills})")
    parser.add_argument(
        "--output",
        type=Path,
        default=ROOT / "benchmarks/results.json",
        metavar="FILE",
        help="where the results go (benchmarks/results.json)",
    )
    parser.add_argument(
        "--plot",
        type=Path,
        metavar="FILE",
        help="measure nothing: draw the peers' jobs/s from the results as an SVG",
    )
    arguments = parser.parse_args(given)
    for name in ("runs", "rows", "kills"):
        number = getattr(arguments, name)
        if number is not None and number < 1:
            parser.error(f"--{name} must be at least 1")
    return arguments


def _machine() -> dict[str, Any]:
    return {
        "processors": os.cpu_count(),
        "load average before": os.getloadavg()[0],
        "python": platform.python_version(),
        "kafka": version(),
    }


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Measure and print what the arguments ask for, write it to the file, return the figures."""
    size = QUICK if arguments.quick else FULL
    size = replace(
        size,
        runs=arguments.runs or size.runs,
        rounds=arguments.runs or size.rounds,
        peers=tuple(arguments.peer or comparison.NAMES),
        waiting_rows=arguments.rows or size.waiting_rows,
        kills=arguments.kills or size.kills,
    )
    results: dict[str, Any] = {}
    figures: list[Figure] = []
    machine = _machine()
    ground = Ground(Path(tempfile.mkdtemp(prefix="pulseload-bench-")))
    try:
        ground.start()
        for name in arguments.only or MEASUREMENTS:
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            result = MEASUREMENTS[name](ground, size)
            print(f"\n{name}\n\n{_shown(result)}\n", flush=True)
            figures += result.figures
            results[name] = {
                "figures": [figure.document() for figure in result.figures],
                "measured": asdict(cast(Any, result)),
            }
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        ground.close()
    document = {"machine": machine, "size": asdict(size), "results": results}
    arguments.output.write_text(json.dumps(document, indent=2) + "\n")
    return figures


def _shown(result: Result) -> str:
    figures = table(result.figures)
    return f"{result.table()}\n\n{figures}" if isinstance(result, Standings) else figures


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the benchmarks."""
    arguments = _arguments()
    # It tells of every attempt that Kafka refuses while topics are new.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        if arguments.plot:
            plot.write(arguments.output, arguments.plot)
            return
        figures = run(arguments)
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    if not arguments.quick and any(figure.met is False for figure in figures):
        sys.exit(1)


if __name__ == "__main__":
    main()
