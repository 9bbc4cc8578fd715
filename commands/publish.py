"""`pulseload publish`."""

import sys
from pathlib import Path
from typing import Final

import click
from amqp.exceptions import AccessRefused, ChannelError, MessageNacked, NotFound, PreconditionFailed
from kombu import Connection

from pipeline import announcements, bodies, jobs
from pipeline.bodies import Item
from pipeline.refusals import Refusal
from pulseload import amqp
from pulseload.errors import Failure
from pulseload.repositories import Repositories
from pulseload.sources import Kind, kind_of

MAX_BYTES: Final = 64 * 1_048_576
"""A larger payload is not read; Kafka takes 1 MiB of a message."""

_KEY_MAX_BYTES: Final = 255
_STDIN: Final = Path("-")
_PERSISTENT: Final = 2


@click.command()
@click.argument("routing_key")
@click.argument("connection_url")
@click.argument("payload_file", type=click.Path(allow_dash=True, path_type=Path))
@click.option(
    "--exchange",
    help="An existing exchange to publish to, instead of one's own exchange/<user>/jobs.",
)
@click.option(
    "--profile",
    type=click.Choice(sorted(jobs.PROFILES)),
    default="any",
    show_default=True,
    help="The form that jobs must have.",
)
@click.option(
    "--validate/--no-validate",
    default=True,
    help="Refuse what is invalid (the default), or send the file as it is.",
)
def publish(
    routing_key: str,
    connection_url: str,
    payload_file: Path,
    exchange: str | None,
    profile: str,
    validate: bool,
) -> None:
    """Publish a JSON file to one's own Pulse exchange.

    PAYLOAD_FILE holds a job, or a list of jobs; `-` is standard input. It goes to
    exchange/<user>/jobs, <user> being the one in CONNECTION_URL, which is made where it is not
    there. What was published is said once the broker has confirmed it and a queue has it.

    With --exchange, what the exchange's name says is published: messages about pushes to
    exchange/hgpushes/v1, say.

    \b
    Examples:
      pulseload publish try.staging amqp://me:secret@pulse.mozilla.org:5671/?ssl=1 job.json
      pulseload publish try.staging amqp://guest:guest@127.0.0.1:5672/ - < jobs.json
      pulseload publish try amqp://guest:guest@127.0.0.1:5672/ push.json \\
        --exchange exchange/hgpushes/v1
    """  # noqa: D301 - click's mark for text that keeps its lines
    if len(routing_key.encode(errors="replace")) > _KEY_MAX_BYTES:
        raise click.BadParameter("longer than 255 bytes", param_hint="ROUTING_KEY")
    body = _read(payload_file)
    target = exchange or f"exchange/{amqp.user(connection_url)}/jobs"
    if validate:
        kind: Kind = kind_of(exchange) if exchange else "jobs"
        _validate(body, kind, profile, payload_file)
    with amqp.connected(connection_url, confirm=True) as connection:
        _declare(connection, target, own=exchange is None)
        _publish(connection, target, routing_key, body)
    click.echo(f"published {len(body):,} bytes to {target} with the routing key {routing_key!r}")


def _read(path: Path) -> bytes:
    try:
        if path == _STDIN:
            body = sys.stdin.buffer.read(MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                body = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Failure(f"cannot read {path}: {error.strerror}") from error
    if len(body) > MAX_BYTES:
        raise Failure(f"{path} is larger than {MAX_BYTES:,} bytes; split it")
    return body


def _validate(body: bytes, kind: Kind, profile: str, path: Path) -> None:
    found = bodies.decode(body)
    if isinstance(found, Refusal):
        raise _refused(path, found.message)
    reasons = [(item.index, reason) for item in found if (reason := _judge(item, kind, profile))]
    if reasons:
        index, reason = reasons[0]
        place = "" if index is None else f"item {index}: "
        more = f" (and {len(reasons) - 1} more items)" if reasons[1:] else ""
        raise _refused(path, f"{place}{reason}{more}")


def _judge(item: Item, kind: Kind, profile: str) -> str | None:
    if isinstance(item.document, Refusal):
        return item.document.message
    if kind == "jobs":
        return jobs.judge(item, profile)
    # Whether the repository is one of ours is the worker's business.
    found = announcements.READERS[kind](item.document, Repositories(()))
    return found.message if isinstance(found, Refusal) else None


def _refused(path: Path, reason: str) -> Failure:
    name = "standard input" if path == _STDIN else path
    return Failure(f"{name}: {reason}; nothing was published (--no-validate sends it as it is)")


def _declare(connection: Connection, exchange: str, *, own: bool) -> None:
    try:
        with connection.channel() as channel:
            channel.exchange_declare(
                exchange, "topic", durable=True, auto_delete=False, passive=not own
            )
    except NotFound as error:
        raise Failure(
            f"there is no exchange {exchange}; mend --exchange, or leave it out to publish to "
            "one's own"
        ) from error
    except PreconditionFailed as error:
        raise Failure(
            f"{exchange} exists, but not as a durable topic exchange: delete it, or name it with "
            "--exchange to use it as it is"
        ) from error
    except ChannelError as error:
        raise Failure(f"{exchange}: {error.reply_text}") from error


def _publish(connection: Connection, exchange: str, routing_key: str, body: bytes) -> None:
    """Publish one message; return when the broker has confirmed it and a queue has it."""
    returned: list[str] = []
    with connection.channel() as channel:
        channel.events["basic_return"].add(lambda *answer: returned.append(answer[1]))
        message = channel.prepare_message(
            body,
            content_type="application/json",
            content_encoding="utf-8",
            properties={"delivery_mode": _PERSISTENT},
        )
        try:
            channel.basic_publish(message, exchange, routing_key, mandatory=True)
        except AccessRefused as error:
            raise Failure(
                f"the user of the URL may not write to {exchange}: leave out --exchange to "
                "publish to one's own"
            ) from error
        except (MessageNacked, ChannelError) as error:
            raise Failure(f"{exchange} did not take the message: {error}") from error
    if returned:
        raise Failure(
            f"{exchange} is there, but no queue is bound to it by {routing_key!r}, so the message "
            "went nowhere: start `pulseload bridge` with settings that name the exchange, then "
            "publish again"
        )
