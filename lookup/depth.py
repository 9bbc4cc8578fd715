"""How long the queue at Pulse is, and how long until Pulse Guardian deletes it."""

import time
from dataclasses import dataclass
from typing import Literal

from amqp.exceptions import ChannelError, NotFound

from bridges import queue
from pulseload import amqp
from pulseload.errors import Failure
from pulseload.settings import Settings

State = Literal["ok", "warn", "delete"]


@dataclass(frozen=True, slots=True)
class Sample:
    """What RabbitMQ tells of the queue at a moment of the monotonic clock."""

    ready: int
    bridges: int
    at: float


@dataclass(frozen=True, slots=True)
class Depth:
    """The queue's length as Pulse Guardian counts it, and where it leads.

    `seconds_left` is None where the queue does not grow.
    """

    name: str
    ready: int
    bridges: int
    messages: int
    per_second: float
    seconds_left: float | None
    state: State


def sample(settings: Settings) -> Sample:
    """Ask RabbitMQ for the queue; raises Failure where it cannot be known."""
    name = queue.name(settings)
    with amqp.connected(settings.pulse_data_ingestion_config) as connection:
        try:
            with connection.channel() as channel:
                told = channel.queue_declare(name, passive=True)
        except NotFound as error:
            raise Failure(f"{name} is not there; the bridge makes it when it starts") from error
        except ChannelError as error:
            raise Failure(f"{name}: {error.reply_text}; mend pulse_queue") from error
    return Sample(told.message_count, told.consumer_count, time.monotonic())


def depth(first: Sample, second: Sample, settings: Settings) -> Depth:
    """Return what two samples tell.

    Pulse Guardian also counts what bridges have in hand, which RabbitMQ does not tell. Where
    messages stay ready all the same, each bridge has all that its prefetch count allows.
    """
    busy = first.ready > 0 and second.ready > 0
    before, now = (
        one.ready + one.bridges * settings.pulse_prefetch * busy for one in (first, second)
    )
    per_second = (now - before) / max(second.at - first.at, 0.001)
    missing = settings.pulse_delete_depth - now
    left = 0.0 if missing < 0 else missing / per_second if per_second > 0 else None
    return Depth(
        name=queue.name(settings),
        ready=second.ready,
        bridges=second.bridges,
        messages=now,
        per_second=per_second,
        seconds_left=left,
        state=_state(now, settings),
    )


def _state(messages: int, settings: Settings) -> State:
    if messages > settings.pulse_delete_depth:
        return "delete"
    return "warn" if messages > settings.pulse_warn_depth else "ok"
