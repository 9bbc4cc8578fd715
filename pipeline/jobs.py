"""Jobs: whether one is valid by its source's profile, its id, and the push it belongs to.

`jsonschema` on what Python's `json` reads is the reference for every verdict. Before it stands
`jsonschema-rs` on a *narrowed* copy of each schema that accepts only what the reference accepts:
what it takes is valid, and what it does not take the reference judges.
"""

import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Final

import jsonschema_rs

import schemas
from pipeline.bodies import Item
from pipeline.refusals import against, one_line

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
    for form in forms:
        if form.surely_accepts(item.document):
            return None
    try:
        document = json.loads(item.raw.decode())
        faults = {form.name: form.fault(document) for form in forms}
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


class _Form:
    """One schema, as the reference and as what stands before it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._reference = schemas.validator(name)
        self._narrowed = jsonschema_rs.validator_for(
            narrowed(schemas.load(name)),
            validate_formats=False,
            pattern_options=jsonschema_rs.RegexOptions(),
        )

    def surely_accepts(self, document: Any) -> bool:
        try:
            return self._narrowed.is_valid(document)
        except ValueError:
            # It cannot take half a surrogate pair.
            return False

    def fault(self, document: Any) -> str | None:
        return against(self._reference, document)


@cache
def _forms(profile: str) -> tuple[_Form, ...]:
    return tuple(_form(name) for name in PROFILES[profile])


@cache
def _form(name: str) -> _Form:
    return _Form(name)


_NOTHING: Final[dict[str, Any]] = {"not": {}}
_ANYTHING: Final[dict[str, Any]] = {}
_SAME = {
    *("$schema", "$ref", "type", "required", "enum", "minimum", "maximum"),
    *("minLength", "maxLength", "items", "properties", "additionalProperties", "definitions"),
}
"""Keywords that both engines take alike."""

_NOTES = {"title", "description", "default", "examples", "format"}
"""Keywords that reject nothing; formats are not checked."""

_PATTERN = re.compile(r"\^\[(?:\\w|[A-Za-z0-9/+_-])+\]\+\$")
"""Patterns whose meaning the two engines share, but for `\\w` and a new line before the end."""


def narrowed(schema: Any) -> Any:
    r"""Return a schema that accepts, in jsonschema-rs, only what `schema` accepts in jsonschema.

    Its `\w` is ASCII's, and `$` is the very end there. Of a `oneOf` one alternative must accept
    by its narrowed form while the others would refuse even by a wider one. Where a keyword is
    not known to mean the same in both, nothing is accepted.
    """
    return _copy(schema, wide=False)


def _copy(schema: Any, *, wide: bool) -> Any:
    """Return a narrowed copy of a schema, or a wide one: it accepts all that `schema` accepts."""
    if isinstance(schema, list):
        return [_copy(part, wide=wide) for part in schema]
    if not isinstance(schema, dict):
        return schema
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in ("properties", "definitions"):
            copy[keyword] = {name: _copy(part, wide=wide) for name, part in value.items()}
        elif keyword == "pattern" and _PATTERN.fullmatch(value):
            if not wide:
                copy[keyword] = value.replace(r"\w", "A-Za-z0-9_")
        elif keyword == "type" and wide and value == "integer":
            # orjson reads a huge integer as a float, which is no integer to draft-04.
            copy[keyword] = "number"
        elif keyword == "oneOf":
            copy["anyOf"] = _alternatives(value, wide=wide)
        elif keyword in ("items", "additionalProperties"):
            copy[keyword] = _copy(value, wide=wide)
        elif keyword in _SAME:
            copy[keyword] = value
        elif keyword not in _NOTES:
            return _ANYTHING if wide else _NOTHING
    return copy


def _alternatives(schemas_: Iterable[Any], *, wide: bool) -> list[Any]:
    arms = list(schemas_)
    if wide:
        return [_copy(arm, wide=True) for arm in arms]
    return [
        {
            "allOf": [
                _copy(arm, wide=False),
                *({"not": _copy(other, wide=True)} for other in arms if other is not arm),
            ]
        }
        for arm in arms
    ]
