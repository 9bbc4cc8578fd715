"""Pushes of hg.mozilla.org, as Pulse announces them.

The messages are described in version-control-tools, `docs/hgmo/notifications.rst`: those of
`exchange/hgpushes/v1` are a push each; those of `v2` have a type, and a push is `changegroup.1`.
"""

from collections.abc import Sequence
from typing import Any, Final

from pipeline.pushes import Found, Ignored, Push, against, number, text
from pipeline.refusals import shown
from pulseload.repositories import Repositories, plain

FORM: Final = "hg-push"
"""The schema of a message."""

EVENT_FORM: Final = "hg-event"
"""The schema of a message that is about something else than a push."""

_PUSH: Final = "changegroup.1"


def read(document: dict[str, Any], repositories: Repositories) -> Found:
    """Return the pushes of a message: one for each head.

    Who pushed, and the push's number, are taken of the latest entry of the pushlog where there is
    one head, else where all entries agree: none says which head it belongs to. `time` is never
    taken: it is ten times the UNIX time in many messages. An event of another type than a push is
    ignored, as the documentation asks for.
    """
    payload = document.get("payload")
    if isinstance(payload, dict) and "type" in payload:
        refusal = against(EVENT_FORM, document)
        if refusal is not None:
            return refusal
        kind, data = payload["type"].strip(), payload.get("data", {})
        if kind != _PUSH:
            url = text(data.get("repo_url")) if isinstance(data, dict) else ""
            return Ignored(plain(url), f"{shown(kind)} is no push")
        document = {"payload": data}
    refusal = against(FORM, document)
    if refusal is not None:
        return refusal
    payload = document["payload"]
    repository = repositories.by_url(payload["repo_url"])
    if repository is None:
        return Ignored(plain(payload["repo_url"]), "no active repository has this address")
    heads = list(dict.fromkeys(head.strip() for head in payload["heads"]))
    known = _known(_entries(payload), alone=len(heads) == 1)
    return [
        {
            "project": repository.name,
            "revision": head,
            "url": f"{plain(repository.url)}/rev/{head}",
            **known,
        }
        for head in heads
    ]


def _entries(payload: dict[str, Any]) -> Sequence[dict[str, Any]]:
    """Return the pushlog's entries; where there is one, it may stand there without a list.

    An entry that is malformed says nothing.
    """
    entries = payload.get("pushlog_pushes")
    listed = entries if isinstance(entries, list) else [entries]
    return [entry if isinstance(entry, dict) else {} for entry in listed]


def _known(entries: Sequence[dict[str, Any]], *, alone: bool) -> Push:
    """Return what the latest entry says of a head that is alone, or all alike of every head."""
    if alone and all(number(entry.get("pushid")) is not None for entry in entries):
        entries = sorted(entries, key=lambda entry: number(entry["pushid"]) or 0)[-1:]
    users = {text(entry.get("user")) for entry in entries}
    numbers = {number(entry.get("pushid")) for entry in entries}
    known: Push = {}
    if len(users) == 1 and (user := users.pop()):
        known["author"] = user
    if len(numbers) == 1 and (push_id := numbers.pop()) is not None:
        known["push_id"] = push_id
    return known
