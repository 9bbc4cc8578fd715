"""How long to wait after trouble: one's own back-off, and what a server asks for."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_ASKED: Final = 3_600.0
"""Seconds: no server is waited for longer than this at a time, whatever it asks for."""


class Pauses:
    """A back-off: each pause is twice the one before, from the first up to the longest."""

    def __init__(self, first: float, longest: float) -> None:
        self._first = self._next = first
        self._longest = longest

    def longer(self, asked: float | None = None) -> float:
        """Return the seconds of the next pause: those that a server asked for, at least.

        Each is shortened by chance by up to half.
        """
        # Not all that wait for one server at the same time.
        pause = self._next * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self._next = min(2 * self._next, self._longest)
        return pause if asked is None else asked + pause

    def reset(self) -> None:
        """Begin anew: something went well."""
        self._next = self._first


def retry_after(text: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, or None where it says nothing.

    It may be a number of seconds or a date; the outcome is from 0 to `LONGEST_ASKED`.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return bounded(float(text))
    try:
        date = parsedate_to_datetime(text)
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return bounded(seconds)


def bounded(seconds: float) -> float:
    """Return for how long a server that asks for so many seconds is waited for."""
    # What is not a number is no greater than anything.
    return min(seconds, LONGEST_ASKED) if seconds > 0 else 0.0
