"""Push records of a push log's entries, as `schemas/push.yml` has them."""

from typing import Any, Final, NamedTuple

import orjson

from bridges.pushlog.answers import Changeset, Entry
from pulseload.repositories import Repository, plain
from pulseload.topics import INPUT_MAX_BYTES

MAX_BYTES: Final = INPUT_MAX_BYTES - 4_096
"""How large a record may be, so that with key and framing `pushes.inbox` takes it."""

MAX_AUTHOR: Final = 2_000
"""How long a push's author may be."""


class Record(NamedTuple):
    """A push record as bytes; `dropped` says in words what it lacks for its size, if anything."""

    key: bytes
    value: bytes
    dropped: str = ""


def record(repository: Repository, push: Entry, max_bytes: int = MAX_BYTES) -> Record:
    """Return the record of a push that has changesets.

    Its revision is the last changeset. Where it would be too large, comments are dropped from
    the first commit on, as many as needed, and then the first commits.
    """
    revision = push.changesets[-1].node
    found: dict[str, Any] = {"project": repository.name, "revision": revision}
    if push.user is not None:
        found["author"] = push.user[:MAX_AUTHOR]
    if push.date is not None:
        found["push_timestamp"] = push.date
    found["push_id"] = push.push_id
    found["url"] = f"{plain(repository.url)}/rev/{revision}"
    commits = found["revisions"] = [_commit(one) for one in push.changesets]
    size = len(orjson.dumps(found))
    comments = dropped = 0
    for commit in commits:
        if size > max_bytes and "comment" in commit:
            size -= len(orjson.dumps(commit))
            del commit["comment"]
            size += len(orjson.dumps(commit))
            comments += 1
    while size > max_bytes and commits:
        size -= len(orjson.dumps(commits.pop(0))) + 1
        dropped += 1
    told = [
        f"{count} {what}" for count, what in ((comments, "comments"), (dropped, "commits")) if count
    ]
    key = f"{repository.name}:{revision}".encode()
    return Record(key, orjson.dumps(found), " and ".join(told))


def _commit(changeset: Changeset) -> dict[str, str]:
    commit = {"revision": changeset.node}
    if changeset.author is not None:
        commit["author"] = changeset.author
    if changeset.comment is not None:
        commit["comment"] = changeset.comment
    return commit
