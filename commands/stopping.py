"""Commands that run until they are stopped: Ctrl-C and SIGTERM are their regular end."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType


@contextmanager
def stoppable() -> Iterator[None]:
    """End the block where Ctrl-C or SIGTERM comes, and go on behind it."""
    former = signal.signal(signal.SIGTERM, _as_ctrl_c)
    try:
        with suppress(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGTERM, former)


def _as_ctrl_c(_: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    # A shell starts what runs in its background with Ctrl-C ignored.
    if not callable(handler):
        raise KeyboardInterrupt
    handler(signal.SIGINT, frame)


@contextmanager
def stop_noted() -> Iterator[threading.Event]:
    """Only note a Ctrl-C or SIGTERM while the block runs, so that what is in hand can be ended."""
    asked = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    former = [signal.signal(number, lambda *_: asked.set()) for number in numbers]
    try:
        yield asked
    finally:
        for number, handler in zip(numbers, former, strict=True):
            signal.signal(number, handler)
