"""`pulseload pending`."""

import asyncio
import json
import time
from collections.abc import Iterator
from itertools import islice

import click

from commands.arguments import PushKey
from lookup.pending import jobs_of, oldest, waits_of
from lookup.saying import columns, counted, moment, shown, since
from lookup.waiting import Wait, WaitingJob
from pulseload import settings, topics


@click.command()
@click.option("--push", type=PushKey(), help="Tell each job that waits for this push.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=50,
    show_default=True,
    help="How many pushes, or jobs, to tell at most, the oldest first.",
)
@click.option("--json", "as_json", is_flag=True, help="Say it as one JSON object.")
def pending(push: str | None, limit: int, as_json: bool) -> None:
    """Tell which jobs wait for their push, and since when.

    By push, what has waited longest first. Only Kafka is asked; no worker need run.

    \b
    Examples:
      pulseload pending
      pulseload pending --push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d
      pulseload pending --json | jq .jobs
    """  # noqa: D301 - click's mark for text that keeps its lines
    loaded = settings.load()
    now, max_age = int(time.time() * 1_000), loaded.pending_max_age * 1_000
    if push is None:
        waits = asyncio.run(waits_of(loaded))
        report, lines = _report(waits, limit, max_age), _lines(waits, limit, now, max_age)
    else:
        jobs = asyncio.run(jobs_of(loaded, push))
        report = _report_of(push, jobs, limit, max_age)
        lines = _lines_of(push, jobs, limit, now, max_age)
    if as_json:
        click.echo(json.dumps(report, indent=2))
    else:
        for line in lines:
            click.echo(line)


def _lines(waits: list[Wait], limit: int, now: int, max_age: int) -> Iterator[str]:
    jobs = sum(one.jobs for one in waits)
    if not waits:
        yield "no job waits for a push"
        return
    verb = "waits" if jobs == 1 else "wait"
    yield f"{counted(jobs, 'job')} {verb} for {counted(len(waits), 'push', 'pushes')}"
    yield ""
    rows = [
        (f"{one.jobs:,}", since(one.since, now), moment(one.since + max_age), shown(one.push))
        for one in oldest(waits, limit)
    ]
    yield from columns([("jobs", "since", "first expires", "push"), *rows])
    if len(waits) > limit:
        yield f"… and {counted(len(waits) - limit, 'more push', 'more pushes')} (--limit)"


def _lines_of(
    push: str, jobs: list[WaitingJob], limit: int, now: int, max_age: int
) -> Iterator[str]:
    if not jobs:
        yield shown(f"no job waits for {push}")
        return
    verb = "waits" if len(jobs) == 1 else "wait"
    yield shown(f"{counted(len(jobs), 'job')} {verb} for {push}")
    yield ""
    rows = [
        (
            since(one.since, now),
            moment(one.since + max_age),
            shown(one.state),
            shown(one.job),
            f"{topics.JOBS_VALID}/{one.partition}/{one.offset}",
        )
        for one in islice(jobs, limit)
    ]
    yield from columns([("since", "expires", "state", "job", "where"), *rows])
    if len(jobs) > limit:
        yield f"… and {counted(len(jobs) - limit, 'more job')} (--limit)"


def _report(waits: list[Wait], limit: int, max_age: int) -> dict[str, object]:
    return {
        "jobs": sum(one.jobs for one in waits),
        "pushes": len(waits),
        "waiting": [
            {**one._asdict(), "since": moment(one.since), "expires": moment(one.since + max_age)}
            for one in oldest(waits, limit)
        ],
    }


def _report_of(push: str, jobs: list[WaitingJob], limit: int, max_age: int) -> dict[str, object]:
    return {
        "push": push,
        "jobs": len(jobs),
        "waiting": [
            {
                **one._asdict(),
                "topic": topics.JOBS_VALID,
                "since": moment(one.since),
                "expires": moment(one.since + max_age),
            }
            for one in islice(jobs, limit)
        ],
    }
