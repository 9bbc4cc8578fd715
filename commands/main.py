"""The `pulseload` command: what all its parts have in common."""

import logging
from typing import Any

import click

import pulseload
from commands.bridge import bridge
from commands.check import check
from commands.contracts import contracts
from commands.dead_letters import dead_letters
from commands.expired import expired
from commands.github_pushes import github_pushes
from commands.inspector import inspect
from commands.job import job
from commands.lag import lag
from commands.pending import pending
from commands.publish import publish
from commands.push import push
from commands.pushlog import pushlog
from commands.topics import topics
from pulseload.errors import Failure

_INTERRUPTED = 130
"""The exit status of a program that Ctrl-C ended, by the shells' convention."""


class _Group(click.Group):
    """Says failures in one line on standard error, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        # What aiokafka tries again by itself is no news; what fails is said in one line.
        logging.getLogger("aiokafka").addHandler(logging.NullHandler())
        try:
            return super().invoke(ctx)
        except Failure as failure:
            click.echo(f"pulseload: {failure}", err=True)
            ctx.exit(1)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)


@click.group(
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(pulseload.__version__, prog_name="pulseload", message="%(prog)s %(version)s")
def main() -> None:
    """Mozilla Pulse to Kafka: jobs joined with their pushes, exactly once and nothing lost.

    \b
    Settings are read from pulseload.yml, or the file that PULSELOAD_CONFIG names, and from the
    environment; docs/settings.md lists them all.

    \b
    Examples:
      pulseload check                     what is wrong, and how to mend it
      pulseload lag                       what is unread, and how long Pulse's queue is
      pulseload topics                    create the Kafka topics
      pulseload bridge                    run the bridge from Pulse to Kafka
      pulseload job 7c1e5202-4d0a-4b8e-9a63-0f2d8c5b71e4/0     where a job is
      pulseload push autoland:6b0d2f8e41c97a35d0e6b8142fa95c7370e81b2d   what is known of a push
      pulseload pending                   which jobs wait for their push
      pulseload pushlog                   poll the push logs of hg repositories
      pulseload github-pushes             ask GitHub for the commits of its pushes
      pulseload contracts                 what the topics promise, as AsyncAPI
      pulseload publish try.staging amqp://me:secret@pulse.mozilla.org:5671/?ssl=1 job.json
      pulseload inspect exchange/hgpushes/v1
      pulseload dead-letters list         what could not be used, and why
      pulseload expired replay --yes      send jobs once more that waited too long
      faust -A pipeline worker            run a worker
    """  # noqa: D301 - click's mark for text that keeps its lines


main.add_command(bridge)
main.add_command(check)
main.add_command(dead_letters)
main.add_command(expired)
main.add_command(contracts)
main.add_command(github_pushes)
main.add_command(job)
main.add_command(pending)
main.add_command(inspect)
main.add_command(lag)
main.add_command(publish)
main.add_command(push)
main.add_command(pushlog)
main.add_command(topics)

if __name__ == "__main__":
    main()
