"""Sessions with Kafka, one after the other, until a bridge is asked to end."""

import asyncio
import logging
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, NoReturn

from aiokafka.errors import KafkaError

from bridges.pauses import Pauses
from bridges.transactions import Fenced, Lost
from pulseload.errors import Failure

FIRST_PAUSE: Final = 0.25
LONGEST_PAUSE: Final = 15.0
"""Seconds until Kafka is tried again."""

STEADY: Final = 10.0
"""Seconds after which Kafka counts as well again, and the pauses begin anew."""

log = logging.getLogger(__name__)


def end_when_asked() -> None:
    """Cancel the task in hand at SIGTERM and SIGINT."""
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - for the type checker
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_unheard)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, task.cancel)


def _unheard(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # One failure of Kafka is in many of aiokafka's futures; whoever waits for it is told.
    if not isinstance(context.get("exception"), KafkaError):
        loop.default_exception_handler(context)


class Sessions:
    """Begins a session anew when Kafka has failed it, with pauses between them."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._started = False

    def began(self) -> None:
        """Take note that the session in hand has begun well."""
        self._since, self._started = time.monotonic(), True

    async def run(self, session: Callable[[], Awaitable[None]]) -> NoReturn:
        """Run sessions, each of which calls `began`.

        Raises Failure where the first does not begin, and where another bridge has taken over.
        """
        told, pauses = "", Pauses(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            self._since = None
            try:
                await session()
            except Fenced:
                raise
            except (Failure, Lost) as trouble:
                if not self._started:
                    raise
                if self._was_steady():
                    told = ""
                    pauses.reset()
                if str(trouble) != told:
                    told = str(trouble)
                    log.warning("%s (waiting for Kafka)", trouble)
                await asyncio.sleep(pauses.longer())

    def _was_steady(self) -> bool:
        return self._since is not None and time.monotonic() - self._since > STEADY
