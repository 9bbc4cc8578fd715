"""A task: a stage's work on one partition number, one transaction after the other."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from pipeline.runtime.batches import Batch
from pipeline.runtime.draft import Draft, Output
from pipeline.runtime.meter import Meter
from pipeline.runtime.position import Position
from pipeline.runtime.records import Record
from pipeline.runtime.stage import Stage, Tick
from pipeline.runtime.steps import Step, reached
from pipeline.runtime.store import Store
from pipeline.runtime.transaction import Fenced, Transactions
from pulseload.errors import Failure
from pulseload.topics import changelog

QUEUE_RECORDS: Final = 8_000
QUEUE_BYTES: Final = 16 * 1_048_576
"""How much waits for one task, at most one batch more, before its stage takes no more."""

BATCH_RECORDS: Final = 4_000
BATCH_BYTES: Final = 4 * 1_048_576
"""How much of what waits is worked on in one go."""

WATCH_SECONDS: Final = 5.0
"""How often an idle task looks whether its topics are still there: a new one may bring nothing."""

TICK_SECONDS: Final = 1.0
"""How often a stage is told that time has passed."""

log = logging.getLogger(__name__)


class Task:
    """Works on one partition number of a stage, from `start` to `close`.

    Each round takes what is queued, lets the stage draft what it means, and commits the draft:

    1. outputs, changelog records and input offsets in one Kafka transaction;
    2. only then the same changes, and the changelog position they lead to, in the local store.

    A crash between the two costs nothing: the store is behind its changelog and is brought up
    to it when the task is opened again. Any failure is handed to `failed` and ends the task; it
    must end the process too, since what Kafka holds and what memory holds may now differ.
    """

    def __init__(
        self,
        stage: Stage,
        partition: int,
        partitions: int,
        group: str,
        store: Store,
        transactions: Transactions,
        failed: Callable[[BaseException], None],
    ) -> None:
        self.stage = stage
        self.partition = partition
        self.store = store
        self.transactions = transactions
        self.changelogs = {
            name: TopicPartition(changelog(group, name), partition)
            for name in (*stage.tables, stage.positions)
        }
        """Where each table's changes are written; nobody else writes there."""
        self._failed = failed
        self.partitions = partitions
        self._queue: deque[Batch] = deque()
        self._queued = self._queued_bytes = 0
        self._round = 0
        self._handed: dict[str, int] = {}
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._idle = asyncio.Event()
        self._leaving = False
        self._paused = False
        self._running: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ticked = time.monotonic()
        self._meter = Meter(stage.name, stage.outputs)
        self.positions: dict[str, int] = {}
        """By input topic, the offset of the next record to work on."""
        self.read_at: dict[str, int] = {}
        """By input topic, the time of the last record worked on, in ms since 1970."""

    def __str__(self) -> str:
        return f"{self.stage.name}/{self.partition}"

    def start(self) -> None:
        """Begin to work on what is put. Store and `positions` must be right by now."""
        # Not before: a restore may have made the store anew.
        rows = {name: self.store.rows(name) for name in self.stage.tables}
        self._draft = Draft(self.partition, self.partitions, rows, self.stage.outputs)
        self._room.set()
        self._idle.set()
        self._running = asyncio.create_task(self._run(), name=str(self))
        self._watching = asyncio.create_task(self._watch(), name=f"{self} topics")

    @property
    def waiting(self) -> tuple[int, int | None] | None:
        """How many records its stage keeps waiting here, and since when; None: it keeps none."""
        return None if self.stage.waiting is None else self.stage.waiting(self._draft)

    def handed(self, topic: str) -> int:
        """Return the offset behind the last record of an input topic that was put."""
        return self._handed.get(topic, 0)

    async def put(self, batch: Batch) -> None:
        """Queue a batch; waits while the queue is full. A pause meanwhile drops it.

        A batch that goes on where one ended that never came here is a gap, and ends the task:
        what is missing would be counted as read with the next commit.
        """
        began = self._round
        last = self._handed.get(batch.topic)
        if batch.after is not None and batch.records[0].offset >= batch.after != last:
            self._failed(
                Failure(
                    f"{batch.topic}/{batch.partition} was handed over from offset {batch.after} "
                    f"on, but only up to {last} before; nothing is lost, start the worker again"
                )
            )
            return
        self._handed[batch.topic] = batch.end
        while self._queued >= QUEUE_RECORDS or self._queued_bytes >= QUEUE_BYTES:
            self._room.clear()
            await self._room.wait()
        if self._round == began and not self._leaving:
            self._queue.append(batch)
            self._queued += len(batch.records)
            self._queued_bytes += batch.size
            self._wake.set()

    def _drop(self) -> None:
        self._round += 1
        self._handed.clear()
        self._queue.clear()
        self._queued = self._queued_bytes = 0
        self._room.set()

    async def pause(self) -> None:
        """Drop what is queued and wait for the transaction in hand.

        What was read but not committed will be read again from the committed offsets.
        """
        self._drop()
        self._paused = True
        if self._running is not None:
            await self._idle.wait()

    def resume(self) -> None:
        """Go on after a pause: the partition is still this worker's."""
        self._paused = False
        self._wake.set()

    async def close(self) -> None:
        """Finish the transaction in hand, then let go of producer and store."""
        self._leaving = True
        self._drop()
        self._wake.set()
        if self._watching is not None:
            self._watching.cancel()
        if self._running is not None:
            await asyncio.wait([self._running])
        await self.transactions.stop()
        self.store.close()

    async def _run(self) -> None:
        try:
            while not self._leaving:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._until_tick()):
                        await self._wake.wait()
                self._idle.clear()
                await self._commit_each(self.stage.process(self._taken(), self._draft))
                if self.stage.tick is not None and self._until_tick() == 0:
                    self._ticked = time.monotonic()
                    await self._tick(self.stage.tick)
                self._idle.set()
        except Fenced as error:
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may go on after it
            # It may be the local copy that is damaged, or ahead of what Kafka kept.
            self.store.give_up()
            self._failed(error)
        finally:
            self._idle.set()

    async def _watch(self) -> None:
        try:
            while True:
                await asyncio.sleep(WATCH_SECONDS)
                with contextlib.suppress(KafkaError):
                    await self.transactions.require_topics()
        except Exception as error:  # noqa: BLE001 - without it nobody would look any more
            self._failed(error)

    async def _tick(self, tick: Tick) -> None:
        clock = self.transactions.clock
        if clock.now() is None:
            # The positions, committed once more, make the broker tell the time.
            self._draft.offsets.update(self.positions)
            await self._commit()
        now = clock.now()
        if now is not None:
            await self._commit_each(tick(now, self._draft))

    def _until_tick(self) -> float | None:
        if self.stage.tick is None or self._paused:
            return None
        return max(0.0, self._ticked + TICK_SECONDS - time.monotonic())

    def _taken(self) -> Iterator[Record]:
        """Yield what is queued, as far as it belongs into one go and was not worked on before."""
        taken = size = 0
        while self._queue and taken < BATCH_RECORDS and size < BATCH_BYTES:
            batch = self._queue.popleft()
            self._queued -= len(batch.records)
            self._queued_bytes -= batch.size
            taken += len(batch.records)
            size += batch.size
            position = self.positions.get(batch.topic, 0)
            # After a rebalance Faust may hand over again what it had read before.
            records = [record for record in batch.records if record.offset >= position]
            if records:
                self._meter.took(batch.topic, len(records))
                yield from records
                self.read_at[batch.topic] = records[-1].timestamp
        self._room.set()
        if not self._queue:
            self._wake.clear()

    async def _commit_each(self, steps: Iterator[None]) -> None:
        began = self._round
        for _ in steps:
            if not self._draft.full:
                self._draft.next_turn()
                await asyncio.sleep(0)
                continue
            await self._commit()
            reached(Step.CONTINUED, self.stage.name)
            if self._round != began:
                # Paused within a long piece of work: the rest of it was not reached, and is
                # done by whoever reads its record next.
                return
        await self._commit()

    async def _commit(self) -> None:
        draft = self._draft
        if draft.empty:
            return
        reaches = dict(draft.offsets)
        changes: dict[str, Mapping[bytes, bytes | None]] = {
            name: table.changes for name, table in draft.tables.items() if table.changes
        }
        # Without it a changelog that was emptied could not be told from one of few rows.
        for name, rows in changes.items():
            reaches[self.changelogs[name].topic] = self.store.position(name) + len(rows)
        if reaches:
            ids = self.transactions.topic_ids
            changes[self.stage.positions] = {
                topic.encode(): Position(offset, ids[topic]).row()
                for topic, offset in reaches.items()
            }
        for name, rows in changes.items():
            topic = self.changelogs[name].topic
            for key, value in rows.items():
                draft.outputs.append(Output(topic, self.partition, key, value, []))
        reached(Step.DRAFTED, self.stage.name)
        began = time.monotonic()
        ends = await self.transactions.commit(draft.outputs, draft.offsets, self.partition)
        reached(Step.COMMITTED, self.stage.name)
        self.store.write(changes, {name: ends[self.changelogs[name]] for name in changes})
        reached(Step.WRITTEN, self.stage.name)
        self.positions.update(draft.offsets)
        self._meter.committed(draft.outputs, time.monotonic() - began)
        draft.clear()
