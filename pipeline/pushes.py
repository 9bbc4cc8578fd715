"""Push records: their keys and bytes, and how records of one push are merged.

The form of a record is `schemas/push.yml`. As bytes it is written in one way only: compact, its
fields in a fixed order.
"""

import dataclasses
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.dead_letters import INVALID_PUSH, TOO_DEEP
from pipeline.forms import form
from pipeline.jobs import push_key
from pipeline.refusals import Refusal

NAMES: Final = ("revision", "head_revision", "revision_hash")
"""The fields of a record that jobs may name its push by."""

FIELDS: Final = ("project", *NAMES, "author", "push_timestamp", "push_id", "url", "revisions")
COMMIT_FIELDS: Final = ("revision", "author", "comment")
"""The fields of a record, and of each of its `revisions`, in the order they are written."""

MAX_TEXT: Final = 2_000
MAX_NUMBER: Final = 2**53 - 1
"""How long a record's texts may be, and how large its numbers."""

_DIGITS: Final = re.compile("[0-9]{1,16}")

Push = dict[str, Any]
"""A push record as `schemas/push.yml` has it."""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is no error and that nothing comes of: of which repository, and why.

    Those of other branches are the same, as there may be very many.
    """

    repo_url: str
    why: str
    branch: str = dataclasses.field(default="", compare=False)


Found = list[Push] | Refusal | Ignored
"""What comes of one message."""


def text(value: Any) -> str:
    """Return a text without white space around it, as long as a record may have it.

    Nothing stands for what is no text.
    """
    return value.strip()[:MAX_TEXT] if isinstance(value, str) else ""


def number(value: Any) -> int | None:
    """Return the number that a value is, itself or as a text, where a record may have it."""
    if isinstance(value, str) and _DIGITS.fullmatch(value.strip()):
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value <= MAX_NUMBER else None


def from_record(document: dict[str, Any]) -> list[Push] | Refusal:
    """Return the push that a push record is about, in a list of one."""
    refusal = against("push", document)
    return [document] if refusal is None else refusal


def keys(push: Push) -> list[bytes]:
    """Return the keys that jobs may name a push by: its revision, its head, and its hash."""
    names = dict.fromkeys(push[field] for field in NAMES if field in push)
    return [push_key(push["project"], name) for name in names]


def dump(push: Push) -> bytes:
    """Return a valid record's bytes; half a surrogate pair becomes a question mark."""
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
    except orjson.JSONEncodeError:
        text = json.dumps(found, ensure_ascii=False).encode(errors="replace")
        return orjson.dumps(orjson.loads(text))


def load(value: bytes) -> Push:
    """Return the record that some bytes are. Raises ValueError where they are none."""
    document = orjson.loads(value)
    if not isinstance(document, dict):
        raise ValueError("not an object")  # noqa: TRY004 - it is about bytes, not about a type
    refusal = against("push", document)
    if refusal is not None:
        raise ValueError(refusal.message)
    return document


def merge(old: bytes | None, new: bytes, key: bytes = b"") -> bytes:
    """Return what two records that one key has brought together know.

    Where their revision is the same, what only one of them knows stays: a field, a commit's
    author or comment. Where they differ the one that lists more commits counts, and its list as
    a whole, so that a poorer record never takes the place of a richer one; of two that list as
    many, the new one. Records of different revisions are never mixed: the one whose revision the
    key names stands, unless it lists no commits and the other does, as a pull request's last
    listed commit may not be its head; where the key names neither, the new one. Raises ValueError
    where either is no push record.
    """
    latest = load(new)
    if old is None or old == new:
        return dump(latest)
    known = load(old)
    if known["project"] != latest["project"]:
        return dump(latest)
    if known["revision"] != latest["revision"]:
        return dump(_standing(known, latest, key))
    more, less = latest, known
    if len(known.get("revisions", ())) > len(latest.get("revisions", ())):
        more, less = known, latest
    merged = less | more
    if "revisions" in merged:
        merged["revisions"] = _commits(less.get("revisions", ()), more.get("revisions", ()))
    return dump(merged)


def _standing(known: Push, latest: Push, key: bytes) -> Push:
    """Return which of two records of different revisions stands under a key."""
    for own, other in ((known, latest), (latest, known)):
        if push_key(own["project"], own["revision"]) == key:
            return other if other.get("revisions") and not own.get("revisions") else own
    return latest


def _commits(less: Iterable[Push], more: Iterable[Push]) -> list[Push]:
    """Return the longer list of commits, each with what the other knows of it besides."""
    known = {commit["revision"]: commit for commit in less}
    return [known.get(commit["revision"], {}) | commit for commit in more]


def against(name: str, document: dict[str, Any]) -> Refusal | None:
    """Return what the form of a schema's name has against a document about pushes, or None."""
    own = form(name)
    if own.surely_accepts(document):
        return None
    try:
        fault = own.fault(document)
    except RecursionError:
        return Refusal(TOO_DEEP, "the push is nested too deep to be judged")
    return None if fault is None else Refusal(INVALID_PUSH, fault)
