"""What the bridges have in common as programs: their log, their settings, their exit status."""

import asyncio
import logging
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from pulseload import settings
from pulseload.errors import Failure
from pulseload.log_lines import JsonLines
from pulseload.settings import Settings

log = logging.getLogger(__name__)


def _shown(record: logging.LogRecord) -> bool:
    # Libraries speak of each attempt and of what comes back as an error anyhow. They are silenced
    # here and not at their loggers: why Kafka does not answer is known from what aiokafka says.
    return record.name.partition(".")[0] not in ("aiokafka", "amqp", "kombu")


def main(name: str, run: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    """Run a bridge; exits with 0 when asked to end, with 1 and one line on a failure."""
    logging.basicConfig(
        level=logging.INFO,
        format=f"%(asctime)s %(levelname)s {name}: %(message)s",
        stream=sys.stderr,
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(_shown)
    try:
        wanted = settings.load()
        if wanted.pulseload_log == "json":
            for handler in logging.getLogger().handlers:
                handler.setFormatter(JsonLines())
        for line in settings.unknown_names():
            log.warning("%s", line)
        asyncio.run(run(wanted))
    except Failure as failure:
        print(f"pulseload: {failure}", file=sys.stderr)
        sys.exit(1)
