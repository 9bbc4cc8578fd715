"""Jobs per second of one worker while more and more other jobs wait for pushes that never come."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import load, throughput
from benchmarks.figures import Figure
from benchmarks.ground import Ground, Trial
from benchmarks.load import Plan
from benchmarks.size import Size
from benchmarks.throughput import Run
from benchmarks.writing import Written
from pulseload import topics

SHARE: Final = 0.9
"""How much of its speed a worker must keep while the most rows wait."""

_APART: Final = 10_000_000
"""The first number of jobs and pushes of those that wait; others are below."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """The runs of each number of rows."""

    rows: Sequence[int]
    runs: Sequence[Sequence[Run]]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        rates = [[run.jobs_per_second for run in runs] for runs in self.runs]
        busy = [[run.cpu_microseconds_per_job for run in runs] for runs in self.runs]
        shares = [most / none for none, most in zip(rates[0], rates[-1], strict=True)]
        named = [f"{rows:,} other jobs waiting" for rows in self.rows]
        figures = [
            figure
            for name, jobs, spent in zip(named, rates, busy, strict=True)
            for figure in (
                Figure(f"worker, {name}", "jobs/s", jobs),
                Figure(f"processor time per job, {name}", "µs", spent),
            )
        ]
        peak = max(run.peak_mib for run in self.runs[-1])
        return [
            *figures,
            Figure(f"with {self.rows[-1]:,} to none", "times", shares, least=SHARE),
            Figure(f"peak memory of the worker, {named[-1]}", "MiB", [peak]),
        ]


def measure(ground: Ground, size: Size) -> Waiting:
    """Measure each number of rows in turns."""
    runs: list[list[Run]] = [[] for _ in size.waiting]
    for number in range(size.runs):
        for rows, own in zip(size.waiting, runs, strict=True):
            trial = ground.trial(f"waiting-{number}-{rows}")
            _fill(trial, rows)
            own.append(_run(trial, load.plan(size.jobs)))
    return Waiting(size.waiting, runs)


def _run(trial: Trial, plan: Plan) -> Run:
    """Measure a worker that is long at work: it has counted what waits."""
    program = trial.worker()
    throughput.announce_early(trial, plan, program)
    program.freeze()
    trial.write(topics.JOBS_INBOX, map(Written, plan.jobs()))
    program.thaw()
    return throughput.through(trial, plan, program)


def _fill(trial: Trial, rows: int) -> None:
    """Let a worker bring so many jobs to wait."""
    if not rows:
        return
    jobs = (
        load.job(_APART + number, _APART + number // load.EACH, valid=True)
        for number in range(rows)
    )
    trial.write(topics.JOBS_INBOX, map(Written, jobs))
    program = trial.worker("fill")
    trial.settle([trial.changelog("pending-jobs")], rows, program)
    program.end()
