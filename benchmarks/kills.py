"""How long nothing comes out after a worker is killed, and what it and the bridge hold meanwhile.

Jobs are published at a steady rate, every other one ahead of its push. A worker with an instance
id is killed with -9 at random moments, and started again at once as a supervisor would. A pause is
the longest time around a kill in which a read-committed consumer got no joined job.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from benchmarks import load
from benchmarks.figures import Figure
from benchmarks.ground import BRIDGE_READY, WORKER_READY, Ground, Trial
from benchmarks.programs import TIMEOUT, Program
from benchmarks.publishing import Steady
from benchmarks.size import Size
from pulseload import topics
from pulseload.errors import Failure

RATE: Final = 500
"""Jobs a second."""

WINDOW: Final = 1_000
"""How many jobs in a row share two pushes: one known before, one announced after half of them."""

APART: Final = (3.0, 9.0)
"""Seconds from one kill to the next."""


@dataclass(slots=True)
class Kills:
    """What was seen: seconds without output for each kill, and MiB held before each."""

    jobs: int
    pauses: list[float] = field(default_factory=list)
    worker_mib: list[float] = field(default_factory=list)
    bridge_mib: list[float] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    out_of_order: int = 0
    mismatched: int = 0

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        quarter = -(-len(self.bridge_mib) // 4)
        return [
            Figure(f"pause after a kill ({len(self.pauses)} kills)", "s", self.pauses, most=3),
            Figure("the longest pause", "s", [max(self.pauses)], most=10),
            Figure(f"lost of {self.jobs:,} jobs", "", [self.lost], most=0),
            Figure(f"doubled of {self.jobs:,} jobs", "", [self.doubled], most=0),
            Figure("out of their push's order", "", [self.out_of_order], most=0),
            Figure("joined with another push", "", [self.mismatched], most=0),
            Figure("worker's memory before a kill", "MiB", self.worker_mib),
            Figure("bridge's memory, first quarter", "MiB", self.bridge_mib[:quarter]),
            Figure("bridge's memory, last quarter", "MiB", self.bridge_mib[-quarter:]),
        ]


def measure(ground: Ground, size: Size) -> Kills:
    """Kill a worker as often as `size` says, and look at each job's end."""
    trial = ground.trial("kills")
    trial.env["PULSELOAD_INSTANCE_ID"] = "one"
    bridge, worker = trial.bridge(), trial.worker()
    bridge.wait_for(BRIDGE_READY)
    worker.wait_for(WORKER_READY)
    dice = random.Random(size.kills)
    waits = [dice.uniform(*APART) for _ in range(size.kills)]
    found = Kills(int(RATE * (sum(waits) + APART[1])))
    asyncio.run(_measure(trial, found, waits, bridge, worker))
    bridge.end()
    worker.end()
    return found


async def _measure(
    trial: Trial, found: Kills, waits: Sequence[float], bridge: Program, worker: Program
) -> None:
    publishing = Steady(trial.ground.rabbitmq.url, RATE, _jobs(found.jobs))
    arrivals: list[float] = []
    came: Counter[bytes | None] = Counter()
    reading = asyncio.create_task(_read(trial, found, arrivals, came))
    announcing = asyncio.create_task(_announce(trial, found.jobs))
    publishing.start()
    killed: list[float] = []
    for wait in waits:
        await asyncio.sleep(wait)
        found.worker_mib.append(worker.mib)
        found.bridge_mib.append(bridge.mib)
        worker.kill()
        killed.append(time.monotonic())
        worker.start()
    await announcing
    await reading
    names = {load.job_id(number).encode() for number in range(found.jobs)}
    found.lost = len(names - came.keys())
    found.doubled = sum(count > 1 for count in came.values())
    if unknown := came.keys() - names:
        raise Failure(f"{len(unknown)} jobs came that were not published")
    # What never came back is a pause until the end.
    ended = time.monotonic()
    gaps = list(pairwise([*arrivals, ended] if found.lost else arrivals))
    for at, until in zip(killed, [*killed[1:], ended], strict=True):
        found.pauses.append(max(b - a for a, b in gaps if b > at and a < until))


def _jobs(count: int) -> Iterator[tuple[str, bytes]]:
    for number in range(count):
        yield load.job_id(number), load.job(number, _push(number))


def _push(number: int) -> int:
    return number // WINDOW * 2 + number % 2


async def _announce(trial: Trial, jobs: int) -> None:
    """Announce even pushes before their jobs, odd ones after half of them."""
    async with AIOKafkaProducer(bootstrap_servers=trial.servers, acks="all") as producer:
        began = time.monotonic()
        for window in range(-(-jobs // WINDOW)):
            for push, late in ((2 * window, -0.5), (2 * window + 1, 0.5)):
                due = began + (window + late) * WINDOW / RATE
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                await producer.send_and_wait(
                    topics.PUSHES_INBOX, load.push_record(push), load.push_key(push)
                )


async def _read(
    trial: Trial, found: Kills, arrivals: list[float], came: Counter[bytes | None]
) -> None:
    """Read until each job has come, and a little longer: what is doubled may come late."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=trial.servers,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
    )
    async with consumer:
        numbers = range(trial.settings.pulseload_partitions)
        consumer.assign([TopicPartition(topics.JOBS_JOINED, number) for number in numbers])
        numbers_of = {load.job_id(number).encode(): number for number in range(found.jobs)}
        latest: dict[str, int] = {}
        last = time.monotonic()
        while len(came) < found.jobs or time.monotonic() - last < APART[1]:
            if time.monotonic() - last > TIMEOUT / 10:
                return
            for records in (await consumer.getmany(timeout_ms=100)).values():
                last = time.monotonic()
                arrivals.append(last)
                for record in records:
                    document = orjson.loads(record.value)
                    push, number = document["push"]["revision"], numbers_of.get(record.key, -1)
                    found.mismatched += document["job"]["origin"]["revision"] != push
                    found.out_of_order += number < latest.get(push, -1)
                    latest[push] = number
                    came[record.key] += 1
