"""What json-pushes answers (its version 2), and what of it is used."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple, NoReturn

KEPT_CHANGESETS: Final = 200
"""How many changesets of a push are read, from its end: as many as Treeherder keeps."""

_HIGHEST: Final = 2**53 - 1
_NODE: Final = re.compile("[0-9a-f]{40}")
_NUMBER: Final = re.compile("[0-9]{1,16}")


class Malformed(Exception):  # noqa: N818 - what is wrong is not here
    """The bytes are no answer of json-pushes; the text says in one line why."""


class Changeset(NamedTuple):
    """One commit; an answer without `full` tells its node only."""

    node: str
    author: str | None = None
    comment: str | None = None


class Entry(NamedTuple):
    """One push. One whose changesets are all obsolete has none."""

    push_id: int
    user: str | None
    date: int | None
    changesets: tuple[Changeset, ...]


class Answer(NamedTuple):
    """Some pushes, the oldest first, and the number of the last that the repository has."""

    last: int
    pushes: tuple[Entry, ...]


def read(body: bytes) -> Answer:
    """Return what a body says. Raises Malformed.

    What a push record can do without is left out where it is not as it should be; numbers and
    nodes must be. Half a surrogate pair, which Mercurial writes for bytes that are no UTF-8,
    becomes a question mark.
    """
    document = _document(body)
    pushes = document.get("pushes")
    if not isinstance(pushes, dict) or "lastpushid" not in document:
        raise Malformed("JSON, but not with `pushes` and `lastpushid`")
    # An empty repository has none.
    last = _number(document["lastpushid"] or 0)
    if last is None or last > _HIGHEST:
        raise Malformed(f"its lastpushid is {_shown(document['lastpushid'])}")
    found = sorted((_entry(key, push) for key, push in pushes.items()), key=lambda one: one.push_id)
    return Answer(max(last, 0), tuple(found))


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body, parse_constant=_no_constant)
    except RecursionError as error:
        raise Malformed("nested too deep") from error
    except ValueError as error:
        beginning = body[:40].decode(errors="replace")
        raise Malformed(f"no JSON (it begins with {_shown(beginning)})") from error
    if not isinstance(document, dict):
        raise Malformed("JSON, but no object")
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _entry(key: str, push: Any) -> Entry:
    if not _NUMBER.fullmatch(key) or int(key) > _HIGHEST:
        raise Malformed(f"it names a push {_shown(key)}")
    # Mercurial may leave out what is empty.
    listed = (push.get("changesets") or []) if isinstance(push, dict) else None
    if not isinstance(listed, list):
        raise Malformed(f"its push {key} has no list of changesets")
    changesets = listed[-KEPT_CHANGESETS:]
    user, date = _text(push.get("user")), _number(push.get("date"))
    return Entry(
        int(key),
        (user or "").strip() or None,
        date if date is not None and 0 <= date <= _HIGHEST else None,
        tuple(_changesets(key, changesets)),
    )


def _changesets(push_id: str, changesets: list[Any]) -> Iterator[Changeset]:
    for one in changesets:
        told = one if isinstance(one, dict) else {"node": one}
        node = told.get("node")
        if not isinstance(node, str) or not _NODE.fullmatch(node):
            raise Malformed(f"its push {push_id} has a changeset {_shown(node)}")
        yield Changeset(node, _text(told.get("author")), _text(told.get("desc")))


def _number(value: Any) -> int | None:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: Any) -> str | None:
    return value.encode(errors="replace").decode() if isinstance(value, str) else None


def _shown(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:59] + "…"
