"""`pulseload lag`."""

import asyncio
import logging
import time
from datetime import UTC, datetime
from typing import Final

import click

from commands.stopping import stoppable
from lookup.depth import Depth, Sample, depth, sample
from lookup.lag import Report, line, page
from lookup.unread import Answer, ask
from pulseload import settings
from pulseload.errors import Failure
from pulseload.settings import Settings

SAMPLE_SECONDS: Final = 3.0
"""How long the queue is watched at least to see whether it grows."""

WATCH_SECONDS: Final = 5.0


@click.command()
@click.option("--watch", is_flag=True, help="Say it again every 5 seconds, until it is stopped.")
@click.option("--waiting", is_flag=True, help="Count the jobs that wait, by reading their table.")
@click.option("--json", "as_json", is_flag=True, help="Say it as one line of JSON.")
def lag(watch: bool, waiting: bool, as_json: bool) -> None:
    """Say what is unread, how old it is, and how long Pulse's queue is.

    For each partition that a stage reads: the offset it has committed, where the committed records
    end, how many are unread, and the age of the oldest of them. For the queue: how fast it grows,
    and when Pulse Guardian would delete it. That takes some seconds. What cannot be known is said,
    and the exit status is 1 then.

    \b
    Examples:
      pulseload lag
      pulseload lag --watch
      pulseload lag --json | jq '.stages[] | select(.seconds > 60)'
    """  # noqa: D301 - click's mark for text that keeps its lines
    # What libraries log comes as an error, too.
    logging.getLogger().addHandler(logging.NullHandler())
    look = _Looker(settings.load(), waiting)
    if not watch:
        report = look.report()
        click.echo(line(report) if as_json else page(report, look.settings))
        if report.unknown:
            raise click.exceptions.Exit(1)
        return
    with stoppable():
        while True:
            report = look.report()
            if not as_json:
                click.clear()
            click.echo(line(report) if as_json else page(report, look.settings) + "\n")
            time.sleep(WATCH_SECONDS)


class _Looker:
    """Looks again and again, and remembers how long the queue was."""

    def __init__(self, loaded: Settings, waiting: bool) -> None:
        self.settings = loaded
        self._waiting = waiting
        self._sample: Sample | None = None

    def report(self) -> Report:
        """Look, and return what is known."""
        unknown: list[str] = []
        answer = Answer()
        if self._sample is None:
            self._take(unknown)
        try:
            answer = asyncio.run(ask(self.settings, self._waiting))
        except Failure as failure:
            unknown.append(str(failure))
        queue = None if self._sample is None else self._depth(self._sample, unknown)
        return Report(
            datetime.now(UTC),
            answer.partitions,
            queue,
            answer.waiting,
            [*unknown, *answer.unknown],
        )

    def _depth(self, first: Sample, unknown: list[str]) -> Depth | None:
        time.sleep(max(0.0, first.at + SAMPLE_SECONDS - time.monotonic()))
        self._take(unknown)
        return None if self._sample is None else depth(first, self._sample, self.settings)

    def _take(self, unknown: list[str]) -> None:
        try:
            self._sample = sample(self.settings)
        except Failure as failure:
            self._sample = None
            unknown.append(str(failure))
