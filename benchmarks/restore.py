"""Rows per second of a state restore: a worker starts, and its state folder is gone.

The rows are jobs that wait for their pushes, brought there by a worker. Beside it, aiokafka
reads the same rows and does nothing with them.
"""

import asyncio
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import load
from benchmarks.figures import Figure
from benchmarks.ground import WORKER_READY, Ground, Trial
from benchmarks.size import Size
from benchmarks.writing import Written
from pipeline.runtime.restore import FETCH_BYTES, POLL_RECORDS
from pulseload import topics
from pulseload.errors import Failure

ROWS_PER_SECOND: Final = 80_000


@dataclass(frozen=True, slots=True)
class Start:
    """A worker's start: seconds until it is ready, rows it restored and how many a second."""

    seconds: float
    rows: int
    rows_per_second: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Restore:
    """Starts with the folder gone, and as the worker had left it; rows/s that are only read."""

    gone: Sequence[Start]
    there: Sequence[Start]
    bare: Sequence[float]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        rates = [start.rows_per_second for start in self.gone]
        ratio = [ours / theirs for ours, theirs in zip(rates, self.bare, strict=True)]
        gone = [start.seconds for start in self.gone]
        there = [start.seconds for start in self.there]
        peaks = [start.peak_mib for start in self.gone]
        rows = f"{self.gone[0].rows:,} rows"
        return [
            Figure("state restore", "rows/s", rates, least=ROWS_PER_SECOND),
            Figure("aiokafka, reading the same rows", "rows/s", self.bare),
            Figure("restore to mere reading", "times", ratio),
            Figure(f"worker's start, {rows} to restore", "s", gone),
            Figure("worker's start, folder intact", "s", there),
            Figure("peak memory of the worker meanwhile", "MiB", peaks),
        ]


def measure(ground: Ground, size: Size) -> Restore:
    """Measure starts of both kinds in turns."""
    trial = ground.trial("restore")
    pushes = size.waiting_rows // load.EACH
    _fill(trial, size.waiting_rows, pushes)
    gone, there, bare = [], [], []
    for number in range(size.runs):
        shutil.rmtree(trial.state)
        gone.append(_start(trial, f"gone-{number}"))
        bare.append(asyncio.run(_read(trial)))
        there.append(_start(trial, f"there-{number}"))
        if gone[-1].rows < size.waiting_rows or there[-1].rows:
            raise Failure(
                f"{gone[-1].rows} rows were restored of at least {size.waiting_rows}, and "
                f"{there[-1].rows} where the folder was there"
            )
    _check(trial, size.waiting_rows, pushes)
    return Restore(gone, there, bare)


def _fill(trial: Trial, rows: int, pushes: int) -> None:
    """Let a worker bring so many jobs to wait."""
    waiting = (Written(load.job(number, number % pushes)) for number in range(rows))
    trial.write(topics.JOBS_INBOX, waiting)
    program = trial.worker("fill")
    table = trial.changelog("pending-jobs")
    trial.settle([table], rows, program)
    program.end()


def _start(trial: Trial, name: str) -> Start:
    began = time.monotonic()
    program = trial.worker(name)
    program.wait_for(WORKER_READY)
    seconds = time.monotonic() - began
    peak = program.peak_mib
    program.end()
    told = program.said(r"restored (\d+) rows in (\S+) s")
    if told is None:
        return Start(seconds, 0, 0.0, peak)
    rows = int(told[1])
    return Start(seconds, rows, rows / float(told[2]), peak)


async def _read(trial: Trial) -> float:
    """Read the rows as a restore does, and return how many a second."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=trial.servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        max_partition_fetch_bytes=FETCH_BYTES,
    )
    async with consumer:
        changelog = trial.changelog("pending-jobs")
        numbers = range(trial.settings.pulseload_partitions)
        places = [TopicPartition(changelog, number) for number in numbers]
        ends = await consumer.end_offsets(places)
        began, rows = time.monotonic(), 0
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        while any([await consumer.position(place) < ends[place] for place in places]):
            polled = await consumer.getmany(timeout_ms=200, max_records=POLL_RECORDS)
            rows += sum(map(len, polled.values()))
        return rows / (time.monotonic() - began)


def _check(trial: Trial, rows: int, pushes: int) -> None:
    """Announce every push, and raise Failure unless each job that waited is joined once."""
    announced = (Written(load.push_record(push), load.push_key(push)) for push in range(pushes))
    trial.write(topics.PUSHES_INBOX, announced)
    program = trial.worker("check")
    trial.settle([topics.JOBS_JOINED], rows, program)
    program.end()
    found = [record.key for record in trial.read(topics.JOBS_JOINED)]
    if sorted(map(_text, found)) != sorted(map(load.job_id, range(rows))):
        raise Failure(f"of {rows} jobs that were restored {len(found)} were joined, or not once")


def _text(key: bytes | None) -> str:
    return (key or b"").decode()
