"""Sample messages for the demo: jobs of both forms, their pushes, and some that are wrong."""

import json
from dataclasses import dataclass
from typing import Any, Final

TASKCLUSTER: Final = "exchange/taskcluster-treeherder/v1/jobs"
GUEST: Final = "exchange/guest/jobs"
HG_PUSHES: Final = "exchange/hgpushes/v1"

HG: Final = "https://hg.mozilla.org"


@dataclass(frozen=True, slots=True)
class Push:
    """A push: of which repository (`path` on hg.mozilla.org), its tip, who, and why."""

    project: str
    path: str
    revision: str
    author: str
    comment: str

    @property
    def hg_message(self) -> bytes:
        """What exchange/hgpushes/v1 says of it."""
        url = f"{HG}/{self.path}"
        entry = f"{url}/json-pushes?version=2&startID=136597&endID=136598"
        push = {
            "pushid": 136_598,
            "time": 17_700_000_000,
            "user": self.author,
            "push_json_url": entry,
            "push_full_json_url": f"{entry}&full=1",
        }
        payload = {"repo_url": url, "heads": [self.revision], "pushlog_pushes": [push]}
        meta = {"exchange": HG_PUSHES, "routing_key": self.path, "serializer": "json"}
        return _body({"payload": payload, "_meta": meta})

    @property
    def record(self) -> bytes:
        """The push record, as `pushes.inbox` takes it."""
        commit = {"revision": self.revision, "author": self.author, "comment": self.comment}
        return _body(
            {
                "project": self.project,
                "revision": self.revision,
                "author": self.author,
                "push_timestamp": 1_770_000_000,
                "url": f"{HG}/{self.path}/rev/{self.revision}",
                "revisions": [commit],
            }
        )


AUTOLAND: Final = Push(
    "autoland",
    "integration/autoland",
    "9f2d41c07b6e85a3d1f04c92be7780a56c13ed08",
    "ana@example.com",
    "Bug 1900001 - Draw the tab strip once. r=ben",
)
TRY: Final = Push(
    "try",
    "try",
    "27c8e0b1f94d63a5708ce2bd15f6934ea07b8d41",
    "cho@example.com",
    "Fuzzy query=mochitest linux",
)
INBOUND: Final = Push(
    "mozilla-inbound",
    "integration/mozilla-inbound",
    "c61a90de3f7284b5e0917ac2d845f36b09e7d152",
    "dov@example.com",
    "Bug 1310001 - Keep the scroll position. r=eva",
)
CENTRAL: Final = Push(
    "mozilla-central",
    "mozilla-central",
    "4be7305ca8d19f62037ecb84a6f15d29e80c73b6",
    "fay@example.com",
    "Merge autoland to mozilla-central",
)

PUSHES: Final = (AUTOLAND, TRY, INBOUND, CENTRAL)


@dataclass(frozen=True, slots=True)
class Message:
    """A message on Pulse.

    `jobs` are submitted by it (what is no job counts as one), of which `valid` wait for `push`.
    """

    what: str
    exchange: str
    routing_key: str
    body: bytes
    push: Push | None = None
    jobs: int = 1
    valid: int = 1
    content_type: str = "application/json"


def early() -> list[Message]:
    """Return the messages that come before any push is known."""
    broken = job(TRY, 13, "marionette", "Mn", "M")
    del broken["display"]["jobSymbol"]
    listed = [job(TRY, 10, "reftest-1", "R1", "R"), broken, job(TRY, 11, "reftest-2", "R2", "R")]
    return [
        _of_taskcluster("a build of autoland", job(AUTOLAND, 1, "build-linux64/opt", "B", "?")),
        _of_taskcluster("a test of it", job(AUTOLAND, 2, "mochitest-browser-chrome-3", "bc3", "M")),
        _of_taskcluster("another test", job(AUTOLAND, 3, "web-platform-tests-7", "wpt7", "W")),
        Message(
            "a list of 3 jobs of try, one of them without a symbol",
            TASKCLUSTER,
            "tc-treeherder.try._",
            _body(listed),
            TRY,
            jobs=3,
            valid=2,
        ),
        Message(
            "a job of mozilla-inbound in the form of 2016",
            GUEST,
            "mozilla-inbound.staging",
            _body(job_2016(INBOUND, 20, "Linux x64 build", "B")),
            INBOUND,
        ),
        Message(
            "another one, sent as text/plain",
            GUEST,
            "mozilla-inbound.staging",
            _body(job_2016(INBOUND, 21, "Linux x64 xpcshell", "X")),
            INBOUND,
            content_type="text/plain",
        ),
        _of_taskcluster(
            "a build of mozilla-central, whose push will not come",
            job(CENTRAL, 30, "build-linux64/debug", "B", "?"),
        ),
        Message(
            "something that is no JSON",
            GUEST,
            "try.staging",
            b"job: try, symbol: B",
            valid=0,
            content_type="text/plain",
        ),
    ]


