"""`pulseload push`."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import click

from commands.reading import standing
from commands.saying import PushKey, Since, ago, columns, counted, moment, shown, since
from commands.tellings import Telling, Tellings
from commands.waiting import WaitingJob, WaitingJobs
from pipeline.joining import PENDING, PUSHES
from pulseload import settings, topics
from pulseload.partitions import partition_of
from pulseload.settings import Settings

_DAY_MS = 86_400_000


class _Found(NamedTuple):
    """What there is; `unread` is how many messages about pushes nobody has validated yet."""

    tellings: Tellings
    waiting: list[WaitingJob]
    unread: int
    began: int


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
    that were joined. Only
    Kafka is asked; no worker need run. The exit status is 1 where the push is not known.

    \b
    Examples:
      pulseload push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d
      pulseload push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d --since 7d
      pulseload push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d --json | jq .record
    """  # noqa: D301 - click's mark for text that keeps its lines
    loaded = settings.load()
    now = int(time.time() * 1_000)
    found = asyncio.run(_look(loaded, key, now - _DAY_MS if began is None else began))
    if as_json:
        click.echo(json.dumps(_report(key, found), indent=2))
    else:
        for line in _lines(key, found, now):
            click.echo(line)
    if _record(found.tellings) is None:
        raise click.exceptions.Exit(1)


async def _look(loaded: Settings, key: str, began: int) -> _Found:
    table, pending = (topics.changelog(loaded.pulseload_app_id, one) for one in (PUSHES, PENDING))
    sources = loaded.pulse_data_ingestion_sources
    mirrors = dict.fromkeys(one.topic for one in sources if one.kind != "jobs")
    inboxes = [*mirrors, topics.PUSHES_INBOX]
    number = [partition_of(key.encode(), loaded.pulseload_partitions)]
    names = [topics.PUSHES, topics.JOBS_JOINED, table, pending, *inboxes]
    async with standing(loaded, names) as log:
        ((place, read),) = ((tp, log.read[tp]) for tp in log.places([topics.PUSHES], number))
        tellings, waiting = Tellings(key, table, read), WaitingJobs(key)
        await log.visit([place, *log.places([table], number)], tellings.visit)
        await log.visit(log.places([topics.JOBS_JOINED], number), tellings.visit, began)
        await log.visit(log.places([pending], number), waiting.visit)
        return _Found(tellings, waiting.found(), log.lag(inboxes), began)


def _record(tellings: Tellings) -> dict[str, Any] | None:
    """Return the richest record: what the join knows, else the last that it will read."""
    if tellings.known is not None or not tellings.tellings:
        return tellings.known
    last = tellings.tellings[-1]
    return None if last.before is None else last.record


def _sentence(key: str, found: _Found, now: int) -> str:
    tellings, waiting = found.tellings, found.waiting
    if tellings.known is not None:
        said = f"known: the join has a record of {key}, of {ago(tellings.known_at, now)}"
    elif _record(tellings) is not None:
        said = (
            f"not read yet: a record of {key} came at {ago(tellings.tellings[-1].time, now)}, with"
            f" {counted(tellings.tellings[-1].before or 0, 'record')} before it to be read by join"
        )
    else:
        said = f"unknown: no source that was read has told of {key}"
        if found.unread:
            said += f"; {counted(found.unread, 'message')} about pushes still to be read"
    if waiting:
        oldest = min(one.since for one in waiting)
        said += f"; {counted(len(waiting), 'job')} waiting since {since(oldest, now)}"
    else:
        said += "; no job waiting"
    joined = counted(tellings.joined_count, "message") + " of jobs"
    return f"{said}; {joined} joined since {moment(found.began)}"


def _lines(key: str, found: _Found, now: int) -> Iterator[str]:
    tellings = found.tellings
    yield shown(_sentence(key, found, now))
    if tellings.tellings:
        yield ""
        yield from columns([("time", "source", "where", "knows"), *map(_row, tellings.tellings)])
    record = _record(tellings)
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


def _report(key: str, found: _Found) -> dict[str, object]:
    tellings, waiting = found.tellings, found.waiting
    oldest = min((one.since for one in waiting), default=None)
    return {
        "push": key,
        "known": tellings.known is not None,
        "record": _record(tellings),
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
