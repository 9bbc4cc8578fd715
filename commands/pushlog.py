"""`pulseload pushlog`."""

import click

from bridges.pushlog.__main__ import main


@click.command()
def pushlog() -> None:
    """Poll the push logs of hg repositories, and write their pushes to Kafka, until it is stopped.

    Polled are the repositories of pulseload_repositories that are active, of hg, and without
    `pushlog: false`. One runs at a time: a second takes over from the first.

    \b
    Examples:
      pulseload pushlog
      PUSHLOG_INTERVAL=5m pulseload pushlog
      python -m bridges.pushlog           the same
    """  # noqa: D301 - click's mark for text that keeps its lines
    main()
