"""The Kafka side: pushes and the cursor behind them, written together or not at all."""

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from bridges.pushlog.records import Record
from bridges.transactions import GRACE, TRANSACTION_SECONDS, Lost, transaction
from pulseload import kafka
from pulseload.errors import Failure
from pulseload.finishing import finished
from pulseload.repositories import Repository, plain
from pulseload.settings import Settings
from pulseload.topics import INPUT_MAX_BYTES, PUSHES_INBOX, PUSHLOG_CURSORS

log = logging.getLogger(__name__)


class Ledger:
    """Writes what one bridge takes; `start` fences any other that runs under the same name.

    From `start` to the next failure its cursors are changed by nobody else.
    """

    def __init__(self, settings: Settings) -> None:
        self.transactional_id = f"{settings.pulseload_app_id}-pushlog"
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._finished = True
        self._alone = asyncio.Lock()

    async def start(self) -> dict[str, int]:
        """Connect, and return the cursors by address. Raises Failure where that cannot be done.

        A transaction of a former bridge that Kafka left without an end in the cursors' topic
        (KAFKA-20734) is aborted: its pushes are taken anew.
        """
        await kafka.require(self._settings)
        self._producer = AIOKafkaProducer(
            **kafka.connection(self._settings),
            transactional_id=self.transactional_id,
            transaction_timeout_ms=TRANSACTION_SECONDS * 1_000,
            max_request_size=INPUT_MAX_BYTES,
            retry_backoff_ms=20,
        )
        self._finished = True
        try:
            async with asyncio.timeout(TRANSACTION_SECONDS):
                # What a former bridge left open is ended here, so that the cursors are final.
                await self._producer.start()
                async with self._reader("read_committed") as committed:
                    await self._end_orphans(self._producer, committed)
                    return await self._cursors(committed)
        except (KafkaError, TimeoutError) as error:
            raise Failure(
                f"Kafka did not let {self.transactional_id} begin ({type(error).__name__}: {error})"
            ) from error

    async def stop(self, within: float = 1) -> None:
        """Disconnect, after at most so many seconds."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(TimeoutError, KafkaError):
                async with asyncio.timeout(within):
                    await producer.stop()

    async def write(self, repository: Repository, records: Iterable[Record], cursor: int) -> None:
        """Write pushes and the repository's cursor in one transaction.

        When this returns they are committed. Raises Lost, or Fenced where another bridge runs.
        """
        async with self._alone:
            await finished(self._commit(repository, records, cursor), GRACE)

    async def _commit(self, repository: Repository, records: Iterable[Record], cursor: int) -> None:
        producer = self._producer
        if producer is None or not self._finished:
            raise Lost("the transaction before this one has failed")
        place = json.dumps({"project": repository.name, "push_id": cursor}).encode()
        self._finished = False
        what = f"pushes of {repository.name}"
        async with transaction(producer, self.transactional_id, "pushlog", what):
            sent = [
                await producer.send(PUSHES_INBOX, key=one.key, value=one.value) for one in records
            ]
            key = plain(repository.url).encode()
            sent.append(await producer.send(PUSHLOG_CURSORS, key=key, value=place))
            # A commit does not ask whether each of them was written.
            await asyncio.gather(*sent)
        self._finished = True

    def _partitions(self, topic: str) -> list[TopicPartition]:
        return [
            TopicPartition(topic, number) for number in range(self._settings.pulseload_partitions)
        ]

    @contextlib.asynccontextmanager
    async def _reader(self, isolation: str) -> AsyncIterator[AIOKafkaConsumer]:
        """Give a started consumer of the cursors. It is paused, so that it tells ends at once."""
        consumer = AIOKafkaConsumer(
            **kafka.connection(self._settings),
            isolation_level=isolation,
            auto_offset_reset="earliest",
            enable_auto_commit=False,
        )
        try:
            await consumer.start()
            consumer.assign(self._partitions(PUSHLOG_CURSORS))
            consumer.pause(*self._partitions(PUSHLOG_CURSORS))
            yield consumer
        finally:
            await consumer.stop()

    async def _end_orphans(self, producer: AIOKafkaProducer, committed: AIOKafkaConsumer) -> None:
        """End what Kafka left without an end: the next mark ends all that the producer had there.

        Nobody else writes cursors, and the producer, which has started, has nothing open: that
        their committed end is not their end tells.
        """
        cursors = self._partitions(PUSHLOG_CURSORS)
        async with self._reader("read_uncommitted") as uncommitted:
            if not await kafka.unended(committed, uncommitted, cursors):
                # The cursors count, and so must the pushes before them.
                inbox = self._partitions(PUSHES_INBOX)
                if left := await kafka.unended(committed, uncommitted, inbox):
                    await kafka.commit_left(producer, left)
                return
            log.warning(
                "Kafka lost the end of a transaction of %s; it is aborted, and its pushes are "
                "taken anew",
                self.transactional_id,
            )
            await producer.begin_transaction()
            sent = [
                await producer.send(place.topic, key=b"", partition=place.partition)
                for place in [*cursors, *self._partitions(PUSHES_INBOX)]
            ]
            await asyncio.gather(*sent)
            await producer.abort_transaction()
            # Kafka says that it aborts before it has written so, and might forget that too.
            while await kafka.unended(  # noqa: ASYNC110 - Kafka tells nobody
                committed, uncommitted, cursors
            ):
                await asyncio.sleep(0.1)

    async def _cursors(self, committed: AIOKafkaConsumer) -> dict[str, int]:
        found: dict[str, int] = {}
        ends = await committed.end_offsets(self._partitions(PUSHLOG_CURSORS))
        committed.resume(*ends)
        for partition, end in ends.items():
            while await committed.position(partition) < end:
                for records in (await committed.getmany(timeout_ms=200)).values():
                    for one in records:
                        _learn(found, one.key, one.value)
        return found


def _learn(cursors: dict[str, int], key: bytes | None, value: bytes | None) -> None:
    """Take in one record of the topic; a person may have deleted a cursor by a null value."""
    url = (key or b"").decode(errors="replace")
    if value is None:
        cursors.pop(url, None)
        return
    try:
        cursors[url] = int(json.loads(value)["push_id"])
    except (ValueError, LookupError, TypeError):
        log.warning("%s holds no cursor for %r: ignored", PUSHLOG_CURSORS, url)
