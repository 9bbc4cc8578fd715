"""`pulseload job`."""

import asyncio
import json
from collections.abc import Iterator

import click

from commands.arguments import Since
from lookup.events import Event
from lookup.job import Found, look
from lookup.saying import columns, counted, moment, shown
from pulseload import settings

_NOT_SEEN = (
    "It may still be in RabbitMQ, or was never sent, or is older than what is kept:\n"
    "`pulseload check --section pulse` tells how many messages wait in the queue, and whether a\n"
    "bridge runs; `pulseload bridge` is one."
)
_WIDER = "Leave out --since to have all looked at that is kept."


@click.command()
@click.argument("job_id", metavar="ID")
@click.option(
    "--since",
    type=Since(),
    help="Leave out what came before: 90m, 2h, 7d, or a time. What waits is looked at anyway.",
)
@click.option("--json", "as_json", is_flag=True, help="Say it as one JSON object.")
def job(job_id: str, since: int | None, as_json: bool) -> None:
    """Tell where a job is, and what it waits for.

    ID is its taskId, such as 7c1e5202-4d0a-4b8e-9a63-0f2d8c5b71e4/0: a task, a slash, a run. It is
    looked for in all that Kafka keeps, unless --since says from when on: inboxes are looked through
    from one end to the other, some 100,000 messages a second. Only Kafka is asked; no worker need
    run. The exit status is 1 where nothing of it is found.

    \b
    Examples:
      pulseload job 7c1e5202-4d0a-4b8e-9a63-0f2d8c5b71e4/0
      pulseload job 7c1e5202-4d0a-4b8e-9a63-0f2d8c5b71e4/0 --since 2h
      pulseload job 7c1e5202-4d0a-4b8e-9a63-0f2d8c5b71e4/0 --json | jq -r .answer
    """  # noqa: D301 - click's mark for text that keeps its lines
    if not job_id:
        raise click.BadParameter("empty", param_hint="ID")
    found = asyncio.run(look(settings.load(), job_id, since))
    if as_json:
        click.echo(json.dumps(_report(job_id, since, found), indent=2))
    else:
        for line in _lines(since, found):
            click.echo(line)
    if not found.events:
        raise click.exceptions.Exit(1)


def _lines(since: int | None, found: Found) -> Iterator[str]:
    yield shown(found.answer.sentence)
    if found.events:
        yield ""
        head = ("time", "stage", "state", "where", "what")
        yield from columns([head, *map(_row, found.events)])
        yield ""
    else:
        yield _NOT_SEEN
        if since is not None:
            yield _WIDER
    began = "all that is kept" if since is None else f"what came since {moment(since)}"
    looked = counted(found.records, "record")
    yield f"Looked at {began} in {', '.join(found.inboxes)} and behind them: {looked}."


def _row(event: Event) -> tuple[str, ...]:
    after = "after " if event.stage == "suppressed" and event.detail else ""
    what = [event.reason, after + event.detail]
    if event.stage in ("valid", "waiting", "joined"):
        what.insert(0, event.push)
    if event.before is not None:
        what.append(f"not read yet, {event.before:,} before it")
    if event.waits:
        what.append("waits")
    text = ", ".join(shown(one) for one in what if one)
    return moment(event.time), event.stage, shown(event.state), event.place, text


def _report(job_id: str, since: int | None, found: Found) -> dict[str, object]:
    return {
        "job": job_id,
        "answer": found.answer.word,
        "sentence": found.answer.sentence,
        "since": None if since is None else moment(since),
        "topics": found.inboxes,
        "records": found.records,
        "events": [{**event._asdict(), "time": moment(event.time)} for event in found.events],
    }
