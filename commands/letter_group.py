"""The commands `list`, `show` and `replay`, for letters of one kind."""

import asyncio
import json
import logging
from collections.abc import Sequence
from contextlib import aclosing

import click

from commands.arguments import PositionType, Since
from letters.letter import Letter, Position, Selection
from letters.reading import listed, one
from letters.replay import Tally, Wanted, rehearse, replay
from letters.wording import HEADING, line, page, summary, whole
from pulseload import settings

_OPTIONS = {
    "topic": "Of which topic.",
    "reason": "Only those of this reason; may be given several times.",
    "since": "Only those put aside then or later: 2026-04-02, 2026-04-02T09:30 (UTC), or 2h ago.",
    "until": "Only those put aside before.",
}


def group(name: str, topics: Sequence[str], about: str, reason: str) -> click.Group:
    """Return the commands for what is in some topics; `reason` is one for the examples."""
    topic = click.option(
        "--topic",
        type=click.Choice(topics),
        default=topics[0],
        show_default=True,
        # Where there is but one, there is nothing to say.
        hidden=len(topics) == 1,
        help=_OPTIONS["topic"],
    )
    reasons = click.option("--reason", "reasons", multiple=True, help=_OPTIONS["reason"])
    since = click.option("--since", type=Since(), help=_OPTIONS["since"])
    until = click.option("--until", type=Since(), help=_OPTIONS["until"])
    as_json = click.option("--json", "as_json", is_flag=True, help="Say it as JSON.")

    command = f"pulseload {name}"

    @click.group(name, help=f"{about}\n\nPositions are written as partition/offset.")
    def commands() -> None:
        # aiokafka speaks of each attempt; what comes of them is told anyhow.
        logging.getLogger("aiokafka").addHandler(logging.NullHandler())

    @commands.command(
        "list",
        help=f"""List them, partition by partition, as far as there are any when it begins.

        With --json each line is a JSON object.

        \b
        Examples:
          {command} list --since 2h
          {command} list --reason {reason} --limit 20
          {command} list --limit 20 --after 0/1234
          {command} list --json | jq -r .job_id
        """,
    )
    @reasons
    @since
    @until
    @topic
    @click.option("--limit", type=click.IntRange(min=1), help="No more than so many.")
    @click.option("--after", type=PositionType(), help="Only those behind this position.")
    @as_json
    def list_(
        reasons: tuple[str, ...],
        since: int | None,
        until: int | None,
        topic: str,
        limit: int | None,
        after: Position | None,
        as_json: bool,
    ) -> None:
        selection = Selection(frozenset(reasons), since, until)
        asyncio.run(_list(topic, selection, limit, after, as_json))

    @commands.command(
        help=f"""Show one with its headers, and its bytes; JSON is indented.

        With --json the bytes are as they came: text, or Base64 where they are no UTF-8.

        \b
        Examples:
          {command} show 2/17
          {command} show 2/17 --json | jq -r .value
        """
    )
    @click.argument("position", type=PositionType())
    @topic
    @as_json
    def show(position: Position, topic: str, as_json: bool) -> None:
        letter = asyncio.run(one(settings.load(), topic, position))
        click.echo(json.dumps(whole(letter), indent=2) if as_json else page(letter))

    @commands.command(
        "replay",
        help=f"""Send them to their inbox once more, as they came.

        Without --yes it says what it would send and where, and sends nothing. What was sent is
        remembered, and is not sent again. It may be ended at any moment, and started again.

        \b
        Examples:
          {command} replay --reason {reason} --since 2h
          {command} replay --reason {reason} --since 2h --yes
          {command} replay 2/17 3/4 --yes
        """,
    )
    @click.argument("positions", type=PositionType(), nargs=-1)
    @reasons
    @since
    @until
    @topic
    @click.option("--yes", is_flag=True, help="Send them.")
    def replay_(
        positions: tuple[Position, ...],
        reasons: tuple[str, ...],
        since: int | None,
        until: int | None,
        topic: str,
        yes: bool,
    ) -> None:
        wanted = Wanted(topic, positions, Selection(frozenset(reasons), since, until))
        if yes:
            _replay(wanted)
        else:
            tally = asyncio.run(rehearse(settings.load(), wanted, _say))
            click.echo(tally.said("would send") + ("; --yes sends" if tally.sent else ""))

    return commands


async def _list(
    topic: str, selection: Selection, limit: int | None, after: Position | None, as_json: bool
) -> None:
    left, headed = limit, as_json
    async with aclosing(listed(settings.load(), topic, selection, after)) as found:
        async for letter in found:
            if not headed:
                click.echo(HEADING)
                headed = True
            click.echo(json.dumps(summary(letter)) if as_json else line(letter))
            left = left - 1 if left else None
            if left == 0:
                click.echo(f"there may be more: --after {letter.position}", err=True)
                return
    # Also where there is none; not where Kafka fails.
    if not headed:
        click.echo(HEADING)


def _say(letter: Letter, why: str | None) -> None:
    what = f"left, {why}" if why else f"to {letter.inbox}/{letter.position.partition}"
    click.echo(f"{line(letter)}  {what}")


def _replay(wanted: Wanted) -> None:
    tally = Tally()
    try:
        asyncio.run(replay(settings.load(), wanted, tally))
    except BaseException:
        if tally.sent:
            click.echo(
                f"ended early: {tally.said('sent')}; the same again sends the rest", err=True
            )
        raise
    click.echo(tally.said("sent"))
