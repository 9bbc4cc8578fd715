"""One line on standard error that changes, where a person looks at it."""

import sys
import threading
import time
from typing import Final

_SECONDS: Final = 0.2
_AGAIN: Final = "\r\x1b[K"
"""Back to the line's beginning, and what stands there is wiped."""


class Progress:
    """Shows how far something is, now and then; `clear` it before anything else is written."""

    def __init__(self) -> None:
        # On a worker's page nobody looks at its terminal.
        mine = threading.current_thread() is threading.main_thread()
        self._wanted = mine and sys.stderr.isatty()
        self._next = 0.0

    def show(self, text: str) -> None:
        """Show a text, if it is time to."""
        if self._wanted and time.monotonic() >= self._next:
            self._next = time.monotonic() + _SECONDS
            self._write(text)

    def clear(self) -> None:
        """Leave nothing on the line."""
        if self._wanted and self._next:
            self._write("")

    @staticmethod
    def _write(text: str) -> None:
        sys.stderr.write(_AGAIN + text)
        sys.stderr.flush()
