"""Made-up jobs, pushes and records that tests of every kind build on."""

import copy
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pulseload.headers import Header

REVISION = "5f3c1e0a9b7d2468ace013579bdf02468ace1357"
OTHER_REVISION = "c0ffee00c0ffee00c0ffee00c0ffee00c0ffee00"
REVISION_HASH = "00112233445566778899aabbccddeeff00112233"
TASK_ID = "3b1f6c2e-8d4a-4f0b-9c7e-5a2d1e0f9b8c/0"

HG_ROOT = "https://hg.mozilla.org"
GITHUB = "https://github.com/mozilla/lamp.shade"


@dataclass(frozen=True, slots=True)
class Message:
    """A record as a stage receives it, with something sensible wherever a test does not care."""

    value: bytes | None
    topic: str = "jobs.inbox"
    partition: int = 0
    offset: int = 0
    timestamp: int = 1_700_000_000_000
    key: bytes | None = None
    headers: Sequence[Header] = ()


class DictRows(dict[bytes, bytes]):
    """The committed rows of a table and partition, in a dictionary."""

    def scan(self, prefix: bytes, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Yield (key, value) of the rows that start with a prefix, as they are now."""
        rows = sorted(item for item in self.items() if item[0].startswith(prefix))
        return iter([row for row in rows if row[0] > after])

    def commit(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Write a table's changes, as the runtime does behind a committed transaction."""
        for key, value in changes.items():
            if value is None:
                self.pop(key, None)
            else:
                self[key] = value


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a copy with the value at a dotted path (`logs.0.url`) replaced or added."""
    changed_copy = copy.deepcopy(document)
    *steps, last = path.split(".")
    place: Any = changed_copy
    for step in steps:
        place = place[int(step) if isinstance(place, list) else step]
    if isinstance(place, list):
        place[int(last) :] = [value, *place[int(last) + 1 :]]
    else:
        place[last] = value
    return changed_copy


def without(document: dict[str, Any], path: str) -> dict[str, Any]:
    """Return a copy without the key at a dotted path."""
    parent, _, key = path.rpartition(".")
    smaller = copy.deepcopy(document)
    place: Any = smaller
    for step in filter(None, parent.split(".")):
        place = place[int(step) if isinstance(place, list) else step]
    del place[key]
    return smaller


def body(document: object) -> bytes:
    """Return the bytes of a message whose body is this document."""
    return json.dumps(document).encode()


def task_id(number: int) -> str:
    """Return a job id of its own for each number."""
    return f"{number:08x}-0000-4000-8000-000000000000/0"


def job(*, project: str = "try", revision: str = REVISION, **overrides: Any) -> dict[str, Any]:
    """Return a finished test job in today's form; `overrides` replace or add its fields."""
    return {
        "taskId": TASK_ID,
        "origin": {"project": project, "revision": revision},
        "buildSystem": "taskcluster",
        "display": {
            "jobSymbol": "bc3",
            "jobName": "test-linux2404-64/opt-mochitest-browser-chrome-3",
            "groupSymbol": "M",
            "groupName": "Mochitests",
        },
        "state": "completed",
        "result": "success",
        "jobKind": "test",
        "tier": 1,
        "runMachine": {
            "platform": "linux64",
            "os": "linux",
            "architecture": "x86_64",
            "name": "worker-17",
        },
        "owner": "dev@example.com",
        "reason": "scheduled",
        "productName": "Firefox",
        "labels": ["opt"],
        "logs": [{"name": "live_backing_log", "url": "https://tasks.example.com/17/live.log"}],
        "jobInfo": {
            "summary": "three of three",
            "links": [
                {
                    "url": "https://tasks.example.com/17/errorsummary.log",
                    "linkText": "mochitest_errorsummary.log",
                    "label": "artifact uploaded",
                }
            ],
        },
        "timeScheduled": "2026-03-01T10:00:00Z",
        "timeStarted": "2026-03-01T10:02:00Z",
        "timeCompleted": "2026-03-01T10:12:00Z",
        "version": 1,
        **overrides,
    }


def job_2016(
    *, project: str = "mozilla-inbound", revision: str = REVISION, **overrides: Any
) -> dict[str, Any]:
    """Return a finished build job in the form of 2016; `overrides` replace or add its fields."""
    machine = {"platform": "win64", "os": "win", "architecture": "x86_64", "name": "builder-4"}
    return {
        "taskId": "7d0e5c52-1f3b-4a69-8e0d-2b4c6a8e0f1d/0",
        "retryId": 0,
        "isRetried": False,
        "origin": {
            "kind": "hg.mozilla.org",
            "project": project,
            "revision": revision,
            "pushLogID": 48151,
        },
        "buildSystem": "buildbot",
        "display": {
            "jobSymbol": "B",
            "chunkId": 2,
            "chunkCount": 5,
            "jobName": "Build of everything",
            "groupSymbol": "?",
            "groupName": "unknown",
        },
        "state": "completed",
        "result": "fail",
        "jobKind": "build",
        "coalesced": ["0a1b2c3d/0"],
        "buildMachine": machine,
        "runMachine": machine,
        "owner": "dev@example.com",
        "reason": "scheduler",
        "productName": "Firefox",
        "labels": ["debug"],
        "logs": [
            {
                "url": "https://builds.example.com/4/log.txt.gz",
                "name": "builds-4h",
                "steps": [
                    {
                        "name": "compile",
                        "timeStarted": "2016-11-20T10:00:00",
                        "timeFinished": "2016-11-20T10:30:00",
                        "lineStarted": 0,
                        "lineFinished": 4000,
                        "result": "fail",
                        "errors": [{"line": "it broke", "linenumber": 3999}],
                    }
                ],
                "errorsTruncated": False,
            }
        ],
        "extra": {"artifacts": [{"name": "target.zip"}]},
        "timeScheduled": "2016-11-20T09:59:00-08:00",
        "version": 1,
        **overrides,
    }


def push(*, project: str = "try", revision: str = REVISION, **overrides: Any) -> dict[str, Any]:
    """Return a push record that knows everything; `overrides` replace or add its fields."""
    return {
        "project": project,
        "revision": revision,
        "author": "dev@example.com",
        "push_timestamp": 1_770_000_000,
        "push_id": 136_598,
        "url": f"{HG_ROOT}/{project}/rev/{revision}",
        "revisions": [
            {"revision": revision, "author": "Dev <dev@example.com>", "comment": "Mend the fence"}
        ],
        **overrides,
    }


def hg_push(
    *,
    repo_url: str = f"{HG_ROOT}/try",
    heads: Sequence[str] = (REVISION,),
    **payload: Any,
) -> dict[str, Any]:
    """Return a message of exchange/hgpushes/v1; `payload` replaces or adds fields of its payload.

    `time` is ten times the UNIX time, as it is sent.
    """
    entry = f"{repo_url}/json-pushes?version=2&startID=136597&endID=136598"
    return {
        "payload": {
            "repo_url": repo_url,
            "heads": list(heads),
            "pushlog_pushes": [
                {
                    "pushid": 136_598,
                    "time": 17_700_000_000,
                    "user": "dev@example.com",
                    "push_json_url": entry,
                    "push_full_json_url": f"{entry}&full=1",
                }
            ],
            **payload,
        },
        "_meta": {
            "exchange": "exchange/hgpushes/v1",
            "routing_key": "try",
            "serializer": "json",
            "sent": "2026-03-01T09:59:00",
        },
    }


def github_commit(number: int, **overrides: Any) -> dict[str, Any]:
    """Return a commit of its own for each number as GitHub's webhook has it."""
    return {
        "id": f"{number:040x}",
        "tree_id": f"{number + 1:040x}",
        "distinct": True,
        "message": f"Turn the screw ({number})",
        "timestamp": "2026-03-01T12:00:00+02:00",
        "url": f"{GITHUB}/commit/{number:040x}",
        "author": {"name": f"Dev {number}", "email": f"dev{number}@example.com", "username": "d"},
        "committer": {"name": "GitHub", "email": "noreply@github.com", "username": "web-flow"},
        "added": [],
        "removed": [],
        "modified": ["lamp"],
        **overrides,
    }


def github_push(
    *,
    ref: str = "refs/heads/main",
    commits: Sequence[dict[str, Any]] = (github_commit(1), github_commit(2)),
    head: str = f"{2:040x}",
    base: str = "b" * 40,
    url: str = GITHUB,
) -> dict[str, Any]:
    """Return a message of exchange/taskcluster-github/v1/push."""
    _, kind, name = ref.split("/", 2)
    tag = {"event.type": "tag", "event.head.tag": name}
    branch = {
        "event.type": "push",
        "event.base.repo.branch": name,
        "event.head.repo.branch": name,
    }
    return {
        "organization": "mozilla",
        "repository": "lamp%shade",
        "details": {
            "event.base.ref": ref,
            "event.base.repo.name": "lamp.shade",
            "event.base.repo.url": f"{url}.git",
            "event.base.sha": base,
            "event.base.user.login": "dev",
            "event.head.ref": ref,
            "event.head.repo.name": "lamp.shade",
            "event.head.repo.url": f"{url}.git",
            "event.head.sha": head,
            "event.head.user.login": "dev",
            "event.head.user.id": 17,
            "event.head.user.email": "dev@users.noreply.github.com",
            **(tag if kind == "tags" else branch),
        },
        "installationId": 23,
        "tasks_for": "github-push",
        "branch": name,
        "eventId": "6c722d22-0000-11ea-8d13-04e94ccdb80b",
        "body": {
            "ref": ref,
            "before": base,
            "after": head,
            "created": base == "0" * 40,
            "deleted": head == "0" * 40,
            "forced": False,
            "pusher": {"name": "dev", "email": None},
            "repository": {
                "name": "lamp.shade",
                "full_name": "mozilla/lamp.shade",
                "html_url": url,
                "clone_url": f"{url}.git",
            },
            "commits": list(commits),
            "head_commit": commits[-1] if commits else None,
        },
        "version": 1,
    }


def github_pull_request(
    *, head: str = f"{2:040x}", url: str = GITHUB, number: Any = 17
) -> dict[str, Any]:
    """Return a message of exchange/taskcluster-github/v1/pull-request; the fork is another's."""
    return {
        "organization": "mozilla",
        "repository": "lamp%shade",
        "action": "synchronize",
        "details": {
            "event.type": "pull_request.synchronize",
            "event.base.ref": "refs/heads/main",
            "event.base.repo.branch": "main",
            "event.base.repo.name": "lamp.shade",
            "event.base.repo.url": f"{url}.git",
            "event.base.sha": "b" * 40,
            "event.base.user.login": "mozilla",
            "event.head.ref": "refs/heads/screws",
            "event.head.repo.branch": "screws",
            "event.head.repo.name": "lamp.shade",
            "event.head.repo.url": "https://github.com/dev/lamp.shade.git",
            "event.head.sha": head,
            "event.head.user.login": "dev",
            "event.head.user.email": "dev@users.noreply.github.com",
            "event.pullNumber": number,
            "event.title": "Screws",
        },
        "installationId": 23,
        "tasks_for": "github-pull-request",
        "branch": "screws",
        "eventId": "6c722d22-0000-11ea-8d13-04e94ccdb80b",
        "body": {
            "action": "synchronize",
            "number": 17,
            "pull_request": {
                "number": 17,
                "base": {"ref": "main", "sha": "b" * 40, "repo": {"clone_url": f"{url}.git"}},
                "head": {"ref": "screws", "sha": head, "repo": None},
            },
        },
        "version": 1,
    }
