"""The state folder of one worker."""

import fcntl
import os
from pathlib import Path
from typing import Final

from pulseload.errors import Failure

MAX_WORKERS: Final = 64


class StateFolder:
    """A folder that no other worker uses while this object lives.

    A worker with an instance id has the folder of that name; others share out `worker-0`,
    `worker-1`, … among themselves, so that a restarted one finds a warm copy. Raises Failure
    where the instance's folder is in use, or where no folder can be had.
    """

    def __init__(self, home: Path, instance_id: str | None) -> None:
        names = [instance_id] if instance_id else [f"worker-{n}" for n in range(MAX_WORKERS)]
        for name in names:
            path = home / "state" / name
            try:
                path.mkdir(parents=True, exist_ok=True)
                handle = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise Failure(
                    f"cannot keep state in {path}: {error.strerror}; set PULSELOAD_HOME to a "
                    "folder that can be written"
                ) from error
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                os.close(handle)
                continue
            self.path = path
            self._handle = handle
            return
        if instance_id:
            raise Failure(
                f"another worker runs as instance {instance_id!r} (it holds {path}); give each "
                "worker a PULSELOAD_INSTANCE_ID of its own"
            )
        raise Failure(f"{MAX_WORKERS} workers use {home} already; set another PULSELOAD_HOME")
