"""The programs that are measured, as their own processes."""

import re
import signal
import time
from collections.abc import Mapping, Sequence
from os import sysconf
from pathlib import Path
from typing import Final, Self

from local.process import Process
from pulseload.errors import Failure

TIMEOUT: Final = 600
"""Seconds after which something that should have happened will not."""

_GLANCE: Final = 0.01
_TICKS: Final = sysconf("SC_CLK_TCK")


class Program:
    """One program from its start to its end."""

    def __init__(self, name: str, argv: Sequence[str], env: Mapping[str, str], home: Path) -> None:
        self.name = name
        self._process = Process(home, name)
        self._argv = argv
        self._env = env
        self._home = home

    def start(self) -> Self:
        """Start it."""
        self._process.start(self._argv, env=self._env, cwd=self._home)
        return self

    @property
    def log(self) -> str:
        """What it has printed."""
        return self._process.log.read_text(errors="replace")

    def said(self, pattern: str) -> re.Match[str] | None:
        """Return the first match of a regular expression in what it has printed."""
        return re.search(pattern, self.log)

    def told(self, pattern: str) -> list[str]:
        """Return what a regular expression's group has matched in what it has printed."""
        return re.findall(pattern, self.log)

    def wait_for(self, pattern: str) -> re.Match[str]:
        """Wait until it has printed a match of a regular expression, and return that."""
        end = time.monotonic() + TIMEOUT
        while (found := self.said(pattern)) is None:
            self.check()
            if time.monotonic() > end:
                raise Failure(f"{self.name} has not said {pattern!r} after {TIMEOUT} s")
            time.sleep(_GLANCE)
        return found

    def check(self) -> None:
        """Raise Failure unless it runs."""
        if not self._process.running:
            raise Failure(f"{self.name} has ended:\n{self._process.tail()}")

    @property
    def cpu_seconds(self) -> float:
        """The processor time so far of all its threads, and of children that have ended."""
        fields = self._proc("stat").rpartition(")")[2].split()
        return sum(map(int, fields[11:15])) / _TICKS

    @property
    def peak_mib(self) -> float:
        """The most memory it has held at a time (VmHWM), in MiB."""
        return self._memory("VmHWM")

    @property
    def mib(self) -> float:
        """The memory it holds (VmRSS), in MiB."""
        return self._memory("VmRSS")

    def _memory(self, field: str) -> float:
        found = re.search(rf"{field}:\s+(\d+) kB", self._proc("status"))
        if found is None:
            raise Failure(f"{self.name}: this system does not tell how much memory it has held")
        return int(found[1]) / 1024

    def _proc(self, name: str) -> str:
        self.check()
        return Path(f"/proc/{self._process.pid}/{name}").read_text()

    def freeze(self) -> None:
        """Have it stand still, for seconds: Kafka soon takes it for dead."""
        self._process.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Have it go on."""
        self._process.signal(signal.SIGCONT)

    def end(self) -> None:
        """Ask it to end, and raise Failure unless it ends well."""
        self._process.signal(signal.SIGTERM)
        if not self._process.wait(TIMEOUT) or self._process.status:
            raise Failure(f"{self.name} ended with {self._process.status}:\n{self._process.tail()}")

    def kill(self) -> None:
        """End it at once, if it runs."""
        self._process.kill()
