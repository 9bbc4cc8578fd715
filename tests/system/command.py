"""The `pulseload` command as a user runs it, and the queue its messages go to."""

import subprocess
from typing import Any

from kombu import Connection

from tests.system.harness import BIN, System
from tests.system.pulse import Pulse

QUEUE = "queue/tester/jobs"


def run(
    system: System, *arguments: str, stdin: bytes = b"", **environ: str
) -> subprocess.CompletedProcess[str]:
    """Run `pulseload` to its end."""
    done = subprocess.run(
        [BIN / "pulseload", *arguments],
        input=stdin,
        env={**system.env, **environ},
        cwd=system.folder,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return subprocess.CompletedProcess(
        done.args, done.returncode, done.stdout.decode(), done.stderr.decode()
    )


def failed(done: subprocess.CompletedProcess[str]) -> str:
    """Check that a command failed as it must, and return its one line."""
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("pulseload: ")
    assert done.stderr.count("\n") == 1
    assert "not-a-secret" not in done.stderr
    return done.stderr


def bind(pulse: Pulse, *exchanges: str) -> None:
    """Make the user's queue and bind it to exchanges by `#`."""
    with Connection(pulse.url) as connection, connection.channel() as channel:
        channel.queue_declare(QUEUE, durable=True, auto_delete=False)
        for name in exchanges:
            channel.queue_bind(QUEUE, name, "#")


def taken(pulse: Pulse) -> list[Any]:
    """Return the messages in the user's queue, their bodies as bytes, and take them out."""
    found = []
    with Connection(pulse.url) as connection, connection.channel() as channel:
        channel.auto_decode = False
        while (message := channel.basic_get(QUEUE, no_ack=True)) is not None:
            found.append(message)
    return found
