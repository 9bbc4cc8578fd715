"""Looks at a worker's tasks every few seconds: how far they are behind, whether they get on."""

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from aiokafka import TopicPartition

from pipeline.runtime.ownership import Ownership
from pipeline.runtime.restore import learn, reader
from pipeline.runtime.task import Task
from pulseload import kafka, metrics, status, topics
from pulseload.settings import Settings

ASK_SECONDS: Final = 10.0
"""How long Kafka has to tell where the topics end."""

CLOSING_SECONDS: Final = 1.0
"""How long the last word may take when the worker ends."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """Of one input partition: how far it was worked on, and since when nothing more was.

    Times are of the monotonic clock, in seconds.
    """

    position: int = -1
    level: float = -math.inf
    """When it was last seen without anything unread; never yet: long ago."""

    moved: float = 0.0
    """When it was last seen further than before, or without anything unread."""

    def see(self, position: int, lag: int, now: float) -> None:
        """Take in where it stands, and how many offsets are left."""
        if not lag:
            self.level = now
        if position > self.position or not lag:
            self.moved = now
        self.position = position


@dataclass(slots=True)
class Health:
    """Whether a worker gets on: what is wrong, in words, or nothing."""

    stalled: dict[str, float] = field(default_factory=dict)
    """By task, for how many seconds it has had something to do and has committed nothing."""

    silent: float = 0.0
    """For how many seconds Kafka has not told where topics end."""

    @property
    def problems(self) -> list[str]:
        """What is wrong, a line for each."""
        wrong = [
            f"{task} has had something to do for {seconds:.0f} s and committed nothing"
            for task, seconds in self.stalled.items()
            if seconds > status.STALL_SECONDS
        ]
        if self.silent > status.STALL_SECONDS:
            wrong.append(f"Kafka has not answered for {self.silent:.0f} s")
        return wrong


class Observer:
    """Sets the gauges of `pulseload.metrics` and tells the worker's status, until cancelled.

    `fetched` tells how far Kafka's answers have been read, whatever was in them; `web` the address
    of the worker's page, if it has one.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        ownership: Ownership,
        fetched: Callable[[], Mapping[TopicPartition, int]],
        web: Callable[[], str | None],
    ) -> None:
        self._fetched = fetched
        self.name = name
        self._stalled: dict[str, float] = {}
        self._held: dict[TopicPartition, tuple[int, float]] = {}
        self._settings = settings
        self._ownership = ownership
        self._web = web
        self._teller = status.Teller(settings, name, "worker")
        self._progress: dict[tuple[str, str, int], Progress] = {}
        self._answered = time.monotonic()
        metrics.KAFKA_SILENT_SECONDS.set_function(lambda: self.health.silent)
        metrics.READY.set_function(lambda: float(self.ready))

    @property
    def health(self) -> Health:
        """Whether the worker gets on, now. While tasks are handed over they wait, and rightly."""
        stalled = self._stalled if self.ready else {}
        return Health(stalled, time.monotonic() - self._answered)

    @property
    def ready(self) -> bool:
        """Whether all tables are restored and the worker works."""
        return self.state == status.WORKING

    @property
    def state(self) -> str:
        """What the worker is doing, in a word."""
        return self._ownership.state

    async def run(self) -> None:
        """Look and tell, again and again."""
        try:
            while True:
                try:
                    await self._connected()
                except Exception as error:  # noqa: BLE001 - whatever it is, the work goes on
                    log.debug("Kafka does not tell: %s", error)
                    self._note({})
                    await asyncio.sleep(1)
        finally:
            await self._teller.end(CLOSING_SECONDS)

    async def _connected(self) -> None:
        clients = kafka.connection(self._settings)
        async with (
            reader(clients) as consumer,
            reader(clients, isolation="read_uncommitted") as uncommitted,
        ):
            known: set[TopicPartition] = set()
            while True:
                places = {
                    TopicPartition(topic, task.partition)
                    for task in self._tasks
                    for topic in task.stage.inputs
                }
                # A worker without tasks must know, too, whether Kafka is there.
                places.add(TopicPartition(topics.STATUS, 0))
                if places != known:
                    learn(consumer, places)
                    learn(uncommitted, places)
                    known = places
                async with asyncio.timeout(ASK_SECONDS):
                    every = await uncommitted.end_offsets(list(places))
                    ends = await consumer.end_offsets(list(places))
                self._answered = time.monotonic()
                self._note(ends)
                self._note_held(ends, every)
                await self._teller.tell(self.state, self._web())
                await asyncio.sleep(status.SECONDS)

    @property
    def _tasks(self) -> Iterable[Task]:
        return list(self._ownership.tasks.values())

    def _note_held(
        self, ends: Mapping[TopicPartition, int], every: Mapping[TopicPartition, int]
    ) -> None:
        """Note since when the committed end of a partition stands still before its end."""
        now = time.monotonic()
        held: dict[TopicPartition, tuple[int, float]] = {}
        metrics.HELD_SECONDS.clear()
        for place, end in ends.items():
            if end >= every[place]:
                continue
            at, since = self._held.get(place, (-1, now))
            held[place] = (end, since if at == end else now)
            seconds = now - held[place][1]
            if seconds:
                metrics.HELD_SECONDS.labels(place.topic, str(place.partition)).set(seconds)
        self._held = held

    def _lag(self, task: Task, topic: str, end: int) -> int:
        position = task.positions.get(topic, 0)
        # The marks of transactions have offsets, too: behind the last record stands one that is
        # read and never handed over.
        fetched = self._fetched().get(TopicPartition(topic, task.partition), 0)
        if fetched >= end and task.handed(topic) <= position:
            return 0
        return max(0, end - position)

    def _note(self, ends: Mapping[TopicPartition, int]) -> None:
        """Set all gauges from what the tasks are and where Kafka says that the topics end."""
        now, millis = time.monotonic(), time.time() * 1_000
        for gauge in (
            *(metrics.LAG_MESSAGES, metrics.LAG_SECONDS, metrics.STALLED_SECONDS),
            *(metrics.WAITING, metrics.OLDEST_WAITING),
        ):
            gauge.clear()
        stalled: dict[str, float] = {}
        stage_stalled: dict[str, float] = {}
        progress: dict[tuple[str, str, int], Progress] = {}
        for task in self._tasks:
            stage, number = task.stage.name, task.partition
            for topic in task.stage.inputs:
                seen = self._progress.get((stage, topic, number), Progress())
                progress[stage, topic, number] = seen
                end = ends.get(TopicPartition(topic, number))
                if end is None:
                    continue
                lag = self._lag(task, topic, end)
                seen.see(task.positions.get(topic, 0), lag, now)
                late = 0.0
                if lag:
                    late = now - seen.level
                    if topic in task.read_at:
                        late = min(late, max(0.0, millis - task.read_at[topic]) / 1_000)
                    # At first nothing is known of it.
                    late = 0.0 if math.isinf(late) else late
                    stalled[str(task)] = max(stalled.get(str(task), 0.0), now - seen.moved)
                labels = (stage, topic, str(number))
                metrics.LAG_MESSAGES.labels(*labels).set(lag)
                metrics.LAG_SECONDS.labels(*labels).set(late)
            if task.waiting is not None:
                total, since = task.waiting
                waited = 0.0 if since is None or not total else max(0.0, millis - since) / 1_000
                metrics.WAITING.labels(str(number)).set(total)
                metrics.OLDEST_WAITING.labels(str(number)).set(waited)
            stage_stalled[stage] = max(stage_stalled.get(stage, 0.0), stalled.get(str(task), 0.0))
        for stage, seconds in stage_stalled.items():
            metrics.STALLED_SECONDS.labels(stage).set(seconds)
        self._progress = progress
        self._stalled = stalled
