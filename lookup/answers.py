"""Where a job is and what it waits for, in one sentence: the answer that its events give."""

from collections.abc import Iterable, Sequence
from typing import Final, Literal, NamedTuple

from lookup.events import Event
from lookup.saying import ago, counted, moment, since
from pipeline.lifecycle import REPEAT

Word = Literal[
    "push-unknown",
    "behind-lag",
    "joined",
    "suppressed",
    "expired",
    "invalid",
    "out-of-sight",
    "not-seen",
]

_WHY_EXPIRED: Final = {
    "push-unknown": "its push did not come in time",
    "too-many-for-push": "it made room for later jobs of its push",
    "too-many": "it made room for later jobs of its partition",
}
_WHY_SUPPRESSED: Final = {
    "repeat": "the same message was taken before",
    "completed": "the job was completed before",
    "stale": "the job was further on before",
}


class Answer(NamedTuple):
    """A word for what a job is in, and the sentence that begins with it."""

    word: Word
    sentence: str


class Moment(NamedTuple):
    """When the question is asked (ms since 1970), and what of the pipeline counts for the answer.

    `max_age` is how long a job may wait (ms), `workers` how many there are.
    """

    now: int
    max_age: int
    workers: int


def answer(events: Sequence[Event], at: Moment) -> Answer:
    """Return where a job is, by its events in the order of their times.

    What it waits for comes first, then what nobody has read yet, then what came of its latest
    message. A repeat is none: what was taken before counts.
    """
    waiting = [one for one in events if one.waits]
    unread = [one for one in events if one.before is not None]
    left = [one for one in events if one.stage in ("joined", "suppressed", "expired")]
    left += [one for one in events if one.stage == "dead-letter"]
    left.sort(key=lambda one: one.time)
    told = [one for one in left if one.reason != REPEAT.decode()] or left
    if waiting:
        found = _waiting(waiting, at)
    elif unread:
        found = _unread(unread, at)
    elif told:
        found = _left(told[-1], at)
    elif events:
        found = _lost(events[-1], at)
    else:
        return Answer("not-seen", "not seen: Kafka holds no message of it, as far as was looked")
    return Answer(found.word, found.sentence + _besides(found.word, left, unread, at))


def _waiting(rows: Sequence[Event], at: Moment) -> Answer:
    first = rows[0]
    due = first.time + at.max_age
    expires = (
        f"expires at {moment(due)}" if due > at.now else f"should have expired at {moment(due)}"
    )
    several = f" (the first of its {len(rows)} messages)" if rows[1:] else ""
    pushes = list(dict.fromkeys(row.push for row in rows))
    named = f"push {pushes[0]}" if len(pushes) == 1 else f"pushes {', '.join(pushes[:3])}"
    return Answer(
        "push-unknown",
        f"push unknown: it waits for the {named} since {since(first.time, at.now)}"
        f" and {expires}{several}{_idle(at) if due <= at.now else ''}",
    )


def _unread(unread: Sequence[Event], at: Moment) -> Answer:
    last = unread[-1]
    by = "join" if last.stage == "valid" else "validate"
    return Answer(
        "behind-lag",
        f"behind lag: it is in {last.place} since {since(last.time, at.now)}, where"
        f" {counted(last.before or 0, 'message')} before it"
        f" {'is' if last.before == 1 else 'are'} still to be read by {by}{_idle(at)}",
    )


def _idle(at: Moment) -> str:
    return "" if at.workers else "; no worker runs: start one with `faust -A pipeline worker`"


def _left(event: Event, at: Moment) -> Answer:
    when, state = ago(event.time, at.now), event.state or "state unknown"
    match event.stage:
        case "joined":
            return Answer(
                "joined", f"joined: with the push {event.push} at {when}, {_ended(event)}"
            )
        case "suppressed":
            why = _WHY_SUPPRESSED.get(event.reason, "for a reason unknown here")
            return Answer(
                "suppressed",
                f"suppressed: its latest message ({state}) was held back at {when} as"
                f" {event.reason}: {why} (it was {event.detail})",
            )
        case "expired":
            why = _WHY_EXPIRED.get(event.reason, "for a reason unknown here")
            return Answer(
                "expired",
                f"expired: it left at {when} without its push {event.push} as"
                f" {event.reason}: {why}",
            )
    return Answer(
        "invalid",
        f"invalid: it was refused at {when} as {event.reason}: {event.detail or 'no more is told'}",
    )


def _lost(event: Event, at: Moment) -> Answer:
    return Answer(
        "out-of-sight",
        f"out of sight: it was read from {event.place}, where it came at"
        f" {ago(event.time, at.now)}, but Kafka keeps nothing any more of what came of it",
    )


def _besides(word: Word, left: Iterable[Event], unread: Sequence[Event], at: Moment) -> str:
    """Return what else there is to tell of a job with several messages."""
    said = ""
    joined = [one for one in left if one.stage == "joined"]
    if joined and word != "joined":
        said += f"; joined before, at {ago(joined[-1].time, at.now)}, {_ended(joined[-1])}"
    if unread and word != "behind-lag":
        said += f"; {counted(len(unread), 'later message')} of it still to be read"
    return said


def _ended(joined: Event) -> str:
    result = f" ({joined.reason})" if joined.reason else ""
    return f"{joined.state or 'state unknown'}{result}"
