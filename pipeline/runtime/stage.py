"""What a stage is, as far as the runtime must know."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from pipeline.runtime.draft import Draft, Process

Tick = Callable[[int, Draft], Iterator[None]]
"""What a stage does when time passes: `(now, draft) -> iterator`.

`now` is in ms since 1970, as `pipeline.runtime.clock` tells it. It works like `Process` without
records: each `yield` is a place to commit.
"""

Waiting = Callable[[Draft], tuple[int, int | None]]
"""How many records a stage keeps waiting, and since when the oldest waits, in ms since 1970."""


@dataclass(frozen=True, slots=True)
class Stage:
    """A step of the pipeline: its input and output topics, its tables and its pure functions.

    It can send to no other topics than these.

    A *task* is a stage's work on one partition number, over all its input topics.
    """

    name: str
    inputs: Sequence[str]
    outputs: Sequence[str]
    process: Process
    tables: Sequence[str] = ()
    tick: Tick | None = None
    waiting: Waiting | None = None

    @property
    def positions(self) -> str:
        """The table every stage has.

        It holds by input topic the offset of the next record to work on, and by each table's
        changelog topic an offset that this topic reaches, each with the topic's id.
        """
        return f"{self.name}-positions"
