"""Narrowed schemas: a fast engine may say yes by them, and the slow reference would agree.

jsonschema-rs and jsonschema differ in what a pattern means and in what is an integer. A narrowed
copy leaves out whatever only one of them might take.
"""

import re
from typing import Any, Final

_NOTHING: Final[dict[str, Any]] = {"not": {}}
_ANYTHING: Final[dict[str, Any]] = {}
_SAME: Final = {
    *("$schema", "$ref", "type", "required", "enum"),
    *("minimum", "maximum", "minLength", "maxLength", "maxItems"),
}
"""Keywords that both engines take alike, besides those that hold schemas."""

_NOTES: Final = {"title", "description", "default", "examples", "format"}
"""Keywords that reject nothing; formats are not checked."""

_PATTERN: Final = re.compile(r"\^\[(?:\\w|[A-Za-z0-9/+_-])+\](?:\+|\{\d+\})\$")
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
        if keyword in ("properties", "definitions", "$defs"):
            copy[keyword] = {name: _copy(part, wide=wide) for name, part in value.items()}
        elif keyword == "pattern" and _PATTERN.fullmatch(value):
            if not wide:
                copy[keyword] = value.replace(r"\w", "A-Za-z0-9_")
        elif wide and (keyword == "$ref" or (keyword == "type" and "integer" in value)):
            # What is referred to is narrow. orjson reads a huge integer as a float, which is no
            # integer to draft-04.
            continue
        elif keyword == "oneOf":
            copy["anyOf"] = _alternatives(value, wide=wide)
        elif keyword in ("items", "additionalProperties"):
            copy[keyword] = _copy(value, wide=wide)
        elif keyword in _SAME:
            copy[keyword] = value
        elif keyword not in _NOTES:
            return _ANYTHING if wide else _NOTHING
    return copy


def _alternatives(arms: list[Any], *, wide: bool) -> list[Any]:
    if wide:
        return [_copy(arm, wide=True) for arm in arms]
    refused = [{"not": _copy(arm, wide=True)} for arm in arms]
    return [
        {"allOf": [_copy(arm, wide=False), *refused[:number], *refused[number + 1 :]]}
        for number, arm in enumerate(arms)
    ]
