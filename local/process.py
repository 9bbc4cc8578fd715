"""A program in the background, in a process session of its own, known by a pid file."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from pulseload.errors import Failure

LOG_LIMIT = 16 * 1_048_576
"""A log larger than this many bytes is set aside when its program starts again."""


def _stat(pid: int) -> list[str] | None:
    """Return the fields of /proc/PID/stat from the third (state) on; None if it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _ended(fields: list[str]) -> bool:
    # A killed process is a zombie as soon as its first thread has ended; the others may still
    # hold its ports.
    return fields[0] in "ZX" and int(fields[17]) <= 1


def identity(pid: int) -> str | None:
    """Return "PID START-TIME", which no other process ever has; None if it has ended."""
    fields = _stat(pid)
    return None if fields is None or _ended(fields) else f"{pid} {fields[19]}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Let what would end us wait, so that no program starts without its identity written."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    former = {
        number: signal.signal(number, lambda number, _: came.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
        for one in came:
            signal.raise_signal(one)


class Process:
    """One program: at most one process, whichever Python process started it.

    `<home>/<name>.pid` holds its identity and `<home>/<name>.log` what it prints. Only a process
    whose identity is the one written there is ever signalled, and what it left in its session.
    """

    def __init__(self, home: Path, name: str) -> None:
        self.name = name
        self.log = home / f"{name}.log"
        self._file = home / f"{name}.pid"
        self._child: subprocess.Popen[bytes] | None = None
        self._began = 0

    def start(
        self, argv: Sequence[str], env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> None:
        """Start the program; it must not be running. Its environment is `env`, or ours."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log, _undisturbed():
            self._began = log.tell()
            self._child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=env,
                cwd=cwd,
            )
            pid = self._child.pid
            self._file.write_text(identity(pid) or f"{pid} ended")

    @property
    def pid(self) -> int | None:
        """The process id, None where it does not run."""
        try:
            written = self._file.read_text()
            pid = int(written.split()[0])
            found = pid if identity(pid) == written else None
        except (OSError, ValueError, IndexError):
            found = None
        if found is None and self._child is not None:
            # It has ended: take its status from the kernel.
            self._child.poll()
        return found

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self.pid is not None

    @property
    def status(self) -> int | None:
        """The exit status, negative for a signal; None where it runs or is another's child."""
        return None if self._child is None else self._child.poll()

    def wait(self, timeout: float) -> bool:
        """Wait until the process has ended; False after `timeout` seconds."""
        end = time.monotonic() + timeout
        while self.running:
            if time.monotonic() > end:
                return False
            time.sleep(0.02)
        return True

    def wait_until(self, ready: Callable[[], bool], timeout: float) -> None:
        """Wait until it is ready; raises Failure where it ends before, or `timeout` s have gone."""
        end = time.monotonic() + timeout
        while not ready():
            if not self.running:
                said = self.tail(1) or "it said nothing"
                raise Failure(f"{self.name} ended while it started: {said} (see {self.log})")
            if time.monotonic() > end:
                raise Failure(f"{self.name} is not ready after {timeout:g} s: see {self.log}")
            time.sleep(0.1)

    def signal(self, number: int) -> None:
        """Send a signal to the process, if it is there."""
        if (pid := self.pid) is not None:
            os.kill(pid, number)

    def stop(self, timeout: float = 30) -> bool:
        """End it with SIGTERM, and after `timeout` seconds with SIGKILL; False if it took that."""
        self.signal(signal.SIGTERM)
        self.signal(signal.SIGCONT)
        ended = self.wait(timeout)
        self.kill()
        return ended

    def kill(self) -> None:
        """End it with SIGKILL, and what is left of its session."""
        session = self._session()
        self.signal(signal.SIGKILL)
        self.wait(30)
        for pid in _members(session) if session else ():
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._file.unlink(missing_ok=True)

    def _session(self) -> int | None:
        """Return the id of the session that we opened, None where it may be another's by now."""
        try:
            pid, started = self._file.read_text().split()
        except (OSError, ValueError):
            return None
        now = _stat(int(pid))
        return int(pid) if now is None or now[19] == started else None

    def said(self, text: str) -> bool:
        """Whether it has printed the text since this object started it."""
        with self.log.open("rb") as log:
            log.seek(self._began)
            return text.encode() in log.read()

    def tail(self, lines: int = 20) -> str:
        """Return the last lines of the log."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, self.log.stat().st_size - 65_536))
                text = log.read().decode(errors="replace")
        except OSError:
            return ""
        return "\n".join(text.splitlines()[-lines:])


def _members(session: int) -> list[int]:
    """Return the ids of the processes of a session that have not ended."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and not _ended(fields) and int(fields[3]) == session:
                found.append(int(entry.name))
    return found
