"""How deep the queue at RabbitMQ is, asked by a connection of its own.

The bridge's own connection must not wait for an answer while messages come. A passive declaration
is what Pulse lets every user ask; it changes nothing.
"""

import logging
import threading
import time
from typing import Final

from amqp.exceptions import AMQPError

from bridges import queue
from pulseload import amqp, metrics
from pulseload.errors import Failure
from pulseload.settings import Settings

SECONDS: Final = 5.0
"""How often it is asked."""

RETRY_SECONDS: Final = 30.0
"""How long after a failure it is asked again."""

log = logging.getLogger(__name__)


class Depth(threading.Thread):
    """Sets `metrics.QUEUE_MESSAGES` and `QUEUE_SILENT_SECONDS` until the process ends."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True, name="queue depth")
        self._settings = settings
        self._began = time.monotonic()
        self._answered: float | None = None
        metrics.QUEUE_SILENT_SECONDS.set_function(self._silent)

    def _silent(self) -> float:
        return time.monotonic() - (self._answered or self._began)

    def run(self) -> None:
        """Ask, again and again."""
        while True:
            try:
                self._ask()
            except (Failure, AMQPError, OSError) as error:
                log.debug("the depth of the queue is not known: %s", error)
            time.sleep(RETRY_SECONDS)

    def _ask(self) -> None:
        name = queue.name(self._settings)
        with amqp.connected(self._settings.pulse_data_ingestion_config) as connection:
            while True:
                with connection.channel() as channel:
                    declared = channel.queue_declare(name, passive=True)
                metrics.QUEUE_MESSAGES.set(declared.message_count)
                self._answered = time.monotonic()
                connection.heartbeat_check()
                time.sleep(SECONDS)
