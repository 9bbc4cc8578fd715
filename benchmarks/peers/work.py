"""The work that all peers do, as far as it is no matter of frameworks: what a job is, and becomes.

It is imported by the peers' programs, so it needs no more than they have: orjson and jsonschema-rs,
which are what pulseload itself reads and judges jobs with.
"""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any, Final

import jsonschema_rs
import orjson

SERVERS: Final = os.environ["SERVERS"]
APP: Final = os.environ["APP"]
"""What the consumer group is called, and topics of its own begin with or contain."""
STATE: Final = Path(os.environ["STATE"])
"""The folder for state."""
GUARANTEE: Final = os.environ["GUARANTEE"]
"""`exactly-once` or `at-least-once`."""

JOBS: Final = "jobs.inbox"
PUSHES: Final = "pushes.inbox"
JOINED: Final = "jobs.joined"
DEAD: Final = "jobs.dead-letter"

PARTITIONS: Final = 4
TOLD_EACH: Final = 0.02
"""Seconds."""

_RESULTS: Final = {
    "success": "success",
    "exception": "exception",
    "canceled": "usercancel",
    "retry": "retry",
    "superseded": "superseded",
}
_VALIDATOR: Final = jsonschema_rs.validator_for(
    json.loads(Path(os.environ["SCHEMA"]).read_text()),
    validate_formats=False,
    pattern_options=jsonschema_rs.RegexOptions(),
)


def valid(raw: bytes) -> dict[str, Any] | None:
    """Return the job that is written there, None unless it is a valid one."""
    try:
        job = orjson.loads(raw)
    except ValueError:
        return None
    return job if _VALIDATOR.is_valid(job) else None


def push_of(job: dict[str, Any]) -> str:
    """Return the key of a valid job's push."""
    origin = job["origin"]
    return f"{origin['project']}:{origin['revision']}"


def result(job: dict[str, Any]) -> str:
    """Return how a valid job ended, in Treeherder's words."""
    if job["state"] != "completed":
        return "unknown"
    if job.get("isRetried"):
        return "retry"
    own = job.get("result", "unknown")
    if own == "fail":
        return "testfailed" if job["jobKind"] == "test" else "busted"
    return _RESULTS.get(own, "unknown")


def tell(line: str) -> None:
    """Print a line where it is looked for, also if a framework has made `print` its own."""
    print(line, file=sys.__stdout__, flush=True)


class Count:
    """Counts the jobs that the join has read, and tells as soon as there are more, at leisure."""

    def __init__(self) -> None:
        self.jobs = 0
        self._begun = False
        threading.Thread(target=self._tell, daemon=True).start()

    def begin(self) -> None:
        """Say that the program is ready, once.

        It is for the first record, where a framework does not tell when it has its partitions.
        """
        if not self._begun:
            self._begun = True
            tell("ready")

    def _tell(self) -> None:
        told = 0
        while True:
            time.sleep(TOLD_EACH)
            if (jobs := self.jobs) != told:
                told = jobs
                tell(f"joining {jobs}")


def asked_to_end() -> threading.Event:
    """Return an event that is set once the program is asked to end."""
    event = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: event.set())
    return event
