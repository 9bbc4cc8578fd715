"""Jobs per second of pulseload and its peers: the same work, jobs and broker, one after the other.

A run is as in `throughput`: pushes that are not late are known before, the jobs are a backlog, and
a late push comes once the join has read the last of its jobs. The clock runs from the moment a
program says that it is ready to the broker's time of its last output. Each round begins with
another of them.
"""

import asyncio
import json
import sys
import time
from importlib import metadata
from typing import Final

import schemas
from benchmarks import load, throughput
from benchmarks.figures import number
from benchmarks.ground import QUIET, Ground, Progress, Trial
from benchmarks.load import Plan
from benchmarks.peers.catalogue import EXACTLY_ONCE, PEERS, Peer
from benchmarks.programs import TIMEOUT, Program
from benchmarks.size import Size
from benchmarks.standings import OURS, Run, Standing, Standings
from benchmarks.throughput import Outcome
from benchmarks.writing import Written
from pulseload import topics
from pulseload.errors import Failure

READY: Final = r"(?m)^ready$"
JOINING: Final = r"(?m)^joining (\d+)$"

NAMES: Final = (OURS, *PEERS)

PATIENCE: Final = 20
"""Seconds without output after which what has not come is lost; some commit each 5 s."""

_GLANCE: Final = 0.05


def measure(ground: Ground, size: Size) -> Standings:
    """Measure those that `size` names in turns."""
    runs = {name: _none_of(name, size) for name in size.peers}
    for turn in range(size.rounds):
        first = turn % len(size.peers)
        for name in [*size.peers[first:], *size.peers[:first]]:
            trial = ground.trial(f"peers-{name}-{turn}")
            plan = load.plan(runs[name].jobs)
            run = _go_ours(trial, plan) if name == OURS else _go(trial, PEERS[name], plan)
            trial.clear()
            runs[name].runs.append(run)
            print(f"  {name}: {number(run.jobs_per_second)} jobs/s", file=sys.stderr, flush=True)
    return Standings(runs)


def _none_of(name: str, size: Size) -> Standing:
    if name == OURS:
        return Standing(OURS, EXACTLY_ONCE, metadata.version(OURS), size.compared, [])
    peer = PEERS[name]
    peer.environment.prepare()
    jobs = int(size.compared * peer.share)
    return Standing(peer.title, peer.guarantee, peer.environment.version, jobs, [])


def _go_ours(trial: Trial, plan: Plan) -> Run:
    run = throughput.backlog(trial, plan)
    return Run(run.jobs_per_second, run.cpu_microseconds_per_job / 10, run.peak_mib)


def _go(trial: Trial, peer: Peer, plan: Plan) -> Run:
    trial.write(topics.PUSHES_INBOX, map(throughput.push_record, plan.early))
    early = _start(trial, peer, "early")
    early.wait_for(READY)
    asyncio.run(_known(trial, len(plan.early), early))
    early.end()
    trial.write(topics.JOBS_INBOX, map(Written, plan.jobs()))
    program = _start(trial, peer, "run")
    program.wait_for(READY)
    began, spent = time.time(), program.cpu_seconds

    async def read(_: Progress) -> float:
        told = program.told(JOINING)
        return float(told[-1]) if told else 0

    asyncio.run(throughput.announce_late(trial, plan, program, read))
    found, busy = asyncio.run(_finish(trial, plan, program))
    peak = program.peak_mib
    program.end()
    jobs = len(plan.pushes_of)
    return Run(
        jobs / (found.ended - began),
        (busy - spent) / jobs * 100_000,
        peak,
        found.lost,
        found.repeated,
    )


def _start(trial: Trial, peer: Peer, name: str) -> Program:
    schema = trial.ground.home / "job.json"
    schema.write_text(json.dumps(schemas.load("pulse-job")))
    env = {
        "SERVERS": trial.servers,
        "APP": trial.name,
        "STATE": str(trial.state),
        "SCHEMA": str(schema),
        "GUARANTEE": peer.guarantee,
    }
    trial.state.mkdir(exist_ok=True)
    return trial.ground.program(f"{trial.name}-{name}", peer.environment.command, env)


async def _known(trial: Trial, count: int, program: Program) -> None:
    """Wait until the trial's group has committed that it has read all pushes."""
    end = time.monotonic() + TIMEOUT
    async with Progress(trial) as progress:
        while await progress.read(topics.PUSHES_INBOX) < count:
            program.check()
            if time.monotonic() > end:
                raise Failure(f"{program.name} has not read {count} pushes after {TIMEOUT} s")
            await asyncio.sleep(_GLANCE)


async def _finish(trial: Trial, plan: Plan, program: Program) -> tuple[Outcome, float]:
    """Wait for the last output; return what came out, and the processor time until then."""
    async with Progress(trial) as progress:
        before, since, busy, looked = -1, time.monotonic(), 0.0, False
        while True:
            now = await progress.of(throughput.OUT)
            quiet = time.monotonic() - since
            waited = quiet > PATIENCE
            if now != before:
                before, since, busy, looked = now, time.monotonic(), program.cpu_seconds, False
            elif waited or (now >= len(plan.pushes_of) and quiet > QUIET and not looked):
                # Transactions' marks count as records: some outputs may still be to come.
                found = await asyncio.to_thread(throughput.outcome, trial, plan)
                looked = True
                if waited or not found.lost:
                    return found, busy
            program.check()
            await asyncio.sleep(_GLANCE)
