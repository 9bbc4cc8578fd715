"""`pulseload push`."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

import click

from commands.arguments import PushKey, Since
from lookup.push import DAY_MS, Found, look, record_of, sentence
from lookup.saying import columns, counted, moment, shown
from lookup.tellings import Telling
from pulseload import settings, topics


@click.command()
@click.argument("key", metavar="PROJECT:REVISION", type=PushKey())
@click.option(
    "--since",
    "began",
    type=Since(),
    help="From when on joined jobs are counted: 90m, 2h, 7d, or a time.  [default: 1d]",
)
@click.option("--json", "as_json", is_flag=True, help="Say it as one JSON object.")
def push(key: str, began: int | None, as_json: bool) -> None:
    """Tell what is known of a push, and which jobs wait for it.

    REVISION is as jobs name it, 40 digits. Told are the records that the topic `pushes` still has
    of it and where they came from, what is known in all, how many jobs wait for it, and the latest
    that were joined. Only Kafka is asked; no worker need run. The exit status is 1 where the push
    is not known.

    \b
    Examples:
      pulseload push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d
      pulseload push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d --since 7d
      pulseload push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d --json | jq .record
    """  # noqa: D301 - click's mark for text that keeps its lines
    loaded = settings.load()
    now = int(time.time() * 1_000)
    found = asyncio.run(look(loaded, key, now - DAY_MS if began is None else began))
    if as_json:
        click.echo(json.dumps(_report(key, found), indent=2))
    else:
        for line in _lines(key, found, now):
            click.echo(line)
    if record_of(found.tellings) is None:
        raise click.exceptions.Exit(1)


def _lines(key: str, found: Found, now: int) -> Iterator[str]:
    tellings = found.tellings
    yield shown(sentence(key, found, now))
    if tellings.tellings:
        yield ""
        yield from columns([("time", "source", "where", "knows"), *map(_row, tellings.tellings)])
    record = record_of(tellings)
    if record is not None:
        yield ""
        yield "In all:"
        yield json.dumps(record, indent=2, ensure_ascii=True)
    if tellings.joined:
        yield ""
        rows = [
            (moment(one.time), shown(one.state), shown(one.result), shown(one.job), _place(one))
            for one in tellings.joined
        ]
        yield from columns([("joined", "state", "result", "job", "where"), *rows])


def _row(telling: Telling) -> Sequence[str]:
    record = telling.record
    commits = record.get("revisions", ())
    knows: list[str] = [
        name for name in ("author", "push_timestamp", "push_id", "url") if name in record
    ]
    knows += [counted(len(commits), "commit")] if commits else []
    knows += ["not read yet"] if telling.before is not None else []
    place = f"{topics.PUSHES}/{telling.partition}/{telling.offset}"
    return moment(telling.time), shown(telling.source), place, ", ".join(knows) or "its revision"


def _place(one: Any) -> str:
    return f"{topics.JOBS_JOINED}/{one.partition}/{one.offset}"


def _report(key: str, found: Found) -> dict[str, object]:
    tellings, waiting = found.tellings, found.waiting
    oldest = min((one.since for one in waiting), default=None)
    return {
        "push": key,
        "known": tellings.known is not None,
        "record": record_of(tellings),
        "records": [
            {"topic": topics.PUSHES, **one._asdict(), "time": moment(one.time)}
            for one in tellings.tellings
        ],
        "unread": found.unread,
        "waiting": {
            "jobs": len(waiting),
            "since": None if oldest is None else moment(oldest),
        },
        "joined": {
            "since": moment(found.began),
            "messages": tellings.joined_count,
            "latest": [
                {"topic": topics.JOBS_JOINED, **one._asdict(), "time": moment(one.time)}
                for one in tellings.joined
            ],
        },
    }
