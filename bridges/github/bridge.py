"""From the mirrors of GitHub's exchanges to full push records in `pushes.inbox`.

What Pulse announces is known to the pipeline without this; here GitHub is asked for the rest. A
batch of messages, the records that come of it and the messages' offsets are one transaction, so
that nothing is left out and nothing written twice, whatever is killed. One program runs at a
time: a second one fences the first.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, NoReturn

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from bridges.github import answers
from bridges.github.client import Client
from bridges.sessions import Sessions, end_when_asked
from bridges.transactions import GRACE, TRANSACTION_SECONDS, Lost, transaction
from pipeline import bodies, github, pushes
from pipeline.github import Announced, Commit
from pipeline.refusals import Refusal
from pulseload import headers, kafka
from pulseload.errors import Failure
from pulseload.finishing import finished
from pulseload.headers import Header
from pulseload.repositories import Repositories
from pulseload.settings import Settings
from pulseload.sources import Kind
from pulseload.topics import PUSHES_INBOX

NAME: Final = "github-pushes"
"""What the consumer group and the transactions are called, behind the application's name."""

BATCH: Final = 50
"""How many messages one transaction takes at most."""

MAX_BYTES: Final = 1_000_000
"""How large a record may be; Kafka takes a little more, with key and headers."""

SILENCE_MS: Final = 3 * 3_600_000
"""How long a batch may take: GitHub may ask to wait until its limit of an hour ends."""

STOP_SECONDS: Final = 2.0
"""How long Kafka may take to let the bridge go."""

_READERS: Final[Mapping[Kind, Callable[..., Announced | Any]]] = {
    "github-pushes": github.announced_push,
    "github-pull-requests": github.announced_pull_request,
}

log = logging.getLogger(__name__)

Batch = Mapping[TopicPartition, Sequence[ConsumerRecord]]

Written = tuple[bytes, bytes, Sequence[Header]]
"""A record of `pushes.inbox`: key, value, headers."""


async def run(settings: Settings) -> None:
    """Run the bridge until SIGTERM or SIGINT.

    Raises Failure where it cannot start, and where another bridge has taken over.
    """
    end_when_asked()
    bridge = Bridge(settings)
    try:
        await bridge.run()
    except asyncio.CancelledError:
        log.info("ended, as asked")


class Bridge:
    """Asks GitHub about what the mirrors hold until it is cancelled."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._kinds = {
            one.topic: one.kind
            for one in settings.pulse_data_ingestion_sources
            if one.kind in _READERS
        }
        self._group = f"{settings.pulseload_app_id}-{NAME}"
        self._repositories = Repositories(settings.pulseload_repositories)
        self._sessions = Sessions()

    async def run(self) -> NoReturn:
        """Work, through every trouble with Kafka. Raises Failure where it cannot start."""
        if not self._kinds:
            raise Failure("pulse_data_ingestion_sources names no exchange of GitHub")
        settings = self._settings
        async with Client(settings.pulseload_github_api, settings.pulseload_github_token) as client:
            await self._sessions.run(lambda: self._session(client))

    async def _session(self, client: Client) -> NoReturn:
        """Work for as long as Kafka takes what comes."""
        await kafka.require(self._settings)
        try:
            async with self._connected() as (consumer, producer):
                self._sessions.began()
                log.info("asking %s", self._settings.pulseload_github_api)
                while True:
                    batch = await consumer.getmany(timeout_ms=1_000, max_records=BATCH)
                    if batch:
                        await self._step(batch, client, producer)
        except KafkaError as error:
            raise Lost(f"Kafka fails ({error})") from error

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[AIOKafkaConsumer, AIOKafkaProducer]]:
        connection = kafka.connection(self._settings)
        consumer = AIOKafkaConsumer(
            *self._kinds,
            **connection,
            group_id=self._group,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            max_poll_interval_ms=SILENCE_MS,
        )
        producer = AIOKafkaProducer(
            **connection,
            transactional_id=self._group,
            transaction_timeout_ms=TRANSACTION_SECONDS * 1_000,
        )
        try:
            try:
                async with asyncio.timeout(TRANSACTION_SECONDS):
                    # What a former bridge left open is ended here, so that offsets are final.
                    await producer.start()
                    await consumer.start()
            except (KafkaError, TimeoutError) as error:
                why = str(error) or type(error).__name__
                raise Failure(f"Kafka did not let {self._group} begin ({why})") from error
            yield consumer, producer
        finally:
            # A task of aiokafka's that it cancels may seem to be this one's end.
            with suppress(TimeoutError):
                async with asyncio.timeout(STOP_SECONDS):
                    await asyncio.gather(consumer.stop(), producer.stop(), return_exceptions=True)

    async def _step(self, batch: Batch, client: Client, producer: AIOKafkaProducer) -> None:
        records = [record for part in batch.values() for record in part]
        several = await asyncio.gather(
            *(
                _records(record, self._kinds[record.topic], self._repositories, client)
                for record in records
            )
        )
        found = [one for written in several for one in written]
        offsets = {place: part[-1].offset + 1 for place, part in batch.items()}
        await finished(self._commit(producer, found, offsets), GRACE)
        log.info("%s messages, %s pushes told in full", len(records), len(found))

    async def _commit(
        self,
        producer: AIOKafkaProducer,
        found: Sequence[Written],
        offsets: Mapping[TopicPartition, int],
    ) -> None:
        async with transaction(producer, self._group, NAME, "pushes of GitHub"):
            sent = [
                await producer.send(PUSHES_INBOX, value, key, headers=list(carried))
                for key, value, carried in found
            ]
            # A commit does not ask whether each of them was written.
            await asyncio.gather(*sent)
            await producer.send_offsets_to_transaction(offsets, self._group)


async def _records(
    record: ConsumerRecord, kind: Kind, repositories: Repositories, client: Client
) -> list[Written]:
    """Return the records that come of a message; what it is against the pipeline says."""
    items = bodies.decode(record.value)
    found: list[Written] = []
    for item in [] if isinstance(items, Refusal) else items:
        if isinstance(item.document, Refusal):
            continue
        announced = _READERS[kind](item.document, repositories)
        if not isinstance(announced, Announced):
            continue
        path = answers.question(announced)
        commits = await client.commits(path) if path else None
        if commits and (written := _written(announced, commits)) is not None:
            found.append((*written, headers.carried(record.headers)))
    return found


def _written(announced: Announced, commits: Sequence[Commit]) -> tuple[bytes, bytes] | None:
    """Return a record's key and value, with as many of its last commits as there is room for."""
    while True:
        push = announced.known_with(commits)
        value = pushes.dump(push)
        if len(value) <= MAX_BYTES:
            return pushes.keys(push)[0], value
        if len(commits) == 1:
            log.warning("what GitHub tells of %s is not taken: too large", push["url"])
            return None
        commits = commits[len(commits) // 2 :]
