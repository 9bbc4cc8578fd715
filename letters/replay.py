"""Sending letters again: once each, whatever is killed meanwhile and however often it is asked.

Letters and the *marks* that say they were sent are written in one transaction. All replays have
one transactional id: one that starts ends what an earlier one left open, and fences it. What is
marked after that is known before the first letter is read, and nobody else can add to it.
"""

from collections import Counter
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from letters.letter import Letter, Position, Selection, marked
from letters.reading import at, letters, opened, records, spans
from letters.sender import Sender
from pulseload import kafka
from pulseload.progress import Progress
from pulseload.settings import Settings
from pulseload.topics import REPLAYED

BEFORE: Final = "sent before"
"""Why a letter is left that has a mark."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which letters of a topic are to be sent: those at some positions, or all; that are meant."""

    topic: str
    positions: Sequence[Position]
    selection: Selection


@dataclass(slots=True)
class Tally:
    """What became of letters: how many were sent, by inbox, and how many left, by why."""

    sent: Counter[str] = field(default_factory=Counter)
    left: Counter[str] = field(default_factory=Counter)

    def said(self, verb: str) -> str:
        """Return it as one line."""
        sent = [f"{verb} {count:,} to {topic}" for topic, count in sorted(self.sent.items())]
        left = [f"{count:,} {why}" for why, count in sorted(self.left.items())]
        return ", ".join(sent or [f"{verb} none"]) + (f"; left: {', '.join(left)}" if left else "")


async def rehearse(
    settings: Settings, wanted: Wanted, say: Callable[[Letter, str | None], None]
) -> Tally:
    """Tell of each letter why it would be left, or None where it would be sent."""
    await kafka.require(settings, safe=True)
    tally = Tally()
    async with (
        opened(settings, wanted.topic, REPLAYED) as consumer,
        aclosing(_judged(consumer, wanted, [])) as found,
    ):
        async for letter, why in found:
            say(letter, why)
            if why is None:
                tally.sent[letter.inbox] += 1
            else:
                tally.left[why] += 1
    return tally


async def replay(settings: Settings, wanted: Wanted, tally: Tally) -> None:
    """Send what was not sent before; `tally` counts what is committed.

    Whole batches are sent, also when it is cancelled. Raises Failure where Kafka fails, or where
    another replay has begun.
    """
    await kafka.require(settings, safe=True)
    progress = Progress()
    sender = Sender(settings, tally.sent)
    try:
        async with opened(settings, wanted.topic, REPLAYED) as consumer:
            await sender.start(consumer, wanted.topic)
            async with aclosing(_judged(consumer, wanted, sender.outdated)) as found:
                async for letter, why in found:
                    if why is None:
                        await sender.add(letter)
                    else:
                        tally.left[why] += 1
                    progress.show(f"{tally.said('sent')}; at {letter.position}")
            await sender.flush()
    finally:
        progress.clear()
        await sender.stop()


async def _judged(
    consumer: AIOKafkaConsumer, wanted: Wanted, outdated: list[Position]
) -> AsyncGenerator[tuple[Letter, str | None], None]:
    """Yield the letters and why each must be left, if so.

    To `outdated` are added the places of letters that are marked but not there any more.
    """
    topic, positions, selection = wanted.topic, wanted.positions, wanted.selection
    if positions:
        meant = await at(consumer, topic, positions)
    else:
        meant = await spans(consumer, topic, selection.since)
    begins = {one.place: one.begin for one in await spans(consumer, topic)}
    for place, of_place in groupby(meant, key=lambda span: span.place):
        marks = await _marks(consumer, place)
        for offset in [offset for offset in marks if offset < begins[place]]:
            outdated.append(Position(place.partition, offset))
            del marks[offset]
        async with aclosing(letters(consumer, list(of_place), selection)) as found:
            async for letter in found:
                sent = marks.get(letter.position.offset) == letter.mark.value
                yield letter, BEFORE if sent else letter.fault


async def _marks(consumer: AIOKafkaConsumer, place: TopicPartition) -> dict[int, bytes]:
    """Return the marks of the letters in a partition, by offset; they stand in that of its number.

    Their values are compared with those of the letters that are there now.
    """
    marks: dict[int, bytes] = {}
    (span,) = [
        one for one in await spans(consumer, REPLAYED) if one.place.partition == place.partition
    ]
    async for record in records(consumer, span):
        offset = marked(place.topic, record.key)
        if offset is not None and record.value is None:
            marks.pop(offset, None)
        elif offset is not None:
            marks[offset] = record.value
    return marks
