"""How pulseload and its peers stand: the runs of each, the table of all, and their ratios."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from benchmarks.figures import Figure, aligned, number
from benchmarks.peers.catalogue import EXACTLY_ONCE

OURS = "pulseload"


@dataclass(frozen=True, slots=True)
class Run:
    """One go of one of them through the backlog, and what came out of it."""

    jobs_per_second: float
    cpu_seconds_per_100_000: float
    peak_mib: float
    lost: int = 0
    repeated: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """All runs of one of them, each of so many jobs."""

    title: str
    guarantee: str
    version: str
    jobs: int
    runs: list[Run]

    @property
    def counts(self) -> bool:
        """Whether its figures count: nothing was lost, and repeated only where that is allowed."""
        lost, repeated = (sum(values) for values in self._faults())
        return not lost and (not repeated or self.guarantee != EXACTLY_ONCE)

    def values(self, of: Callable[[Run], float]) -> list[float]:
        """Return what is wanted of each run."""
        return [of(run) for run in self.runs]

    def cells(self) -> Iterator[str]:
        """Yield its line of the table."""
        speeds = self.values(lambda run: run.jobs_per_second)
        lost, repeated = self._faults()
        yield from (self.title, self.guarantee)
        if self.counts:
            yield number(statistics.median(speeds))
            yield f"{number(min(speeds))} to {number(max(speeds))}"
            yield number(statistics.median(self.values(lambda run: run.cpu_seconds_per_100_000)))
        else:
            yield from ("does not count", "", "")
        yield number(max(self.values(lambda run: run.peak_mib)))
        yield from (number(sum(lost)), number(sum(repeated)), number(self.jobs), self.version)

    def _faults(self) -> tuple[list[int], list[int]]:
        return [run.lost for run in self.runs], [run.repeated for run in self.runs]


@dataclass(frozen=True, slots=True)
class Standings:
    """Those that were measured, by their names."""

    runs: dict[str, Standing]

    @property
    def figures(self) -> Sequence[Figure]:
        """The ratios of pulseload to each peer, of runs of the same round."""
        return [
            Figure(f"{what}, pulseload to {peer.title}, {peer.guarantee}", "times", ratios)
            for name, peer in self.runs.items()
            for what, of in (("jobs/s", _speed), ("processor time per job", _cpu))
            if (ratios := self._ratios(name, of))
        ]

    def table(self) -> str:
        """Return the table of all, as Markdown, with the median of pulseload's jobs/s to theirs."""
        head = ("", "guarantee", "jobs/s", "lowest to highest", "CPU-s per 100,000", "peak MiB")
        rows: list[tuple[str, ...]] = [
            (*head, "lost", "repeated", "jobs", "version", "pulseload to it")
        ]
        for name, one in self.runs.items():
            ratios = self._ratios(name, _speed)
            rows.append((*one.cells(), number(statistics.median(ratios)) if ratios else ""))
        return aligned(rows)

    def _ratios(self, name: str, of: Callable[[Run], float]) -> list[float]:
        """Return those of each round; none of what does not count, and to pulseload itself."""
        ours, peer = self.runs.get(OURS), self.runs[name]
        if ours is None or ours is peer or not (ours.counts and peer.counts):
            return []
        return [one / other for one, other in zip(ours.values(of), peer.values(of), strict=True)]


def _speed(run: Run) -> float:
    return run.jobs_per_second


def _cpu(run: Run) -> float:
    return run.cpu_seconds_per_100_000
