"""Letters and marks out of Kafka: committed ones, without a group, up to an end that was seen."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import ConsumerRecord

from letters.letter import Letter, Position, Selection
from pipeline.runtime import unpacking
from pipeline.runtime.restore import learn, reader
from pulseload import kafka
from pulseload.errors import Failure
from pulseload.settings import Settings

POLL_RECORDS: Final = 500
SILENCE_SECONDS: Final = 30
"""After so long without anything from Kafka it is given up."""


class Span(NamedTuple):
    """The offsets of a partition from `begin` on and before `end`."""

    place: TopicPartition
    begin: int
    end: int


@asynccontextmanager
async def opened(settings: Settings, *topics: str) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a consumer of some topics, for the functions below.

    Raises Failure where one is missing or Kafka does not answer, then or later in the block.
    """
    async with kafka.admin(settings) as client:
        found = await kafka.existing(client, topics)
    for topic in topics:
        if topic not in found:
            raise Failure(f"topic {topic} is missing; run `pulseload topics`")
    unpacking.install()
    try:
        async with reader(kafka.connection(settings)) as consumer:
            learn(
                consumer,
                [
                    TopicPartition(topic, number)
                    for topic in topics
                    for number in range(found[topic].partitions)
                ],
            )
            yield consumer
    except (KafkaError, TimeoutError) as error:
        place = ", ".join(settings.kafka_servers)
        raise Failure(f"Kafka at {place} fails: {error or type(error).__name__}") from error


async def spans(consumer: AIOKafkaConsumer, topic: str, since: int | None = None) -> list[Span]:
    """Return what a topic holds now, partition by partition.

    With `since`, in milliseconds since 1970, only what may be as young as that.
    """
    places = sorted(place for place in consumer.assignment() if place.topic == topic)
    begins = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    if since is not None:
        young = await consumer.offsets_for_times(dict.fromkeys(places, since))
        begins = {place: at.offset if at else ends[place] for place, at in young.items()}
    return [Span(place, begins[place], ends[place]) for place in places]


def behind(found: Iterable[Span], after: Position) -> list[Span]:
    """Return what is behind a position, in the order in which lists are written."""
    return [
        one._replace(begin=max(one.begin, after.offset + 1))
        if one.place.partition == after.partition
        else one
        for one in found
        if one.place.partition >= after.partition
    ]


async def at(consumer: AIOKafkaConsumer, topic: str, positions: Iterable[Position]) -> list[Span]:
    """Return the places of letters, in their order. Raises Failure where one has no letter."""
    held = {one.place.partition: one for one in await spans(consumer, topic)}
    found = []
    for position in sorted(set(positions)):
        partition, offset = position
        span = held.get(partition)
        if span is None or not span.begin <= offset < span.end:
            raise _missing(topic, position)
        span = Span(span.place, offset, offset + 1)
        # Marks of transactions take an offset each.
        if not [one async for one in records(consumer, span)]:
            raise _missing(topic, position)
        found.append(span)
    return found


def _missing(topic: str, position: Position) -> Failure:
    return Failure(f"there is no record at {position} of {topic} (any more)")


async def letters(
    consumer: AIOKafkaConsumer, found: Sequence[Span], selection: Selection
) -> AsyncGenerator[Letter, None]:
    """Yield the letters of some spans that are meant."""
    for span in found:
        async for record in records(consumer, span):
            letter = Letter.of(record)
            if selection.takes(letter):
                yield letter


async def listed(
    settings: Settings, topic: str, selection: Selection, after: Position | None
) -> AsyncGenerator[Letter, None]:
    """Yield the letters of a topic that are meant, behind a position if one is given.

    Raises Failure where the topic is missing or Kafka does not answer.
    """
    async with opened(settings, topic) as consumer:
        found = await spans(consumer, topic, selection.since)
        async with aclosing(
            letters(consumer, behind(found, after) if after else found, selection)
        ) as meant:
            async for letter in meant:
                yield letter


async def one(settings: Settings, topic: str, position: Position) -> Letter:
    """Return the letter at a position. Raises Failure where there is none."""
    async with opened(settings, topic) as consumer:
        found = await at(consumer, topic, [position])
        (letter,) = [letter async for letter in letters(consumer, found, Selection())]
        return letter


async def records(consumer: AIOKafkaConsumer, span: Span) -> AsyncGenerator[ConsumerRecord, None]:
    """Yield the committed records of a span. One span is read at a time."""
    place, begin, end = span
    if begin >= end:
        return
    consumer.seek(place, begin)
    consumer.resume(place)
    try:
        position, heard = begin, time.monotonic()
        while position < end:
            polled = await consumer.getmany(place, timeout_ms=200, max_records=POLL_RECORDS)
            for record in polled.get(place, ()):
                if record.offset < end:
                    yield record
            before, position = position, await consumer.position(place)
            # Whoever takes the records may have been slow.
            heard = time.monotonic() if polled or position != before else heard
            if time.monotonic() - heard > SILENCE_SECONDS:
                raise Failure(
                    f"Kafka sends nothing of {place.topic}/{place.partition} from {position} on; "
                    "is a broker down?"
                )
    finally:
        consumer.pause(place)
