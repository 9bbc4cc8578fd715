"""A supervisor: starts a worker again whenever it ends, and says what it ended with."""

import re
import threading
from types import TracebackType
from typing import Self

from tests.system.harness import Service


class Supervisor:
    """Keeps workers running for as long as the block runs.

    `restarts` counts; a worker that ends more often than `at_most` is let lie, and the block
    fails at its end: such a worker would never come to work again by itself.
    """

    def __init__(self, *services: Service, at_most: int = 5) -> None:
        self.restarts = 0
        self._services = services
        self._at_most = at_most
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        assert self.restarts <= self._at_most, f"the worker ended {self.restarts} times"

    def _watch(self) -> None:
        while not self._over.wait(0.1):
            for service in self._services:
                if not service.running and self.restarts <= self._at_most:
                    self.restarts += 1
                    service.start()


def reasons(service: Service) -> list[str]:
    """Return the lines with which a worker said why it ended."""
    return re.findall(r"(?:this worker ends|pulseload): (.*)", service.log)
