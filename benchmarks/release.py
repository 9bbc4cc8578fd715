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
"""How long ten thousand may take."""

LIMITED: Final = 10_000


@dataclass(frozen=True, slots=True)
class Released:
    """So many jobs of one push: of each run, the seconds to the first and to the last."""

    jobs: int
    first: Sequence[float]
    last: Sequence[float]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        jobs = f"{self.jobs:,} waiting jobs released by one push"
        rates = [self.jobs / seconds for seconds in self.last]
        most = SECONDS if self.jobs == LIMITED else None
        return [
            Figure(f"{jobs}, in order", "s", self.last, most=most),
            Figure("the first of them", "s", self.first),
            Figure("so many of them", "jobs/s", rates),
        ]


@dataclass(frozen=True, slots=True)
class Release:
    """Each size, and the worker's peak memory."""

    released: Sequence[Released]
    peak_mib: float

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        return [
            *(figure for one in self.released for figure in one.figures),
            Figure("peak memory of the worker meanwhile", "MiB", [self.peak_mib]),
        ]


def measure(ground: Ground, size: Size) -> Release:
    """Measure one push after the other, with one worker."""
    trial = ground.trial("release", PENDING_MAX_JOBS_PER_PUSH=str(max(size.released)))
    program = trial.worker()
    pushes, done, released = iter(range(10**6)), 0, []
    for jobs in size.released:
        spans = []
        for _ in range(size.runs):
            spans.append(_release(trial, program, jobs, next(pushes), done))
            done += jobs
        released.append(Released(jobs, [first for first, _ in spans], [last for _, last in spans]))
    peak = program.peak_mib
    program.end()
    return Release(released, peak)


def _release(
    trial: Trial, program: Program, jobs: int, push: int, first: int
) -> tuple[float, float]:
    """Let jobs wait, the first of which has a number, and announce their push."""
    key = load.push_key(push)
    # With a key, so that there is an order to be kept.
    waiting = (Written(load.job(first + index, push), key) for index in range(jobs))
    trial.write(topics.JOBS_INBOX, waiting)
    table = trial.changelog("pending-jobs")
    # Each job before these has written its row, and deleted it.
    trial.settle([table], 2 * first + jobs, program)
    trial.write(topics.PUSHES_INBOX, [Written(load.push_record(push), key)])
    trial.settle([topics.JOBS_JOINED], first + jobs, program)
    record = next(record for record in trial.read(topics.PUSHES_INBOX) if record.key == key)
    joined = [
        record
        for record in trial.read(topics.JOBS_JOINED)
        if record.json["push"]["revision"] == load.revision(push)
    ]
    wanted = [load.job_id(first + index).encode() for index in range(jobs)]
    if [record.key for record in joined] != wanted:
        raise Failure(f"{len(joined)} of {jobs} waiting jobs came out, or not in order")
    times = [(one.timestamp - record.timestamp) / 1_000 for one in joined]
    return min(times), max(times)
