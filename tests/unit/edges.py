"""Documents at the edge of each rule of a schema, found by walking the schema along a document."""

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.examples import changed, without

TYPES: list[Any] = [None, True, 0, 1.5, "", "a", [], {}, [1], {"a": 1}]
"""A value of each type, of which a rule about types takes some."""

LIMITS = ("minLength", "maxLength", "minimum", "maximum")


class Rule(NamedTuple):
    """What a schema says of one place of a document; `at` is where in the schema that stands."""

    path: str
    at: tuple[str | int, ...]
    schema: dict[str, Any]


def rules(whole: dict[str, Any], document: Any) -> Iterator[Rule]:
    """Yield what a schema says of each place that a document has, of every alternative."""
    yield from _rules(whole, (), document, "")


def _rules(whole: Any, at: tuple[str | int, ...], document: Any, path: str) -> Iterator[Rule]:
    schema = _found(whole, at)
    if "$ref" in schema:
        yield from _rules(whole, tuple(schema["$ref"].split("/")[1:]), document, path)
        return
    yield Rule(path, at, schema)
    for number, _ in enumerate(schema.get("oneOf", [])):
        yield from _rules(whole, (*at, "oneOf", number), document, path)
    if isinstance(document, dict):
        for name in schema.get("properties", {}).keys() & document.keys():
            below = f"{path}.{name}" if path else name
            yield from _rules(whole, (*at, "properties", name), document[name], below)
    items = schema.get("items")
    if items and isinstance(document, list) and document:
        step = (*at, "items", 0) if isinstance(items, list) else (*at, "items")
        yield from _rules(whole, step, document[0], f"{path}.0")


def _found(whole: Any, at: tuple[str | int, ...]) -> Any:
    for step in at:
        whole = whole[step]
    return whole


def documents(start: dict[str, Any], rule: Rule) -> Iterator[dict[str, Any]]:
    """Yield a document with the place of a rule moved to, and over, each edge of it."""
    schema, path = rule.schema, rule.path
    if path:
        if not path.endswith(".0"):
            yield without(start, path)
        for value in values(schema):
            yield changed(start, path, value)
    if "properties" in schema:
        yield changed(start, f"{path}.colour".lstrip("."), "green")
    if "items" in schema:
        item = _found(start, tuple(_steps(path)))[0]
        for more in ([item] * 2, [item] * 3, *([item, other] for other in TYPES)):
            yield changed(start, path, more)


def values(schema: dict[str, Any]) -> list[Any]:
    """Return values at, and over, each edge of what a schema says of a value."""
    return [*_values(schema), *TYPES]


def _steps(path: str) -> Iterator[str | int]:
    for step in path.split("."):
        yield int(step) if step.isdigit() else step


def _values(schema: dict[str, Any]) -> Iterator[Any]:
    for word in schema.get("enum", []):
        yield from (word, str(word).upper(), f"{word}\n", [word], float(word == 1))
    if schema.get("type") == "string":
        limits = [schema[name] for name in LIMITS if name in schema] or [1]
        for length in {max(n + d, 0) for n in limits for d in (-1, 0, 1)}:
            yield from ("a" * length, "😀" * length)
        most = max(limits)
        for fill in ("é", "٣", "_", "-", "/", ".", "A", "g", "0", " ", "\ud800"):
            yield (fill + "a" * most)[:most]
        for end in ("\n", "\n\n", "\r\n", "\u2028"):
            yield ("a" * most)[: max(most - len(end), 0)] + end
    if schema.get("type") == "integer":
        limits = [schema[name] for name in LIMITS if name in schema] or [0]
        for number in {n + d for n in limits for d in (-1, 0, 1)}:
            yield from (number, float(number), number + 0.5, str(number))
        yield from (-0.0, False, 1e300, 2**63, 2**64, -(2**64), 10**400)
    if schema.get("type") == "boolean":
        yield from (False, 0.0, "true", 1)


def moved(whole: dict[str, Any], rule: Rule) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield schemas in which one edge of a rule is moved by one, each with what was done."""
    schema = rule.schema
    for name in LIMITS:
        if name in schema:
            for by in (-1, 1):
                # A length is at least 0 as it is.
                if (name, schema[name] + by) not in (("minLength", 0), ("minLength", -1)):
                    yield f"{name} {by:+}", _with(whole, rule, name, schema[name] + by)
    for word in schema.get("enum", []):
        fewer = [one for one in schema["enum"] if one != word]
        yield f"no {word}", _with(whole, rule, "enum", fewer or ["none"])
        if isinstance(word, str):
            yield (
                f"also {word.upper()}",
                _with(whole, rule, "enum", [*schema["enum"], word.upper()]),
            )
    for field in schema.get("required", []):
        fewer = [one for one in schema["required"] if one != field]
        yield f"without {field}", _with(whole, rule, "required", fewer or [field + "x"])
    if schema.get("additionalProperties") is False:
        yield "open", _with(whole, rule, "additionalProperties", True)
    if "pattern" in schema:
        for pattern in (schema["pattern"][:-1] + r"\Z", schema["pattern"].replace("[", "[ ")):
            yield f"pattern {pattern}", _with(whole, rule, "pattern", pattern)


def _with(whole: dict[str, Any], rule: Rule, keyword: str, value: Any) -> dict[str, Any]:
    mutant = copy.deepcopy(whole)
    _found(mutant, rule.at)[keyword] = value
    return mutant
