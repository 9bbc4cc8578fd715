"""A load of updates that are repeated and put out of order on purpose, and what must become of it.

The rules are written down here a second time, as plainly as can be.
"""

import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

import pytest

from local.reader import Read
from pulseload import topics
from pulseload.headers import PREVIOUS_STATE, SUPPRESSED_REASON
from tests.examples import body, job, push, task_id
from tests.faults.load import Event, unread
from tests.system.harness import System

STATES = ("unscheduled", "pending", "running", "completed")
LATE = 0.3
"""Which share of the pushes comes in the midst of their jobs' updates."""


class Left(NamedTuple):
    """What left: the job's bytes, the state before it, and why it was suppressed, if it was."""

    job: bytes
    previous: str | None
    reason: str | None


@dataclass
class Outcome:
    """What left for `jobs.joined` and `jobs.suppressed`, by push, in the order it stands there."""

    joined: dict[str, list[Left]] = field(default_factory=lambda: defaultdict(list))
    suppressed: dict[str, list[Left]] = field(default_factory=lambda: defaultdict(list))


def plan(seed: int, jobs: int, pushes: int) -> list[Event]:
    """Return records in the order to feed them: six a job or so, a third of them superfluous."""
    dice = random.Random(seed)
    revisions = [f"{dice.getrandbits(160):040x}" for _ in range(pushes)]
    placed: list[tuple[float, Event]] = []
    for number in range(jobs):
        of = dice.randrange(pushes)
        key = f"try:{revisions[of]}".encode()
        start = (of + dice.random() * 5) * jobs / pushes
        for at, value in enumerate(_updates(dice, number, revisions[of])):
            event = Event(topics.JOBS_INBOX, key, value)
            times = dice.choices([1, 2, 3], [75, 20, 5])[0]
            # What stands near each other changes places now and then.
            placed += [(start + at * 4 + dice.random() * 7, event) for _ in range(times)]
    for of, revision in enumerate(revisions):
        late = (5 if dice.random() < LATE else -5) * jobs / pushes
        record = Event(topics.PUSHES_INBOX, b"try:%b" % revision.encode(), body(_push(revision)))
        placed.append((of * jobs / pushes + late, record))
    return [event for _, event in sorted(placed, key=lambda pair: pair[0])]


def _push(revision: str) -> dict[str, object]:
    return push(project="try", revision=revision)


def _updates(dice: random.Random, number: int, revision: str) -> Iterable[bytes]:
    for state in STATES:
        for note in range(dice.choices([0, 1, 2], [15, 65, 20])[0]):
            yield body(
                job(
                    revision=revision,
                    taskId=task_id(number),
                    state=state,
                    reason=f"{state} for the {note}. time",
                )
            )


def expected(events: Iterable[Event]) -> Outcome:
    """Return what must become of records that were fed in this order within each push."""
    found = Outcome()
    seen: dict[str, list[bytes]] = defaultdict(list)
    for event in events:
        if event.topic != topics.JOBS_INBOX:
            continue
        document = json.loads(event.value)
        before = seen[document["taskId"]]
        previous = json.loads(before[-1])["state"] if before else None
        reason = None
        if event.value in before:
            reason = "repeat"
        elif previous == "completed":
            reason = "completed"
        elif previous and STATES.index(document["state"]) < STATES.index(previous):
            reason = "stale"
        else:
            before.append(event.value)
        place = found.suppressed if reason else found.joined
        place[event.key.decode()].append(Left(event.value, previous, reason))
    return found


def outcome(system: System) -> Outcome:
    """Return what became of it, as a read-committed reader sees it."""
    found = Outcome()
    for record in system.read(topics.JOBS_JOINED):
        assert record.value is not None
        sent, _, rest = record.value.removeprefix(b'{"job":').rpartition(b',"push":')
        met, told = json.loads(b'{"push":' + rest), json.loads(sent)
        assert met["result"] == ("success" if told["state"] == "completed" else "unknown")
        assert met["push"]["revision"] == told["origin"]["revision"]
        found.joined[_push_of(told)].append(Left(sent, _previous(record), None))
    for record in system.read(topics.JOBS_SUPPRESSED):
        assert record.value is not None
        left = Left(record.value, _previous(record), record.header(SUPPRESSED_REASON))
        found.suppressed[_push_of(json.loads(record.value))].append(left)
    return found


def _push_of(told: dict[str, dict[str, str]]) -> str:
    return f"{told['origin']['project']}:{told['origin']['revision']}"


def _previous(record: Read) -> str | None:
    found = record.headers.get(PREVIOUS_STATE)
    return found.decode() if found is not None else None


def problems(wanted: Outcome, found: Outcome) -> list[str]:
    """Return what is wrong, one line each; none if all is well.

    Of each push exactly the updates that must be joined are, in that order and each once, and
    exactly the others are suppressed, each with its reason and the state before it.
    """
    wrong = []
    for name in ("joined", "suppressed"):
        want, have = getattr(wanted, name), getattr(found, name)
        for key in sorted(want.keys() | have.keys()):
            if want[key] == have[key]:
                continue
            missing = Counter(want[key]) - Counter(have[key])
            more = Counter(have[key]) - Counter(want[key])
            how = f"{missing.total()} lacking, {more.total()} too many" if missing + more else ""
            wrong.append(f"{name} of {key}: {how or 'out of order'}")
    return wrong


def check(system: System, events: list[Event], timeout: float = 90) -> None:
    """Wait until nothing is left to read and everything has left, then judge it."""
    wanted = expected(events)
    end = time.monotonic() + timeout
    while (left := unread(system)) or (wrong := problems(wanted, outcome(system))):
        if time.monotonic() > end:
            pytest.fail(f"not read: {left}" if left else f"{len(wrong)} wrong: {wrong[:5]}")
        time.sleep(0.5)
    # What came twice may come late.
    assert problems(wanted, outcome(system)) == []
