"""What a worker's log holds: what a person must know, once, and nothing that is harmless."""

import logging
import math
from typing import Final

REPEAT_SECONDS: Final = 10.0
"""A line of a library that comes again within so many seconds is only counted."""

_REMEMBERED: Final = 200
_OWN: Final = ("pipeline", "pulseload")
_HARMLESS: Final = (
    # Kafka refuses a produce for a moment after each commit (it checks the partition's part in
    # the transaction); aiokafka sends it again.
    "Got error produce response",
)


_ONCE: Final = (
    # True as long as the settings are what they are; aiokafka says so for each connection.
    "Sending username and password in the clear",
)
_PASSING: Final = (
    # A group has no coordinator while a broker starts, the very first group even a while longer.
    # If it stays so, it is told.
    "Group Coordinator Request failed",
)


class Tidy(logging.Filter):
    """Drops harmless lines and repetitions of what libraries say, and their tracebacks.

    While Kafka is away aiokafka says so ten times a second. `level` is what the user asked for:
    at DEBUG tracebacks stay.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level
        self._seen: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown; it may be shortened on the way."""
        if record.name.partition(".")[0] in _OWN:
            return True
        message = str(record.msg)
        if message.startswith(_HARMLESS) and "NotEnoughReplicas" in record.getMessage():
            return False
        if self._level > logging.DEBUG and record.exc_info and record.exc_info[1]:
            error = record.exc_info[1]
            record.msg = f"{record.getMessage()}: {type(error).__name__}: {error}"
            record.args, record.exc_info, record.exc_text = (), None, None
        return self._first((record.name, message), record)

    def _first(self, line: tuple[str, str], record: logging.LogRecord) -> bool:
        before = record.created if line[1].startswith(_PASSING) else -math.inf
        since, count = self._seen.get(line, (before, 0))
        if record.created - since < REPEAT_SECONDS:
            self._seen[line] = since, count + 1
            return False
        if len(self._seen) == _REMEMBERED:
            self._seen.clear()
        self._seen[line] = math.inf if line[1].startswith(_ONCE) else record.created, 0
        if count:
            record.msg, record.args = f"{record.getMessage()} ({count} more like this)", ()
        return True


def tidy(root: logging.Logger, level: int, form: logging.Formatter | None = None) -> None:
    """Let our own loggers speak from INFO on, and all others from `level` on.

    `form` is how lines are written, if not as Faust does.
    """
    # At the loggers and not only at the handlers: what nobody sees should not even be made, and
    # aiokafka has a line for every request and answer.
    root.setLevel(level)
    for name in _OWN:
        logging.getLogger(name).setLevel(min(level, logging.INFO))
    for handler in root.handlers:
        handler.setLevel(min(level, logging.INFO))
        handler.addFilter(Tidy(level))
        if form is not None:
            handler.setFormatter(form)
