"""Jobs: whether one is valid by its source's profile, its id, and the push it belongs to.

`jsonschema` on what Python's `json` reads is the reference for every verdict; `pipeline.forms`
says what stands before it.
"""

import json
import re
from functools import cache
from typing import Any, Final

from pipeline.bodies import Item
from pipeline.forms import Form, form
from pipeline.refusals import one_line

TODAY: Final = "pulse-job"
OF_2016: Final = "pulse-job-2016"
ANY: Final = "any"

PROFILES: Final = {TODAY: (TODAY,), OF_2016: (OF_2016,), ANY: (TODAY, OF_2016)}
"""By each profile's name, the schemas of which a job must be valid by one."""

_REVISION: Final = re.compile("^[0-9a-f]+$")
_TOO_DEEP: Final = "the job is nested too deep to be judged"


def judge(item: Item, profile: str) -> str | None:
    """Return None for a job that is valid by a profile, else one line with the place and rule.

    The item's document must be an object. Where neither of two forms takes a job, the line is
    about the one that it looks like, and names it.
    """
    forms = _forms(profile)
    for one in forms:
        if one.surely_accepts(item.document):
            return None
    try:
        document = json.loads(item.raw.decode())
        faults = {one.name: one.fault(document) for one in forms}
    except RecursionError:
        return _TOO_DEEP
    if None in faults.values():
        return None
    if len(forms) == 1:
        return faults[profile]
    name = _looks_like(document)
    return one_line(f"{faults[name]} (by {name})")


def job_id(job: dict[str, Any]) -> bytes:
    """Return a valid job's id."""
    task_id: str = job["taskId"]
    return task_id.encode()


def push_of(job: dict[str, Any]) -> bytes:
    """Return the key of the push that a valid job belongs to.

    In the form of 2016 an hg origin names it by exactly one of `revision` and `revision_hash`;
    what else stands under the other key is not read.
    """
    origin = job["origin"]
    revision = origin.get("revision")
    if origin.get("kind") == "hg.mozilla.org" and not _is_revision(revision):
        revision = origin["revision_hash"]
    return push_key(origin["project"], revision)


def push_key(project: str, revision: str) -> bytes:
    """Return a push's key: `<project>:<revision>`.

    Half a surrogate pair, which a revision of 2016 can hold and no push has, becomes `?`.
    """
    return f"{project}:{revision}".encode(errors="replace")


def _is_revision(value: object) -> bool:
    return isinstance(value, str) and len(value) == 40 and bool(_REVISION.search(value))


def _looks_like(job: dict[str, Any]) -> str:
    """Return which form a job was meant for: the origin's `kind` is of 2016 alone."""
    origin = job.get("origin")
    return OF_2016 if isinstance(origin, dict) and "kind" in origin else TODAY


@cache
def _forms(profile: str) -> tuple[Form, ...]:
    return tuple(form(name) for name in PROFILES[profile])
