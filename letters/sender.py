"""The one that sends letters again: batch by batch, each in a transaction with its marks."""

import asyncio
from collections import Counter
from typing import Final

import click
from aiokafka import AIOKafkaConsumer, TopicPartition

from letters.letter import Letter, Position, mark
from pipeline.runtime.draft import Output
from pipeline.runtime.restore import learn, reader
from pipeline.runtime.transaction import GIVE_UP_SECONDS, Fenced, Transactions
from pulseload import kafka
from pulseload.errors import Failure
from pulseload.finishing import finished
from pulseload.settings import Settings
from pulseload.topics import JOBS_INBOX, PUSHES_INBOX, REPLAYED

BATCH_RECORDS: Final = 500
BATCH_BYTES: Final = 4 * 1_048_576

GRACE: Final = 5.0
"""Seconds that the batch in hand has when the program is asked to end."""


class Sender:
    """Sends letters again, and counts in `sent` by inbox what is committed.

    The letters of the places in `outdated` are gone; their marks are deleted by and by.
    """

    def __init__(self, settings: Settings, sent: Counter[str]) -> None:
        self.outdated: list[Position] = []
        self._clients = kafka.connection(settings)
        self._partitions = settings.pulseload_partitions
        # The topics are those of every application id, and so are the marks.
        self._transactions = Transactions("pulseload", "replay", 0, self._clients)
        self._sent = sent
        self._topic = ""
        self._batch: list[Letter] = []
        self._bytes = 0

    async def start(self, consumer: AIOKafkaConsumer, topic: str) -> None:
        """Connect, and fence whoever else sends letters of any topic.

        `consumer` reads the marks, which are final then. Raises Failure or KafkaError where that
        cannot be done.
        """
        self._topic = topic
        await self._transactions.start()
        await self._transactions.hold_to([topic, REPLAYED, JOBS_INBOX, PUSHES_INBOX])
        await self._end_orphans(consumer)

    async def stop(self) -> None:
        """Disconnect."""
        await self._transactions.stop()

    async def add(self, letter: Letter) -> None:
        """Send a letter, now or with those that follow."""
        self._batch.append(letter)
        self._bytes += len(letter.key or b"") + len(letter.value or b"")
        if len(self._batch) >= BATCH_RECORDS or self._bytes >= BATCH_BYTES:
            await self.flush()

    async def flush(self) -> None:
        """Send what was added. Raises Failure where that is not confirmed."""
        if self._batch:
            await finished(self._commit(), GRACE)

    async def _commit(self) -> None:
        gone = self.outdated[:BATCH_RECORDS]
        outputs = [mark(self._topic, position, None) for position in gone]
        for letter in self._batch:
            outputs += [letter.back, letter.mark]
        try:
            await self._transactions.commit(outputs, {}, 0)
        except Fenced as error:
            raise Failure("another replay has begun, and this one ends: run one at a time") from (
                error
            )
        except Failure as error:
            why = error.__cause__ or error
            raise Failure(
                f"Kafka did not confirm a batch ({str(why) or type(why).__name__}); run it again, "
                "nothing is sent twice"
            ) from error
        self._sent.update(letter.inbox for letter in self._batch)
        self._batch, self._bytes = [], 0
        del self.outdated[: len(gone)]

    async def _end_orphans(self, consumer: AIOKafkaConsumer) -> None:
        """End what Kafka left without an end: see `pipeline.runtime.orphans`.

        Nobody else writes marks, and this producer has nothing open. What is not marked is aborted
        in the inboxes' partitions of the same number, where its letters stand; elsewhere the marks
        count, and so must the letters.
        """
        marks, *inboxes = [
            [TopicPartition(topic, number) for number in range(self._partitions)]
            for topic in (REPLAYED, JOBS_INBOX, PUSHES_INBOX)
        ]
        inbox = [place for places in inboxes for place in places]
        async with reader(self._clients, isolation="read_uncommitted") as uncommitted:
            learn(uncommitted, [*marks, *inbox])
            lost = {one.partition for one in await kafka.unended(consumer, uncommitted, marks)}
            if lost:
                click.echo(
                    "pulseload: Kafka lost the end of a transaction of an earlier replay; it is "
                    "aborted, and what it had sent may be sent once more",
                    err=True,
                )
                places = [one for one in [*marks, *inbox] if one.partition in lost]
                await self._transactions.clear(
                    [Output(one.topic, one.partition, b"", None, []) for one in places], {}, 0
                )
                # Kafka says that it aborts before it has written so.
                async with asyncio.timeout(GIVE_UP_SECONDS):
                    while await kafka.unended(consumer, uncommitted, marks):  # noqa: ASYNC110
                        await asyncio.sleep(0.1)
            if left := await kafka.unended(consumer, uncommitted, inbox):
                await self._transactions.commit_left(left)
