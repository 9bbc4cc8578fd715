"""How long it takes until all jobs that wait for one push are joined, once that push comes.

From the broker's time of the push's record to its time of the last joined job.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import load
from benchmarks.figures import Figure
from benchmarks.ground import Ground, Trial
from benchmarks.programs import Program
from benchmarks.size import Size
from benchmarks.writing import Written
from pulseload import topics
from pulseload.errors import Failure

SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Release:
    """Of each run, the seconds to the first and to the last job; the worker's peak memory."""

    jobs: int
    first: Sequence[float]
    last: Sequence[float]
    peak_mib: float

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        jobs = f"{self.jobs:,} waiting jobs released by one push"
        return [
            Figure(f"{jobs}, in order", "s", self.last, most=SECONDS),
            Figure("the first of them", "s", self.first),
            Figure("peak memory of the worker meanwhile", "MiB", [self.peak_mib]),
        ]


def measure(ground: Ground, size: Size) -> Release:
    """Measure one push after the other, with one worker."""
    trial = ground.trial("release")
    program = trial.worker()
    spans = [_release(trial, program, size.released, number) for number in range(size.runs)]
    peak = program.peak_mib
    program.end()
    return Release(size.released, [first for first, _ in spans], [last for _, last in spans], peak)


def _release(trial: Trial, program: Program, jobs: int, number: int) -> tuple[float, float]:
    key, first = load.push_key(number), number * jobs
    # With a key, so that there is an order to be kept.
    waiting = (Written(load.job(first + index, number), key) for index in range(jobs))
    trial.write(topics.JOBS_INBOX, waiting)
    table = trial.changelog("pending-jobs")
    # Each job before these has written its row, and deleted it.
    trial.settle([table], jobs * (2 * number + 1), program)
    trial.write(topics.PUSHES_INBOX, [Written(load.push_record(number), key)])
    trial.settle([topics.JOBS_JOINED], first + jobs, program)
    push = next(record for record in trial.read(topics.PUSHES_INBOX) if record.key == key)
    joined = [
        record
        for record in trial.read(topics.JOBS_JOINED)
        if record.json["push"]["revision"] == load.revision(number)
    ]
    wanted = [load.job_id(first + index).encode() for index in range(jobs)]
    if [record.key for record in joined] != wanted:
        raise Failure(f"{len(joined)} of {jobs} waiting jobs came out, or not in order")
    times = [(record.timestamp - push.timestamp) / 1_000 for record in joined]
    return min(times), max(times)
