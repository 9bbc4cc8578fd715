"""Pushes: messages about them become push records, and records of one push are merged.

The form of a record is `schemas/push.yml`. As bytes it is written in one way only: compact, its
fields in a fixed order.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.dead_letters import INVALID_PUSH, TOO_DEEP
from pipeline.forms import form
from pipeline.jobs import push_key
from pipeline.refusals import Refusal
from pulseload.repositories import Repositories, plain

FORMS: Final = ("push", "hg-push")
"""The schemas of what comes in."""

FIELDS: Final = (
    *("project", "revision", "revision_hash", "author", "push_timestamp", "push_id", "url"),
    "revisions",
)
COMMIT_FIELDS: Final = ("revision", "author", "comment")
"""The fields of a record, and of each of its `revisions`, in the order they are written."""

Push = dict[str, Any]
"""A push record as `schemas/push.yml` has it."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message about a repository that is none of ours: no error, and nothing comes of it."""

    repo_url: str


def from_record(document: dict[str, Any]) -> list[Push] | Refusal:
    """Return the push that a push record is about, in a list of one."""
    refusal = _against("push", document)
    return [document] if refusal is None else refusal


def from_hg(document: dict[str, Any], repositories: Repositories) -> list[Push] | Refusal | Ignored:
    """Return the pushes of a message of exchange/hgpushes/v1: one for each head.

    Who pushed, and the push's number, are taken from the pushlog only where it has one entry.
    `time` is never taken: it is ten times the UNIX time in many messages.
    """
    refusal = _against("hg-push", document)
    if refusal is not None:
        return refusal
    payload = document["payload"]
    url = plain(payload["repo_url"])
    repository = repositories.by_url(url)
    if repository is None:
        return Ignored(url)
    known = _known(payload.get("pushlog_pushes", []))
    return [
        {"project": repository.name, "revision": head, "url": f"{url}/rev/{head}", **known}
        for head in dict.fromkeys(head.strip() for head in payload["heads"])
    ]


def read(document: dict[str, Any], repositories: Repositories) -> list[Push] | Refusal | Ignored:
    """Return the pushes of a message in either form: those of hg have a `payload`."""
    if "payload" in document:
        return from_hg(document, repositories)
    return from_record(document)


def keys(push: Push) -> list[bytes]:
    """Return the keys that jobs may name a push by: its revision, and its hash if it has one."""
    names = dict.fromkeys([push["revision"], push.get("revision_hash")])
    return [push_key(push["project"], name) for name in names if name is not None]


def dump(push: Push) -> bytes:
    """Return a valid record's bytes. Raises ValueError where a text in it is no Unicode."""
    found = {field: push[field] for field in FIELDS if field in push}
    for field, value in found.items():
        if isinstance(value, float):
            # To the schema, 5.0 is an integer.
            found[field] = int(value)
    if "revisions" in found:
        found["revisions"] = [
            {field: commit[field] for field in COMMIT_FIELDS if field in commit}
            for commit in found["revisions"]
        ]
    try:
        return orjson.dumps(found)
    except orjson.JSONEncodeError as error:
        raise ValueError(str(error)) from error


def load(value: bytes) -> Push:
    """Return the record that some bytes are. Raises ValueError where they are none."""
    document = orjson.loads(value)
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - it is about bytes, not about a type
    refusal = _against("push", document)
    if refusal is not None:
        raise ValueError(refusal.message)
    return document


def merge(old: bytes | None, new: bytes) -> bytes:
    """Return what two records of one push know together.

    Where they differ the new one counts, but what only the old one knows stays: a field, a
    commit, a commit's author or comment. A new record of another revision stands alone. Raises
    ValueError where either is no push record.
    """
    latest = load(new)
    if old is None or old == new:
        return dump(latest)
    known = load(old)
    if (known["project"], known["revision"]) != (latest["project"], latest["revision"]):
        return dump(latest)
    merged = known | latest
    if "revisions" in merged:
        merged["revisions"] = _commits(known.get("revisions", []), latest.get("revisions", []))
    return dump(merged)


def _commits(old: list[Push], new: list[Push]) -> list[Push]:
    """Return the longer list of commits, each with what either list knows of it."""
    known = {commit["revision"]: commit for commit in old}
    latest = {commit["revision"]: commit for commit in new}
    return [
        known.get(commit["revision"], {}) | latest.get(commit["revision"], {})
        for commit in (new if len(new) >= len(old) else old)
    ]


def _known(entries: list[dict[str, Any]]) -> Push:
    """Return what the pushlog's entries say of every head of a message."""
    if len(entries) != 1:
        return {}
    known: Push = {}
    if user := entries[0].get("user", "").strip():
        known["author"] = user
    if "pushid" in entries[0]:
        known["push_id"] = entries[0]["pushid"]
    return known


def _against(name: str, document: dict[str, Any]) -> Refusal | None:
    own = form(name)
    if own.surely_accepts(document):
        return None
    try:
        fault = own.fault(document)
    except RecursionError:
        return Refusal(TOO_DEEP, "the push is nested too deep to be judged")
    return None if fault is None else Refusal(INVALID_PUSH, fault)
