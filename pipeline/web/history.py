"""What all processes have told about themselves in the last hour, in `pulseload-status`."""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from pipeline.runtime.restore import reader
from pulseload import kafka, status, topics
from pulseload.settings import Settings
from pulseload.status import Status

LENGTH_SECONDS: Final = 3_600
MAX_PROCESSES: Final = 256
"""How many processes are remembered; the one that was silent the longest is forgotten first."""

_KEPT: Final = int(LENGTH_SECONDS / status.SECONDS)
_RETRY_SECONDS: Final = 2.0
_WAIT_MS: Final = 500

log = logging.getLogger(__name__)

Series = Sequence[tuple[int, float]]
"""Times in ms since 1970, each with a value."""


class History:
    """The latest status of each process, and its counters over the last hour.

    `counters` are the names of metrics to keep, summed over their labels as far as the labels given
    with the name match: `name` or `name{label="value"}` (all labels, as Prometheus writes them).
    """

    def __init__(self, settings: Settings, counters: Sequence[str]) -> None:
        self.latest: dict[str, Status] = {}
        self.answered: float | None = None
        """When Kafka answered last, by the monotonic clock; None: never yet."""
        self._settings = settings
        self._counters = counters
        # By name and start: several may share a name, one after the other or by mistake.
        self._past: dict[tuple[str, int], deque[tuple[int, tuple[float, ...]]]] = {}
        self._newest = (0, 0.0)

    async def run(self) -> None:
        """Read on and on, until cancelled. While Kafka is away it shows what was read before."""
        clients = kafka.connection(self._settings)
        while True:
            try:
                async with reader(clients, wait_ms=_WAIT_MS) as consumer:
                    await self._read(consumer)
            except Exception as error:  # noqa: BLE001 - aiokafka raises this and that meanwhile
                log.debug("no status: %s", error)
            await asyncio.sleep(_RETRY_SECONDS)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        places = [
            TopicPartition(topics.STATUS, number)
            for number in range(self._settings.pulseload_partitions)
        ]
        consumer.assign(places)
        began = int((time.time() - LENGTH_SECONDS) * 1_000)
        found = await consumer.offsets_for_times(dict.fromkeys(places, began))
        for place in places:
            at = found.get(place)
            if at is not None:
                consumer.seek(place, at.offset)
            else:
                await consumer.seek_to_end(place)
        while True:
            records = await consumer.getmany(timeout_ms=1_000)
            # Without records it is not told whether Kafka is there: a question is.
            if not records:
                await asyncio.wait_for(consumer.end_offsets(places[:1]), 5)
            self.answered = time.monotonic()
            for batch in records.values():
                for record in batch:
                    one = Status.read(record.key, record.value, record.timestamp)
                    if one is not None:
                        self.take(one)

    def take(self, told: Status) -> None:
        """Take in what a process has told; what was taken before, or comes too late, is no news."""
        process = told.name, told.started
        past = self._past.get(process)
        if past is not None and told.at <= past[-1][0]:
            return
        if past is None:
            if len(self._past) == MAX_PROCESSES:
                eldest = min(self._past, key=lambda one: self._past[one][-1][0])
                del self._past[eldest]
                self.latest.pop(eldest[0], None)
            past = self._past[process] = deque(maxlen=_KEPT)
        past.append((told.at, tuple(total(told.samples, name) for name in self._counters)))
        self.latest[told.name] = told
        if told.at > self._newest[0]:
            self._newest = told.at, time.monotonic()

    def now(self) -> int:
        """Return the time (ms since 1970) by the broker's clock, which has stamped the records."""
        at, seen = self._newest
        return int(at + (time.monotonic() - seen) * 1_000) if at else int(time.time() * 1_000)

    def rates(self, counter: str, now: int, steps: int = 60) -> Series:
        """Return per step of the last hour what a counter grew per second, of all processes.

        A counter begins at 0 with its process; of one that began before the hour, what came before
        its first record within the hour is not counted.
        """
        index = self._counters.index(counter)
        length = LENGTH_SECONDS * 1_000 // steps
        start = now - LENGTH_SECONDS * 1_000
        grown = [0.0] * steps
        for (_, started), past in self._past.items():
            before = 0.0 if started >= start else past[0][1][index]
            for at, values in past:
                step = (at - start) // length
                if 0 <= step < steps:
                    grown[step] += max(0.0, values[index] - before)
                before = values[index]
        return [
            (start + (step + 1) * length, more / (length / 1_000))
            for step, more in enumerate(grown)
        ]


def total(samples: Mapping[str, float], name: str) -> float:
    """Return the sum of the samples of a metric, or of those that have a name's labels as well.

    >>> total({'a{x="1"}': 2.0, 'a{x="2"}': 3.0}, "a")
    5.0
    """
    if "{" in name:
        return samples.get(name, 0.0)
    return sum(
        value for key, value in samples.items() if key == name or key.startswith(f"{name}{{")
    )
