"""From the mirrors of GitHub's exchanges to full push records in `pushes.inbox`.

What Pulse announces is known to the pipeline without this; here GitHub is asked for the rest. A
batch of messages, the records that come of it and the messages' offsets are one transaction, so
that nothing is left out and nothing written twice, whatever is killed. One program runs at a
time: a second one fences the first.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, ProducerFenced

from bridges.github import answers
from bridges.github.client import Client
from pipeline import bodies, github, pushes
from pipeline.github import Announced, Commit
from pipeline.refusals import Refusal
from pulseload import headers, kafka
from pulseload.errors import Failure
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

_READERS: Final[Mapping[Kind, Callable[..., Announced | Any]]] = {
    "github-pushes": github.announced_push,
    "github-pull-requests": github.announced_pull_request,
}

log = logging.getLogger(__name__)

Written = tuple[bytes, bytes, Sequence[Header]]
"""A record of `pushes.inbox`: key, value, headers."""


async def run(settings: Settings) -> None:
    """Work until asked to end by SIGTERM or SIGINT; raises Failure where it cannot."""
    work = asyncio.ensure_future(_run(settings))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, work.cancel)
    try:
        await work
    except asyncio.CancelledError:
        log.info("ended")
    except ProducerFenced as error:
        raise Failure(f"another {NAME} bridge has taken over; run one only") from error
    except KafkaError as error:
        raise Failure(f"Kafka fails: {error or type(error).__name__}") from error


async def _run(settings: Settings) -> None:
    kinds = {one.topic: one.kind for one in settings.pulse_data_ingestion_sources}
    mirrors = [topic for topic, kind in kinds.items() if kind in _READERS]
    if not mirrors:
        raise Failure("pulse_data_ingestion_sources names no exchange of GitHub")
    await kafka.require(settings)
    group = f"{settings.pulseload_app_id}-{NAME}"
    connection = kafka.connection(settings)
    consumer = AIOKafkaConsumer(
        *mirrors,
        **connection,
        group_id=group,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_poll_interval_ms=SILENCE_MS,
    )
    producer = AIOKafkaProducer(**connection, transactional_id=group)
    repositories = Repositories(settings.pulseload_repositories)
    try:
        await producer.start()
        await consumer.start()
        log.info("asking %s", settings.pulseload_github_api)
        async with Client(settings.pulseload_github_api, settings.pulseload_github_token) as client:
            while True:
                batch = await consumer.getmany(timeout_ms=1_000, max_records=BATCH)
                if batch:
                    await _step(batch, kinds, repositories, client, producer, group)
    finally:
        await consumer.stop()
        await producer.stop()


async def _step(
    batch: Mapping[TopicPartition, Sequence[ConsumerRecord]],
    kinds: Mapping[str, Kind],
    repositories: Repositories,
    client: Client,
    producer: AIOKafkaProducer,
    group: str,
) -> None:
    records = [record for part in batch.values() for record in part]
    found = await asyncio.gather(
        *(_records(record, kinds[record.topic], repositories, client) for record in records)
    )
    async with producer.transaction():
        for key, value, carried in (one for several in found for one in several):
            await producer.send(PUSHES_INBOX, value, key, headers=list(carried))
        offsets = {place: part[-1].offset + 1 for place, part in batch.items()}
        await producer.send_offsets_to_transaction(offsets, group)
    log.info("%s messages, %s pushes told in full", len(records), sum(map(len, found)))


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
