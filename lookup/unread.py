"""What the stages have not read yet, and how many jobs wait: asked of Kafka, changing nothing."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from pipeline import joining, validation
from pipeline.runtime.restore import learn, reader
from pulseload import kafka, topics
from pulseload.errors import Failure
from pulseload.repositories import Repositories
from pulseload.settings import Settings

FIRST_BYTES: Final = 65_536
"""How much is fetched of a partition at a time where only its first record counts."""

_POLL_MS: Final = 200
_PAUSE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Unread:
    """What a stage has not read of one partition.

    `committed` is None where it has read nothing yet. `messages` are offsets, so that marks of
    transactions behind the first unread record count too. `seconds` is that record's age. Both
    are None where they cannot be known.
    """

    stage: str
    topic: str
    partition: int
    committed: int | None
    end: int
    messages: int | None
    seconds: float | None


@dataclass(slots=True)
class Answer:
    """What Kafka tells, and a line for each thing that it does not."""

    partitions: list[Unread] = field(default_factory=list)
    waiting: int | None = None
    unknown: list[str] = field(default_factory=list)


class Span(NamedTuple):
    """Where a stage stands in a partition, and what offsets the partition has."""

    committed: int | None
    begin: int
    end: int

    @property
    def next(self) -> int:
        """The offset to read from; what was deleted before it was read is passed over."""
        return max(self.committed or 0, self.begin)


class First(NamedTuple):
    """The first record that is unread, and its time in ms since 1970."""

    offset: int
    timestamp: int


class Look(NamedTuple):
    """Where the stages stand, and the first unread records.

    Of the partitions that are `silent` none came, though there should be one. `now` is the time in
    ms since 1970, by this machine's clock or by what Kafka has stamped, whichever is ahead.
    """

    spans: Mapping[TopicPartition, Span]
    firsts: Mapping[TopicPartition, First]
    silent: Collection[TopicPartition]
    now: float


def unread(stage: str, place: TopicPartition, look: Look) -> Unread:
    """Return what a stage has not read of a partition."""
    span = look.spans[place]
    messages: int | None = 0
    seconds: float | None = 0.0
    if span.next > span.end:
        messages = seconds = None
    elif place in look.silent:
        messages, seconds = span.end - span.next, None
    elif place in look.firsts:
        first = look.firsts[place]
        messages, seconds = span.end - first.offset, max(look.now - first.timestamp, 0) / 1_000
    # Otherwise there are only marks of transactions, if anything.
    return Unread(stage, place.topic, place.partition, span.committed, span.end, messages, seconds)


def inputs(settings: Settings) -> dict[str, str]:
    """Return all topics that the stages read, and the stage that reads each."""
    read = validation.Validation(settings.pulse_data_ingestion_sources, Repositories(())).inputs
    return {
        **dict.fromkeys(read, validation.STAGE),
        **dict.fromkeys(joining.INPUTS, joining.STAGE),
    }


async def ask(settings: Settings, count_waiting: bool) -> Answer:
    """Ask Kafka; raises Failure where it does not answer."""
    answer = Answer()
    stages = inputs(settings)
    clients = kafka.connection(settings)
    names = [*stages]
    if count_waiting:
        names.append(topics.changelog(settings.pulseload_app_id, joining.PENDING))
    async with kafka.admin(settings) as client:
        found = await kafka.existing(client, names)
        answer.unknown += [
            f"topic {name} is missing; run `pulseload topics`"
            for name in names
            if name not in found
        ]

        def places(topics: Iterable[str]) -> list[TopicPartition]:
            return [
                TopicPartition(name, number)
                for name in topics
                if name in found
                for number in range(found[name].partitions)
            ]

        # Offsets first: what a stage reads before the ends are told is no lag.
        committed = await _committed(client, settings.pulseload_app_id, places(stages))
        look = await _look(clients, committed)
        answer.partitions = [unread(stages[place.topic], place, look) for place in look.spans]
        answer.unknown += [
            f"{place.topic}/{place.partition}: Kafka gives none of the records that are unread"
            for place in look.silent
        ]
        answer.unknown += [
            f"{place.topic}/{place.partition}: {span.committed} is committed, but it ends at "
            f"{span.end}: it was made anew (docs/what-happens-when.md)"
            for place, span in look.spans.items()
            if span.next > span.end
        ]
        if count_waiting and names[-1] in found:
            answer.waiting = await _waiting(clients, places(names[-1:]))
            if answer.waiting is None:
                answer.unknown.append(f"how many jobs wait: Kafka gives no records of {names[-1]}")
    return answer


async def _committed(
    client: AIOKafkaAdminClient, group: str, places: Collection[TopicPartition]
) -> dict[TopicPartition, int | None]:
    """Return what the group has committed of each partition, None where that is nothing."""
    if not places:
        return {}
    end = time.monotonic() + kafka.TIMEOUT
    while True:
        try:
            told = await client.list_consumer_group_offsets(group, partitions=list(places))
            # aiokafka keeps quiet about a coordinator that is not ready, and tells nothing.
            if told.keys() >= set(places):
                return {
                    place: None if told[place].offset < 0 else told[place].offset
                    for place in places
                }
        except KafkaError as error:
            if not error.retriable:
                raise
        if time.monotonic() > end:
            raise Failure(f"Kafka has no coordinator for the group {group}; are all brokers up?")
        await asyncio.sleep(_PAUSE)


async def _look(clients: Mapping[str, Any], committed: Mapping[TopicPartition, int | None]) -> Look:
    places = list(committed)
    firsts: dict[TopicPartition, First] = {}
    newest = 0
    async with reader(clients, fetch_bytes=FIRST_BYTES) as consumer:
        learn(consumer, places)
        begins = await consumer.beginning_offsets(places)
        ends = await consumer.end_offsets(places)
        spans = {one: Span(committed[one], begins[one], ends[one]) for one in places}
        left = {one: span.end for one, span in spans.items() if span.next < span.end}
        _begin(consumer, {one: spans[one].next for one in left})
        with suppress(TimeoutError):
            async for place, records in _records(consumer, left):
                consumer.pause(place)
                del left[place]
                newest = max(newest, *(one.timestamp for one in records))
                if records[0].offset < ends[place]:
                    firsts[place] = First(records[0].offset, records[0].timestamp)
    return Look(spans, firsts, left, max(time.time() * 1_000, newest))


async def _waiting(clients: Mapping[str, Any], places: Collection[TopicPartition]) -> int | None:
    """Return how many rows the table of waiting jobs has, None where Kafka does not give them."""
    rows: set[bytes] = set()
    async with reader(clients) as consumer:
        learn(consumer, places)
        ends = await consumer.end_offsets(list(places))
        begins = await consumer.beginning_offsets(list(places))
        left = {place: end for place, end in ends.items() if begins[place] < end}
        _begin(consumer, {place: begins[place] for place in left})
        try:
            async for _, records in _records(consumer, left):
                for one in records:
                    (rows.discard if one.value is None else rows.add)(one.key)
        except TimeoutError:
            return None
    return len(rows)


def _begin(consumer: AIOKafkaConsumer, starts: Mapping[TopicPartition, int]) -> None:
    for place, offset in starts.items():
        consumer.seek(place, offset)
    consumer.resume(*starts)


async def _records(
    consumer: AIOKafkaConsumer, left: dict[TopicPartition, int]
) -> AsyncIterator[tuple[TopicPartition, Sequence[ConsumerRecord]]]:
    """Yield records until each partition that is `left` has reached its offset there.

    Raises TimeoutError where none come for long.
    """
    end = time.monotonic() + kafka.TIMEOUT
    while left:
        polled = await consumer.getmany(timeout_ms=_POLL_MS)
        if polled:
            end = time.monotonic() + kafka.TIMEOUT
        for place, records in polled.items():
            yield place, records
        for place in [one for one in left if await consumer.position(one) >= left[one]]:
            del left[place]
        if time.monotonic() > end:
            raise TimeoutError
