"""A JSON Schema in words: what it allows, and what it has against a value."""

import difflib
import json
from collections.abc import Iterable, Mapping
from typing import Any, cast

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from pulseload.amqp import shown

_TYPES = {
    "array": "a list",
    "boolean": "true or false",
    "integer": "a whole number",
    "null": "null",
    "object": "an object",
    "string": "a text",
}
_CHARACTERS = {
    r"^[\w-]+$": " of letters, digits, _ and -",
    "^[A-Za-z0-9._-]+$": " of letters, digits, ., _ and -",
    "^(?!queue/)[A-Za-z0-9._/-]+$": " of letters, digits, ., _, / and -",
    r"^https?://[^\s@?#]+$": " that begins with http:// or https://, without @, ? and #,",
    r"^https?://[^\s]+$": " that begins with http:// or https://,",
    r"^amqps?://[^\s]+$": " that begins with amqp:// or amqps://,",
    "^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+)*$": " of letters, digits, ., _, / and -",
}
"""Patterns in words; what others ask for is seen from their examples."""

_SHOWN_LENGTH = 120


def value_shown(value: Any) -> str:
    """Return a value as one short line without the passwords of the URLs in it."""

    def hidden(part: Any) -> Any:
        if isinstance(part, str):
            return shown(part)
        if isinstance(part, list):
            return [hidden(item) for item in part]
        if isinstance(part, dict):
            return {str(key): hidden(item) for key, item in part.items()}
        return part

    text = json.dumps(hidden(value), ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def allowed(schema: Mapping[str, Any]) -> str:
    """Return in words what a schema allows."""
    if "enum" in schema:
        return "one of " + ", ".join(map(str, schema["enum"]))
    named = schema.get("type", [])
    types = [named] if isinstance(named, str) else list(named)
    return " or ".join(_allowed(kind, schema) for kind in types)


def _allowed(kind: str, schema: Mapping[str, Any]) -> str:
    words = _TYPES[kind]
    if kind == "integer" and "minimum" in schema:
        words += f" from {schema['minimum']} to {schema['maximum']}"
    elif kind == "array":
        limits = ["not empty"] if schema.get("minItems") else []
        limits += ["none twice"] if schema.get("uniqueItems") else []
        words += f" ({', '.join(limits)})" if limits else ""
        words += f", each item {allowed(schema['items'])}"
    elif kind == "string":
        words += _CHARACTERS.get(schema.get("pattern", ""), "")
        if schema.get("minLength", 1) > 1:
            words += f" of {schema['minLength']} to {schema['maxLength']} characters"
        elif "maxLength" in schema:
            words += f" of at most {schema['maxLength']} characters"
        examples = [text for text in schema.get("examples", ()) if isinstance(text, str)]
        if examples:
            words += " such as " + " or ".join(examples)
    return words


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean …?` or, where nothing is near, `; known: …`."""
    known = list(known)
    found = near(word, known)
    return f"; did you mean {found}?" if found else "; known: " + ", ".join(known)


def near(word: str, known: Iterable[str]) -> str | None:
    """Return the name that a word may be a misspelling of, in capitals or not."""
    names = {name.lower(): name for name in known}
    found = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.75)
    return names[found[0]] if found else None


def problem(schema: Mapping[str, Any], value: Any, name: str) -> str | None:
    """Return what a schema has against the value called `name`, as one line, or None.

    Of several problems it is the first in reading order. Passwords in URLs are hidden.
    """
    errors = sorted(
        Draft202012Validator(schema).iter_errors(value),
        key=lambda error: [str(step).zfill(6) for step in error.absolute_path],
    )
    return _said(errors[0], name) if errors else None


def _said(error: ValidationError, name: str) -> str:
    for step in error.absolute_path:
        name += f"[{step}]" if isinstance(step, int) else f".{step}"
    schema = cast("Mapping[str, Any]", error.schema)
    value: Any = error.instance
    if error.validator == "additionalProperties":
        known = schema["properties"]
        extra = next(key for key in value if key not in known)
        return f"{name} has the unknown key {extra!r}{suggestion(str(extra), known)}"
    if error.validator == "required":
        lacking = [key for key in schema["required"] if key not in value]
        return f"{name} lacks {' and '.join(lacking)}"
    if error.validator == "dependentRequired":
        given, needed = next(
            (key, other)
            for key, others in schema["dependentRequired"].items()
            for other in others
            if key in value and other not in value
        )
        return f"{name} has {given} but no {needed}; it needs both or neither"
    shown_value = "not shown" if schema.get("format") == "password" else value_shown(value)
    return f"{name} is {shown_value}; allowed: {allowed(schema)}"
