"""How long a job takes from Pulse to `jobs.joined`, at a steady rate, its push being known.

From the moment a message was to be published (not that it was, or a stall would hide itself) to
the moment a read-committed consumer has the joined job.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from benchmarks import load
from benchmarks.figures import Figure, percentile
from benchmarks.ground import BRIDGE_READY, WORKER_READY, Ground, Trial
from benchmarks.programs import TIMEOUT
from benchmarks.publishing import Steady
from benchmarks.size import Size
from benchmarks.writing import Written
from pulseload import topics
from pulseload.errors import Failure

RATES: Final = (50, 500, 2_000)
"""Messages a second."""

MOST: Final = {(500, "p50"): 100.0, (500, "p99"): 300.0}
"""How many milliseconds it may take."""

PUSHES: Final = 20


@dataclass(frozen=True, slots=True)
class Taken:
    """What a steady rate, in messages a second, gave: milliseconds."""

    rate: int
    p50: float
    p99: float
    p999: float
    longest: float


@dataclass(frozen=True, slots=True)
class Latency:
    """One result for each rate."""

    steady: Sequence[Taken]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        return [
            Figure(
                f"Pulse to jobs.joined at {one.rate:,}/s, {name}",
                "ms",
                [value],
                most=MOST.get((one.rate, name)),
            )
            for one in self.steady
            for name, value in (("p50", one.p50), ("p99", one.p99), ("p99.9", one.p999))
        ]


def measure(ground: Ground, size: Size) -> Latency:
    """Measure one rate after the other, with one bridge and one worker."""
    trial = ground.trial("latency")
    known = [Written(load.push_record(push), load.push_key(push)) for push in range(PUSHES)]
    trial.write(topics.PUSHES_INBOX, known)
    bridge, worker = trial.bridge(), trial.worker()
    bridge.wait_for(BRIDGE_READY)
    worker.wait_for(WORKER_READY)
    steady, first = [], 0
    # The first second of both is not what a steady rate is.
    for rate, seconds in [(RATES[0], 1), *((rate, size.seconds) for rate in RATES)]:
        taken = asyncio.run(_steady(trial, rate, range(first, first + rate * seconds)))
        first += rate * seconds
        steady.append(
            Taken(
                rate,
                percentile(taken, 50),
                percentile(taken, 99),
                percentile(taken, 99.9),
                max(taken),
            )
        )
    bridge.end()
    worker.end()
    return Latency(steady[1:])


async def _steady(trial: Trial, rate: int, numbers: range) -> list[float]:
    """Publish jobs at a rate, and return how many milliseconds each took."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=trial.servers, isolation_level="read_committed", enable_auto_commit=False
    )
    async with consumer:
        partitions = range(trial.settings.pulseload_partitions)
        places = [TopicPartition(topics.JOBS_JOINED, number) for number in partitions]
        consumer.assign(places)
        await consumer.seek_to_end(*places)
        arrived: dict[bytes | None, float] = {}
        came = 0
        jobs = ((load.job_id(number), load.job(number, number % PUSHES)) for number in numbers)
        publishing = Steady(trial.ground.rabbitmq.url, rate, jobs)
        publishing.start()
        end = time.monotonic() + TIMEOUT
        while len(arrived) < len(numbers):
            if time.monotonic() > end:
                raise Failure(f"{len(arrived)} of {len(numbers)} jobs have come")
            for records in (await consumer.getmany(timeout_ms=200)).values():
                now = time.monotonic()
                came += len(records)
                arrived |= {record.key: now for record in records}
        publishing.join()
    due = publishing.due
    if came != len(due) or arrived.keys() != due.keys():
        raise Failure(f"{came} jobs came of {len(due)}, or others than were published")
    return [1_000 * (arrived[key] - due[key]) for key in due]