def late() -> Message:
    """Return the message that comes when its push is known already."""
    return _of_taskcluster("one more of it", job(AUTOLAND, 5, "mochitest-media", "mda", "M"))


def inbox() -> bytes:
    """Return a job as someone without Pulse would write it to `jobs.inbox`."""
    return _body(job(AUTOLAND, 4, "lint-ruff", "ruff", "Lint"))


def files() -> dict[str, bytes]:
    """Return files for a user's first steps, by name: a job, more jobs, and their pushes."""
    first = job(TRY, 40, "mochitest-plain-1", "1", "M")
    more = [
        job(AUTOLAND, 41, "build-macosx64/opt", "B", "?"),
        job(AUTOLAND, 42, "xpcshell", "X", "X"),
    ]
    return {
        "job.json": _body(first),
        "jobs.ndjson": b"".join(_body(one) + b"\n" for one in more),
        "pushes.ndjson": b"".join(push.record + b"\n" for push in (TRY, AUTOLAND)),
    }


def job(push: Push, number: int, name: str, symbol: str, group: str) -> dict[str, Any]:
    """Return a finished job of a push in today's form; its number makes its id."""
    return {
        "taskId": f"{_uuid(number)}/0",
        "retryId": 0,
        "buildSystem": "taskcluster",
        "origin": {"project": push.project, "revision": push.revision},
        "display": {
            "jobName": name,
            "jobSymbol": symbol,
            "groupSymbol": group,
            "groupName": f"group of {group}",
        },
        "state": "completed",
        "result": "success" if number % 4 else "fail",
        "jobKind": "build" if "build" in name else "test",
        "tier": 1,
        "owner": push.author,
        "reason": "scheduled",
        "productName": "firefox",
        "runMachine": _machine(number),
        "buildMachine": _machine(number),
        "labels": ["opt"],
        "timeScheduled": "2026-03-01T10:00:00Z",
        "timeStarted": f"2026-03-01T10:{number:02d}:00Z",
        "timeCompleted": f"2026-03-01T11:{number:02d}:30Z",
        "logs": [
            {
                "name": "live_backing_log",
                "url": f"https://tasks.example.com/{_uuid(number)}/0/live_backing.log",
            }
        ],
        "version": 1,
    }


def job_2016(push: Push, number: int, name: str, symbol: str) -> dict[str, Any]:
    """Return a finished job of a push in the form of 2016; its number makes its id."""
    origin = {
        "kind": "hg.mozilla.org",
        "project": push.project,
        "revision": push.revision,
        "pushLogID": 98_000 + number,
    }
    return {
        **job(push, number, name, symbol, "?"),
        "origin": origin,
        "buildSystem": "buildbot",
        "jobKind": "other",
        "jobInfo": {"summary": "all well", "links": []},
        "extra": {"artifacts": []},
    }


def _of_taskcluster(what: str, one: dict[str, Any]) -> Message:
    project = one["origin"]["project"]
    push = next(push for push in PUSHES if push.project == project)
    return Message(what, TASKCLUSTER, f"tc-treeherder.{project}._", _body(one), push)


def _machine(number: int) -> dict[str, str]:
    return {
        "name": f"worker-{number}",
        "platform": "linux64",
        "os": "linux",
        "architecture": "x86_64",
    }


def _uuid(number: int) -> str:
    return f"5a4d91{number:02d}-7e1c-4b60-9f38-2c6d0ab1e4f7"


def _body(document: object) -> bytes:
    return json.dumps(document).encode()
