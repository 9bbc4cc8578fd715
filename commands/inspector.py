"""`pulseload inspect`."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Final

import click

from commands.stopping import stop_noted, stoppable
from lookup.exchange import received
from lookup.messages import Message, line, page, wanted
from pulseload import settings

_NAME_MAX_BYTES: Final = 255


@click.command("inspect")
@click.argument("exchange")
@click.argument("routing_key", default="#")
@click.option("--count", type=click.IntRange(min=1), help="End after so many messages.")
@click.option(
    "--match",
    "conditions",
    metavar="TEXT|KEY=VALUE",
    multiple=True,
    help="Show only messages with this text, or with this value of a field of the body; "
    "given several times, all must hold.",
)
@click.option("--json", "as_json", is_flag=True, help="Show each message as one line of JSON.")
def inspect(
    exchange: str,
    routing_key: str,
    count: int | None,
    conditions: tuple[str, ...],
    as_json: bool,
) -> None:
    """Show the messages of a Pulse exchange as they come, until it is stopped.

    ROUTING_KEY chooses among them; `*` stands for a word in it, `#` (the default) for any number of
    words. They are read by a queue of one's own that is gone at the end: the bridge's queue is left
    alone, and what was published before does not come.

    \b
    Examples:
      pulseload inspect exchange/taskcluster-treeherder/v1/jobs
      pulseload inspect exchange/taskcluster-treeherder/v1/jobs 'tc-treeherder.try.#' --count 1
      pulseload inspect exchange/hgpushes/v1 --match integration/autoland
      pulseload inspect exchange/taskcluster-treeherder/v1/jobs \\
        --match origin.project=autoland --match state=completed --json | jq .body.taskId
    """  # noqa: D301 - click's mark for text that keeps its lines
    for name, text in (("EXCHANGE", exchange), ("ROUTING_KEY", routing_key)):
        if len(text.encode(errors="replace")) > _NAME_MAX_BYTES:
            raise click.BadParameter("longer than 255 bytes", param_hint=name)
    url = settings.load().pulse_data_ingestion_config

    def ready() -> None:
        click.echo(f"listening to {exchange} by {routing_key!r}; Ctrl-C ends it", err=True)

    shown = others = 0
    with (
        stoppable(),
        stop_noted() as stop,
        closing(received(url, exchange, routing_key, stop, ready)) as deliveries,
    ):
        for delivery in deliveries:
            message = Message.of(delivery, datetime.now(UTC))
            if not wanted(message, conditions):
                others += 1
                continue
            click.echo(line(message) if as_json else page(message))
            shown += 1
            if shown == count:
                break
    click.echo(f"shown: {shown}, others: {others}", err=True)
