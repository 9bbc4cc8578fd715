"""Announcements: how the messages of each source of pushes are read."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from pipeline import github, hg, pushes
from pipeline.pushes import Found
from pulseload.repositories import Repositories
from pulseload.sources import Kind

Reader = Callable[[dict[str, Any], Repositories], Found]
"""Returns the pushes of a message, or why there are none."""

READERS: Final[Mapping[Kind, Reader]] = {
    "hg-pushes": hg.read,
    "github-pushes": github.read_push,
    "github-pull-requests": github.read_pull_request,
}
"""The reader of each kind of source that announces pushes."""

FORMS: Final = ("push", hg.FORM, hg.EVENT_FORM, github.PUSH_FORM, github.PULL_REQUEST_FORM)
"""The schemas of what comes in."""


def read(document: dict[str, Any], repositories: Repositories) -> Found:
    """Return the pushes of a message of any source, or of a push record.

    Only messages of hg have a `payload`, only those of GitHub `details` or a `body`. These may
    stand in a `payload`, too, as they do where exchange and routing key are recorded beside it.
    """
    payload = document.get("payload")
    if isinstance(payload, dict) and ("details" in payload or "body" in payload):
        document = payload
    if "payload" in document:
        return hg.read(document, repositories)
    if "details" in document or "body" in document:
        if github.about_pull_request(document):
            return github.read_pull_request(document, repositories)
        return github.read_push(document, repositories)
    return pushes.from_record(document)
