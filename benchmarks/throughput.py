"""Jobs per second of one worker with both stages, beside a plain Faust agent that does nothing.

Both read the same topic, in turns: a backlog of jobs without keys. For the worker the clock runs
from the moment it says that it is ready to the broker's time of the last output; for the agent
from the first event to the last, as it tells itself.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaProducer

from benchmarks import load
from benchmarks.figures import Figure
from benchmarks.ground import WORKER_READY, Ground, Progress, Trial
from benchmarks.load import Plan
from benchmarks.programs import Program
from benchmarks.size import Size
from benchmarks.writing import Written
from pulseload import topics
from pulseload.errors import Failure

RATIO: Final = 2.0
"""How many times as fast as nothing the whole pipeline must be."""

MEMORY_MIB: Final = 300
"""How much memory the worker may hold meanwhile."""

STUCK: Final = 30
"""Seconds without progress after which there will be none."""

_GLANCE: Final = 0.02
OUT: Final = (topics.JOBS_JOINED, topics.JOBS_DEAD_LETTER)


@dataclass(frozen=True, slots=True)
class Run:
    """One go through the backlog."""

    jobs_per_second: float
    cpu_microseconds_per_job: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Throughput:
    """The runs of both, of each pair one after the other; and which share of the jobs waited."""

    worker: Sequence[Run]
    plain: Sequence[Run]
    waited: Sequence[float]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        worker = [run.jobs_per_second for run in self.worker]
        plain = [run.jobs_per_second for run in self.plain]
        pairs = [ours / theirs for ours, theirs in zip(worker, plain, strict=True)]
        busy = [run.cpu_microseconds_per_job for run in self.worker]
        busy_plain = [run.cpu_microseconds_per_job for run in self.plain]
        return [
            Figure("worker, both stages", "jobs/s", worker),
            Figure("plain Faust agent that does nothing", "jobs/s", plain),
            Figure("worker to plain agent", "times", pairs, least=RATIO),
            Figure("processor time per job, worker", "µs", busy),
            Figure("processor time per job, plain agent", "µs", busy_plain),
            Figure("jobs that waited for their push", "%", self.waited),
            Figure(
                "peak memory of the worker",
                "MiB",
                [max(run.peak_mib for run in self.worker)],
                most=MEMORY_MIB,
            ),
            Figure(
                "peak memory of the plain agent",
                "MiB",
                [statistics.median(run.peak_mib for run in self.plain)],
            ),
        ]


def measure(ground: Ground, size: Size) -> Throughput:
    """Measure both in turns."""
    plan = load.plan(size.jobs)
    worker, plain, waited = [], [], []
    for number in range(size.runs):
        trial = ground.trial(f"throughput-{number}")
        worker.append(backlog(trial, plan))
        late = {record.key for record in trial.read(trial.changelog("pending-jobs"))}
        waited.append(100 * len(late) / size.jobs)
        plain.append(_plain(trial, size.jobs))
    return Throughput(worker, plain, waited)


def backlog(trial: Trial, plan: Plan) -> Run:
    """Measure a worker that finds all jobs of a plan at its start, their pushes known or late."""
    program = trial.worker("early")
    announce_early(trial, plan, program)
    program.end()
    trial.write(topics.JOBS_INBOX, map(Written, plan.jobs()))
    program = trial.worker()
    program.wait_for(WORKER_READY)
    return through(trial, plan, program)


def announce_early(trial: Trial, plan: Plan, program: Program) -> None:
    """Let a worker get to know the pushes that are not late, before there are any jobs."""
    trial.write(topics.PUSHES_INBOX, map(push_record, plan.early))
    trial.settle([trial.changelog("pushes")], len(plan.early), program)


def through(trial: Trial, plan: Plan, program: Program) -> Run:
    """Measure a worker that has all jobs of a plan before it, from now on, and end it."""
    began, spent = time.time(), program.cpu_seconds
    asyncio.run(announce_late(trial, plan, program, _read))
    jobs = len(plan.pushes_of)
    trial.settle(OUT, jobs, program)
    busy = (program.cpu_seconds - spent) / jobs
    peak = program.peak_mib
    program.end()
    return Run(jobs / (_check(trial, plan) - began), busy * 1e6, peak)


async def _read(progress: Progress) -> float:
    return await progress.read(topics.JOBS_VALID)


async def announce_late(
    trial: Trial, plan: Plan, program: Program, read: Callable[[Progress], Awaitable[float]]
) -> None:
    """Write each late push once as many jobs as come before it have been read by the join stage.

    `read` tells how many jobs that stage has read; where that stays the same for `STUCK` seconds,
    no more are waited for, and what is lost is found by the outputs.
    """
    before, since = -1.0, time.monotonic()
    async with (
        Progress(trial) as progress,
        AIOKafkaProducer(bootstrap_servers=trial.servers) as producer,
    ):
        for push, after in plan.late:
            # Dead letters are not read there.
            while (now := await read(progress)) < after * (1 - load.INVALID):
                program.check()
                if now != before:
                    before, since = now, time.monotonic()
                elif time.monotonic() - since > STUCK:
                    break
                await asyncio.sleep(_GLANCE)
            await producer.send(topics.PUSHES_INBOX, *push_record(push))


def push_record(push: int) -> Written:
    """Return what announces a push."""
    return Written(load.push_record(push), load.push_key(push))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came out: jobs that did not, outputs there should not be, and when the last came."""

    lost: int
    repeated: int
    ended: float


def outcome(trial: Trial, plan: Plan) -> Outcome:
    """Look at the outputs; raises Failure where one of them is not what it must be."""
    joined, dead = (trial.read(topic) for topic in OUT)
    wanted = {
        load.job_id(number): None
        if number in plan.invalid
        else (load.revision(push), load.result(number))
        for number, push in enumerate(plan.pushes_of)
    }
    found: list[tuple[str, tuple[str, str] | None]] = [
        (record.json["taskId"], None) for record in dead
    ]
    for record in joined:
        document = record.json
        job = document["job"]["taskId"]
        if record.key != job.encode():
            raise Failure(f"the output of job {job} has key {record.key!r}")
        found.append((job, (document["push"]["revision"], document["result"])))
    if strange := set(found) - wanted.items():
        raise Failure(f"{len(strange)} outputs are wrong, such as {min(strange, key=str)}")
    ended = max((record.timestamp for record in [*joined, *dead]), default=0) / 1_000
    distinct = len(set(found))
    return Outcome(len(wanted) - distinct, len(found) - distinct, ended)


def _check(trial: Trial, plan: Plan) -> float:
    """Return when the last job was written; raises Failure unless each is once where it belongs."""
    found = outcome(trial, plan)
    if found.lost or found.repeated:
        raise Failure(
            f"of {len(plan.pushes_of)} jobs {found.lost} were lost, and {found.repeated} outputs "
            "were repeats"
        )
    return found.ended


def _plain(trial: Trial, count: int) -> Run:
    argv = ["faust", "-A", "benchmarks.plain", "worker", "--without-web"]
    env = {
        "KAFKA_URL": f"kafka://{trial.servers}",
        "APP_ID": f"{trial.name}-plain",
        "COUNT": str(count),
    }
    program = trial.ground.program(f"{trial.name}-plain", argv, env)
    told = program.wait_for(r"took (\S+) s, (\S+) s of them busy")
    peak = program.peak_mib
    program.end()
    seconds, busy = (float(text) for text in told.groups())
    return Run(count / seconds, busy / count * 1e6, peak)
