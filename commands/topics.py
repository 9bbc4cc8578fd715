"""`pulseload topics`."""

import asyncio
import json
from dataclasses import dataclass

import click

from pulseload import kafka, settings
from pulseload.kafka import Problem
from pulseload.settings import Settings


@dataclass(frozen=True, slots=True)
class _Outcome:
    created: list[str]
    altered: list[str]
    left: list[str]
    problems: list[Problem]


@click.command()
@click.option(
    "--alter", is_flag=True, help="Bring the configuration of existing topics to what is needed."
)
@click.option("--json", "as_json", is_flag=True, help="Say it as one JSON object.")
def topics(alter: bool, as_json: bool) -> None:
    """Create the Kafka topics that are missing.

    Topics that exist are left as they are; what is wrong with them is said, and the exit status
    is 1 then. The number of partitions of an existing topic is never changed, as its keys would
    no longer lie where its readers look; where one differs, no topic is created.

    \b
    Examples:
      pulseload topics
      pulseload topics --alter
      pulseload topics --json | jq .created
    """  # noqa: D301 - click's mark for text that keeps its lines
    outcome = asyncio.run(_topics(settings.load(), alter))
    if as_json:
        report = {
            "created": outcome.created,
            "altered": outcome.altered,
            "left": outcome.left,
            "problems": [
                {"topic": one.topic.name, "kind": one.kind, "text": one.text}
                for one in outcome.problems
            ],
        }
        click.echo(json.dumps(report, indent=2))
    else:
        for word in ("created", "altered", "left"):
            for name in getattr(outcome, word):
                click.echo(f"{word:<8} {name}")
        for one in outcome.problems:
            click.echo(f"PROBLEM  {one.text}")
    if outcome.problems:
        raise click.exceptions.Exit(1)


async def _topics(wanted: Settings, alter: bool) -> _Outcome:
    created: list[str] = []
    altered: list[str] = []
    async with kafka.admin(wanted) as client:

        async def wrong() -> list[Problem]:
            names = [topic.name for topic in wanted.topics]
            return kafka.problems(wanted.topics, await kafka.existing(client, names))

        found = await wrong()
        # Where the count itself may be the mistake, topics that have it would only add to it.
        if all(one.kind != "partitions" for one in found):
            created = await kafka.create(client, wanted.topics, wanted.pulseload_replication)
        if alter:
            altered = await kafka.alter(
                client, [one.topic for one in found if one.kind == "config"]
            )
        found = await wrong()
    touched = {*created, *altered, *(one.topic.name for one in found if one.kind == "missing")}
    left = [topic.name for topic in wanted.topics if topic.name not in touched]
    return _Outcome(created, altered, left, found)
