"""The load: jobs of about 1.2 kB, their pushes, and which of the pushes come late."""

import hashlib
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

PROJECT: Final = "autoland"

LATE: Final = 0.2
"""Which share of the pushes comes behind the last of its jobs."""

INVALID: Final = 0.01
"""Which share of the jobs is invalid."""

EACH: Final = 100
"""How many jobs a push has."""

TOGETHER: Final = 20
"""The jobs of how many pushes come mixed at a time."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Jobs in the order they come, those that are invalid, and pushes, all by number.

    `late` gives each late push with how many jobs have come when it does, in that order.
    """

    pushes_of: list[int]
    invalid: frozenset[int]
    early: list[int]
    late: list[tuple[int, int]]

    def jobs(self) -> Iterator[bytes]:
        """Yield the jobs' bytes."""
        for index, push in enumerate(self.pushes_of):
            yield job(index, push, valid=index not in self.invalid)


def plan(jobs: int, seed: int = 1) -> Plan:
    """Return a plan of so many jobs."""
    dice = random.Random(seed)
    window = EACH * TOGETHER
    pushes_of = [index // window * TOGETHER + dice.randrange(TOGETHER) for index in range(jobs)]
    last = {push: index for index, push in enumerate(pushes_of)}
    late = dice.sample(sorted(last), int(len(last) * LATE))
    return Plan(
        pushes_of,
        frozenset(dice.sample(range(jobs), int(jobs * INVALID))),
        sorted(last.keys() - set(late)),
        sorted(((push, last[push] + 1) for push in late), key=lambda pair: pair[1]),
    )


def job_id(number: int) -> str:
    """Return the id of a job."""
    return f"{number:08x}-4f0b-4c7e-8a2d-1e0f9b8c7d6e/0"


def result(number: int) -> str:
    """Return how a valid job ended, in Treeherder's words."""
    return "success" if number % 9 else "testfailed"


def revision(push: int) -> str:
    """Return the revision of a push."""
    return hashlib.sha256(b"%d" % push).hexdigest()[:40]


def push_key(push: int) -> bytes:
    """Return the key of a push."""
    return f"{PROJECT}:{revision(push)}".encode()


def push_record(push: int) -> bytes:
    """Return a push as `pushes.inbox` takes it."""
    name = revision(push)
    author = "dev@example.com"
    commits = [
        {"revision": name, "author": author, "comment": f"Bug {1_900_000 + push} - Mend the fence"}
    ]
    return json.dumps(
        {
            "project": PROJECT,
            "revision": name,
            "author": author,
            "push_timestamp": 1_770_000_000 + push,
            "push_id": 136_598 + push,
            "url": f"https://hg.mozilla.org/integration/autoland/rev/{name}",
            "revisions": commits,
        }
    ).encode()


def job(number: int, push: int, *, valid: bool = True) -> bytes:
    """Return a job of a push in today's form."""
    task = job_id(number)
    place = f"https://tasks.example.com/api/queue/v1/task/{task}/artifacts/public"
    machine = {
        "platform": "linux2404-64",
        "os": "linux",
        "architecture": "x86_64",
        "name": f"worker-{number % 977}",
    }
    chunk = number % 16 + 1
    return json.dumps(
        {
            "taskId": task,
            "retryId": 0,
            "origin": {"project": PROJECT, "revision": revision(push)},
            "buildSystem": "taskcluster",
            "display": {
                "jobSymbol": f"bc{chunk}",
                "chunkId": chunk,
                "chunkCount": 16,
                "jobName": f"test-linux2404-64/opt-mochitest-browser-chrome-{chunk}",
                "groupSymbol": "M",
                "groupName": "Mochitests",
            },
            "state": "completed" if valid else "exploded",
            "result": "success" if number % 9 else "fail",
            "jobKind": "test",
            "tier": 1,
            "runMachine": machine,
            "owner": "dev@example.com",
            "reason": "scheduled",
            "productName": "firefox",
            "labels": ["opt"],
            "logs": [{"name": "live_backing_log", "url": f"{place}/logs/live_backing.log"}],
            "jobInfo": {
                "summary": "all tests have passed",
                "links": [
                    {
                        "url": f"{place}/test_info/errorsummary.log",
                        "linkText": "errorsummary.log",
                        "label": "artifact uploaded",
                    }
                ],
            },
            "timeScheduled": "2026-03-01T10:00:00.000Z",
            "timeStarted": "2026-03-01T10:02:00.000Z",
            "timeCompleted": "2026-03-01T10:12:00.000Z",
            "version": 1,
        }
    ).encode()
