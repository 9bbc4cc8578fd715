"""A real PostgreSQL of a test's own, on 127.0.0.1 alone, in a folder of its own."""

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psycopg

from local import ports
from local.process import Process

START_TIMEOUT = 60


class PostgreSQL:
    """One PostgreSQL. It refuses to run as root: root's is run by the user that Debian made for it.

    `logs` is the folder for what it prints. Its data is gone when it is killed.
    """

    def __init__(self, logs: Path) -> None:
        (self._port,) = ports.free(1)
        self._process = Process(logs, "postgresql")
        # Not below pytest's folder, which nobody but root may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="pulseload-postgresql-"))
        (self._programs,) = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
        self._password = secrets.token_hex()

    @property
    def url(self) -> str:
        """Where clients find it."""
        return f"postgresql://test:{self._password}@{ports.HOST}:{self._port}/postgres"

    def start(self) -> None:
        """Make its data and start it, and wait until it answers."""
        data, password = self._folder / "data", self._folder / "password"
        password.write_text(self._password)
        if os.geteuid() == 0:
            owner = pwd.getpwnam("postgres")
            for path in (self._folder, password):
                os.chown(path, owner.pw_uid, owner.pw_gid)
        made = ["initdb", "--username=test", "--auth=scram-sha-256", f"--pwfile={password}"]
        made += ["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", str(data)]
        subprocess.run(self._as_owner(made), check=True, capture_output=True, cwd="/")
        # Nothing here outlives the machine: it need not reach the disk.
        options = {"listen_addresses": ports.HOST, "unix_socket_directories": "", "fsync": "off"}
        served = ["postgres", "-D", str(data), "-p", str(self._port)]
        served += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        self._process.start(self._as_owner(served), cwd=Path("/"))
        self._process.wait_until(self._answers, START_TIMEOUT)

    def _as_owner(self, command: Sequence[str]) -> list[str]:
        program, *arguments = command
        found = [str(self._programs / program), *arguments]
        if os.geteuid() != 0:
            return found
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *found]

    def _answers(self) -> bool:
        try:
            self.ask("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows of a query, by a connection of its own."""
        with psycopg.connect(self.url, autocommit=True, connect_timeout=5) as connection:
            return connection.execute(query.encode()).fetchall()

    def kill(self) -> None:
        """End it, and remove what it had."""
        self._process.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
