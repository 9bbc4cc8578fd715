"""What a worker's log holds: one line for what a person must know, none for what is harmless."""

import asyncio
import logging

from aiokafka.errors import KafkaError

from pulseload.errors import Failure

_HARMLESS = (
    # Kafka refuses a produce for a moment after each commit (it checks the partition's part in
    # the transaction); aiokafka sends it again.
    "Got error produce response",
    # Each is tried again until it works or its time is over, and then told as an error.
    "Group Coordinator Request failed",
    "Unable to update metadata",
    "Unable connect to node",
)
_OWN = ("pipeline.", "pulseload.")
_ENDINGS = (Failure, KafkaError, asyncio.TimeoutError)


class Tidy(logging.Filter):
    """Drops harmless lines, and tells once, without a traceback, why a worker ends.

    Lines below `level` pass only from our own loggers.
    """

    def __init__(self, level: int) -> None:
        super().__init__()
        self._level = level
        self._told: BaseException | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a record is shown; it may be shortened on the way."""
        if record.levelno < self._level and not record.name.startswith(_OWN):
            return False
        if record.name.startswith("aiokafka"):
            return not str(record.msg).startswith(_HARMLESS)
        reason = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if not isinstance(reason, _ENDINGS):
            return True
        if self._told is not None:
            return False
        self._told = reason
        name = "" if isinstance(reason, Failure) else f"{type(reason).__name__}: "
        record.msg, record.args = f"this worker ends: {name}{reason}", ()
        record.exc_info = record.exc_text = None
        return True


def tidy(root: logging.Logger, level: int) -> None:
    """Let our own loggers speak from INFO on, and all others from `level` on."""
    for handler in root.handlers:
        handler.setLevel(min(level, logging.INFO))
        handler.addFilter(Tidy(level))
