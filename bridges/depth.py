"""How deep the queue at RabbitMQ is, asked by a connection of its own.

The bridge's own connection must not wait for an answer while messages come. A passive declaration
is what Pulse lets every user ask; it changes nothing.
"""

import logging
import threading
import time
from typing import Final

from bridges import queue
from pulseload import amqp, metrics
from pulseload.settings import Settings

SECONDS: Final = 5.0
"""How often it is asked."""

NEVER_SECONDS: Final = 30.0
"""For how long RabbitMQ counts as silent that has not answered yet."""

RETRY_SECONDS: Final = 10.0
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
        if self._answered is None:
            return NEVER_SECONDS + time.monotonic() - self._began
        return time.monotonic() - self._answered

    def run(self) -> None:
        """Ask, again and again."""
        while True:
            try:
                self._ask()
            except Exception as error:  # noqa: BLE001 - py-amqp raises this and that
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
