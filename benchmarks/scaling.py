"""How throughput and processor time change with the number of workers and of partitions.

Workers stand ready and idle when the jobs are written, whose pushes are known. The rate is that of
the middle eighty of a hundred jobs, by the broker's times. Workers, Kafka and the writer share the
machine: that nothing grows faster than the work is told by the processor time per job.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks import load
from benchmarks.figures import Figure
from benchmarks.ground import WORKER_READY, Ground
from benchmarks.size import Size
from benchmarks.writing import Written
from pulseload import topics
from pulseload.errors import Failure

USUAL_PARTITIONS = 4


@dataclass(frozen=True, slots=True)
class Setup:
    """Workers and partitions, and of each run the rate and what all workers together spent."""

    workers: int
    partitions: int
    jobs_per_second: Sequence[float]
    cpu_microseconds_per_job: Sequence[float]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        name = f"{self.workers} workers, {self.partitions} partitions"
        return [
            Figure(name, "jobs/s", self.jobs_per_second),
            Figure(f"{name}: processor time per job", "µs", self.cpu_microseconds_per_job),
        ]


@dataclass(frozen=True, slots=True)
class Scaling:
    """Each setup."""

    setups: Sequence[Setup]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        return [figure for one in self.setups for figure in one.figures]


def measure(ground: Ground, size: Size) -> Scaling:
    """Measure setups in turns: several workers, then several numbers of partitions."""
    wanted = [(workers, max(USUAL_PARTITIONS, 2 * workers)) for workers in size.workers]
    wanted += [(1, number) for number in size.partitions if (1, number) not in wanted]
    found: list[list[tuple[float, float]]] = [[] for _ in wanted]
    for number in range(size.runs):
        for (workers, partitions), runs in zip(wanted, found, strict=True):
            name = f"scaling-{number}-{workers}-{partitions}"
            runs.append(_run(ground, name, workers, partitions, size.jobs))
    return Scaling(
        [
            Setup(*one, [rate for rate, _ in runs], [busy for _, busy in runs])
            for one, runs in zip(wanted, found, strict=True)
        ]
    )


def _run(
    ground: Ground, name: str, workers: int, partitions: int, jobs: int
) -> tuple[float, float]:
    trial = ground.trial(name, PULSELOAD_PARTITIONS=str(partitions))
    pushes = jobs // load.EACH
    known = (Written(load.push_record(push), load.push_key(push)) for push in range(pushes))
    trial.write(topics.PUSHES_INBOX, known)
    programs = [trial.worker(f"worker-{number}") for number in range(workers)]
    for program in programs:
        program.wait_for(WORKER_READY)
    trial.settle([trial.changelog("pushes")], pushes, *programs)
    spent = sum(program.cpu_seconds for program in programs)
    trial.write(
        topics.JOBS_INBOX, (Written(load.job(number, number % pushes)) for number in range(jobs))
    )
    trial.settle([topics.JOBS_JOINED], jobs, *programs)
    busy = sum(program.cpu_seconds for program in programs) - spent
    for program in programs:
        program.end()
    records = trial.read(topics.JOBS_JOINED)
    found = sorted((record.key or b"").decode() for record in records)
    if found != sorted(map(load.job_id, range(jobs))):
        raise Failure(f"of {jobs} jobs {len(records)} were joined, or not each of them once")
    times = sorted(record.timestamp for record in records)
    tenth = jobs // 10
    seconds = (times[-tenth] - times[tenth]) / 1_000
    return (jobs - 2 * tenth) / seconds, busy / jobs * 1e6
