"""How long to wait after trouble: one's own back-off, and what a server asks for."""

import random
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

FIRST: Final = 2.0
LONGEST: Final = 300.0
"""Seconds: each pause is twice the one before, up to the longest."""

LONGEST_ASKED: Final = 3_600.0
"""Seconds: no server is waited for longer than this at a time, whatever it asks for."""


class Pauses:
    """The growing pauses of one repository's back-off."""

    def __init__(self) -> None:
        self._next = FIRST

    def longer(self, asked: float | None) -> float:
        """Return the seconds of the next pause: those that a server asked for, at least."""
        # Not all repositories at the same time.
        pause = self._next * random.uniform(0.5, 1)  # noqa: S311 - no secret
        self._next = min(2 * self._next, LONGEST)
        return pause if asked is None else asked + pause

    def reset(self) -> None:
        """Begin anew: something went well."""
        self._next = FIRST


def retry_after(text: str | None, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for, or None where it says nothing.

    It may be a number of seconds or a date; the outcome is from 0 to `LONGEST_ASKED`.
    """
    text = (text or "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_ASKED)
    try:
        date = parsedate_to_datetime(text)
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - now).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_ASKED)
