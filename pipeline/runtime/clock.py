"""What time it is, as far as the broker's clock and the worker's agree on it."""

import time


class Clock:
    """The lesser of the worker's time and what the broker's was at its last answer, run on.

    Work that becomes due is then late where one of the two clocks is behind, and never early
    because one of them is ahead or jumps: between answers only the monotonic clock counts.
    """

    def __init__(self) -> None:
        self._ahead: float | None = None

    def told(self, timestamp: int) -> None:
        """Take in what the broker's clock showed just now, in ms since 1970.

        The last answer counts, not the greatest: after a broker's clock was set back, records
        are stamped by what it shows since.
        """
        self._ahead = timestamp - time.monotonic() * 1_000

    def now(self) -> int | None:
        """Return the time in ms since 1970, or None as long as no broker has told it."""
        if self._ahead is None:
            return None
        return int(min(time.time() * 1_000, self._ahead + time.monotonic() * 1_000))
