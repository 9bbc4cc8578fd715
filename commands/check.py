"""`pulseload check`."""

import asyncio
import json
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Literal

import click
from amqp.exceptions import ChannelError, NotFound
from kombu import Connection

from bridges import bindings, queue
from pulseload import amqp, kafka, settings
from pulseload.errors import Failure
from pulseload.settings import Settings

Verdict = Literal["ok", "problem", "unknown"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; where it is a problem, `text` says how to mend it."""

    section: str
    verdict: Verdict
    text: str


@click.command()
@click.option(
    "--section",
    "chosen",
    multiple=True,
    type=click.Choice(["settings", "kafka", "pulse"]),
    help="Look at this only; may be given several times.",
)
@click.option("--json", "as_json", is_flag=True, help="Say it as one JSON list.")
def check(chosen: tuple[str, ...], as_json: bool) -> None:
    """Look for what is wrong with settings, brokers, topics and bindings.

    Nothing is changed. The exit status is 1 where anything is wrong.

    \b
    Examples:
      pulseload check
      pulseload check --section kafka
      pulseload check --json | jq '.[] | select(.verdict == "problem")'
    """  # noqa: D301 - click's mark for text that keeps its lines
    found: list[Finding] = []
    for finding in _findings(chosen or tuple(_SECTIONS)):
        found.append(finding)
        if not as_json:
            mark = finding.verdict.upper() if finding.verdict == "problem" else finding.verdict
            click.echo(f"{mark:<8} {finding.section:<9} {finding.text}")
    if as_json:
        click.echo(json.dumps([asdict(one) for one in found], indent=2))
    if any(one.verdict == "problem" for one in found):
        raise click.exceptions.Exit(1)


def _findings(sections: Iterable[str]) -> Iterator[Finding]:
    try:
        loaded = settings.load()
    except Failure as failure:
        # Nothing else can be looked at without them.
        yield Finding("settings", "problem", str(failure))
        return
    for section in sections:
        try:
            for verdict, text in _SECTIONS[section](loaded):
                yield Finding(section, verdict, text)
        except Failure as failure:
            yield Finding(section, "problem", str(failure))


_Lines = Iterator[tuple[Verdict, str]]


def _settings(loaded: Settings) -> _Lines:
    sources = len(loaded.pulse_data_ingestion_sources)
    repositories = len(loaded.pulseload_repositories)
    polled = sum(one.polled for one in loaded.pulseload_repositories)
    yield "ok", f"exchanges to read: {sources}, repositories: {repositories}, to poll: {polled}"
    for line in settings.unknown_names():
        yield "problem", line


def _kafka(loaded: Settings) -> _Lines:
    found = asyncio.run(_topics(loaded))
    yield "ok", f"Kafka at {', '.join(loaded.kafka_servers)} answers"
    wrong = kafka.problems(loaded.topics, found)
    for one in wrong:
        yield "problem", one.text
    right = len(loaded.topics) - len({one.topic.name for one in wrong})
    if right:
        yield "ok", f"{right} topics are as they must be, {loaded.pulseload_partitions} partitions"


async def _topics(loaded: Settings) -> dict[str, kafka.Existing]:
    async with kafka.admin(loaded) as client:
        return await kafka.existing(client, [topic.name for topic in loaded.topics])


def _pulse(loaded: Settings) -> _Lines:
    with amqp.connected(loaded.pulse_data_ingestion_config) as connection:
        yield "ok", f"RabbitMQ takes the login of {loaded.pulse_url_shown}"
        yield from chain.from_iterable(
            _exchange(connection, source.exchange) for source in loaded.pulse_data_ingestion_sources
        )
        if (yield from _queue(connection, queue.name(loaded))):
            yield from _bindings(connection, loaded)


def _exchange(connection: Connection, name: str) -> _Lines:
    try:
        with connection.channel() as channel:
            channel.exchange_declare(name, "topic", passive=True)
        yield "ok", f"{name} exists"
    except NotFound:
        if name.startswith(f"exchange/{connection.userid}/"):
            yield "ok", f"{name} is not there yet; the bridge makes it when it starts"
        else:
            mend = "mend pulse_data_ingestion_sources, or wait until its owner has made it"
            yield "problem", f"{name} does not exist; {mend}"
    except ChannelError as error:
        yield "problem", f"{name}: {error.reply_text}; ask its owner for the permission to read"


def _queue(connection: Connection, name: str) -> Generator[tuple[Verdict, str], None, bool]:
    try:
        with connection.channel() as channel:
            state = channel.queue_declare(name, passive=True)
    except NotFound:
        text = "the bridge makes it when it starts, and gets nothing of what is published before"
        yield "unknown", f"{name} is not there: {text}"
        return False
    except ChannelError as error:
        yield "problem", f"{name}: {error.reply_text}; mend pulse_queue"
        return False
    yield (
        "ok",
        f"{name}: messages that wait: {state.message_count}, bridges: {state.consumer_count}",
    )
    return True


def _bindings(connection: Connection, loaded: Settings) -> _Lines:
    mine = queue.name(loaded)
    if loaded.pulse_bindings_api is None:
        yield "unknown", f"the bindings of {mine}: set pulse_bindings_api to have them looked at"
        return
    try:
        there = bindings.existing(loaded.pulse_bindings_api, connection.virtual_host, mine)
    except bindings.UnknownBindings as unknown:
        yield "problem", f"{unknown}; mend pulse_bindings_api, or leave it out"
        return
    wanted = bindings.wanted(loaded.pulse_data_ingestion_sources)
    missing = [one for one in wanted if one not in there]
    stale = bindings.stale(there, loaded.pulse_data_ingestion_sources)
    for one in missing:
        text = f"{mine} is not bound to {one.exchange} by {one.routing_key}"
        yield "problem", f"{text}; start the bridge again, it makes all bindings"
    for one in stale:
        text = f"{mine} is bound to {one.exchange} by {one.routing_key} for no setting"
        yield "problem", f"{text}; start the bridge again, it removes such bindings"
    if not missing and not stale:
        yield "ok", f"{mine} has the {len(wanted)} bindings that the settings name"


_SECTIONS: dict[str, Callable[[Settings], _Lines]] = {
    "settings": _settings,
    "kafka": _kafka,
    "pulse": _pulse,
}
