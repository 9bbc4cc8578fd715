"""The local Pulse: the exchanges that Mozilla's services would have made.

`python -m local.exchanges` makes them on the RabbitMQ that the settings name.
"""

import sys
from typing import Final

from kombu import Exchange

from pulseload import amqp, settings
from pulseload.errors import Failure

USUAL: Final = (
    "exchange/guest/jobs",
    "exchange/taskcluster-treeherder/v1/jobs",
    "exchange/hgpushes/v1",
    "exchange/taskcluster-github/v1/push",
    "exchange/taskcluster-github/v1/pull-request",
)


def needed(configured: settings.Settings) -> list[str]:
    """Return the usual exchanges and those that the settings read."""
    sources = [source.exchange for source in configured.pulse_data_ingestion_sources]
    return list(dict.fromkeys([*USUAL, *sources]))


def declare(url: str, names: list[str]) -> None:
    """Make topic exchanges on a RabbitMQ; raises Failure where that cannot be."""
    with amqp.connected(url) as connection:
        for name in names:
            Exchange(name, type="topic", durable=True)(connection.default_channel).declare()


def main() -> None:
    """Make what the settings need."""
    try:
        configured = settings.load()
        names = needed(configured)
        declare(configured.pulse_data_ingestion_config, names)
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")
    print(f"on {configured.pulse_url_shown}: {', '.join(names)}")


if __name__ == "__main__":
    main()
