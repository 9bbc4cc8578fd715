"""`pulseload bridge`."""

import click

from bridges.__main__ import main


@click.command()
def bridge() -> None:
    """Copy messages from Pulse to Kafka, until it is stopped.

    \b
    Examples:
      pulseload bridge
      PULSE_DATA_INGESTION_CONFIG=amqp://me:secret@pulse.mozilla.org:5671/?ssl=1 pulseload bridge
      python -m bridges                   the same
    """  # noqa: D301 - click's mark for text that keeps its lines
    main()
