"""The steps of a task's protocol, told to a watcher: there is none but in tests that end it there.

No setting reaches this: a watcher is put in by a program of its own, with `watch`.
"""

from collections.abc import Callable
from enum import StrEnum


class Step(StrEnum):
    """A place between two effects of the protocol, in the order they are passed."""

    EMPTIED = "emptied"
    """A copy is emptied, and what Kafka forgot to end is not aborted yet."""
    RESTORED = "restored"
    """A part of a changelog is in the store; more of it may follow."""
    DRAFTED = "drafted"
    """A draft is to be committed; Kafka knows nothing of it."""
    SENT = "sent"
    """Outputs, changes and offsets are with Kafka, and the transaction is open."""
    COMMITTED = "committed"
    """The transaction is committed, and the local store behind it."""
    WRITTEN = "written"
    """The local store is level again."""
    CONTINUED = "continued"
    """One transaction of a piece of work that takes several is done."""


Watcher = Callable[[Step, str], None]
"""Called with a step and the stage it is passed in."""

_watchers: list[Watcher] = []


def watch(watcher: Watcher) -> None:
    """Have a watcher called at every step of this process, from its event loop."""
    _watchers.append(watcher)


def reached(step: Step, stage: str) -> None:
    """Say that a step is reached."""
    for watcher in _watchers:
        watcher(step, stage)
