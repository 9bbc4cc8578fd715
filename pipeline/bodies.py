"""Bodies of messages: bytes in, objects and the bytes of each out, or why not.

orjson reads them first, an integer beyond 64 bits as a float. Where it refuses, Python's `json`
decides: it also takes lone surrogates. What goes on is the bytes as they were sent, so they must be
JSON wherever they are put: NaN and Infinity, which Python takes, are refused.
"""

import json
import re
from dataclasses import dataclass
from typing import Any, Final

import orjson

from pipeline.dead_letters import (
    EMPTY,
    NOT_JSON,
    NOT_UTF_8,
    NULL_VALUE,
    TOO_DEEP,
    TOO_MANY_ITEMS,
    WRONG_TYPE,
)
from pipeline.refusals import Refusal, one_line

MAX_ITEMS: Final = 10_000
"""How many items a list may have."""

_WHITE_SPACE: Final = re.compile(r"[ \t\n\r]*")
_TYPES: Final = {list: "list", str: "text", bool: "boolean", type(None): "null"}


@dataclass(slots=True)
class Item:
    """One object of a body: its bytes as sent, what they say, its index in a list.

    `document` is the object, or the Refusal of this item alone. White space around the one
    object of a body stays in `raw`.
    """

    raw: bytes
    document: dict[str, Any] | Refusal
    index: int | None


def decode(body: bytes | None) -> list[Item] | Refusal:
    """Return the items of a body, or why none can be had; no bytes make it raise.

    A body is one object or a list of objects. In a list each item is judged alone, as far as
    where it ends can be seen.
    """
    if body is None:
        return Refusal(NULL_VALUE, "the record has no value")
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _refer(body)
    if type(document) is dict:
        return [Item(body, document, None)]
    return _refer(body)


def _refer(body: bytes) -> list[Item] | Refusal:
    """Decode what is a list, or no JSON in the eyes of orjson."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        return Refusal(NOT_UTF_8, f"no UTF-8 at byte {error.start}: {error.reason}")
    if text.startswith("\ufeff"):
        return Refusal(NOT_JSON, "a byte order mark stands before the JSON; send it without")
    start = _skip(text, 0)
    if start == len(text):
        return Refusal(EMPTY, "the value is empty")
    if text[start] == "[":
        return _items(text, start + 1)
    found = _value(text, start)
    if isinstance(found, Refusal):
        return found
    document, end = found
    if (end := _skip(text, end)) != len(text):
        return _no_json("more follows the JSON", text, end)
    if isinstance(document, Refusal):
        return document
    return [Item(body, document, None)]


def _items(text: str, at: int) -> list[Item] | Refusal:
    """Decode the items of a list whose bracket is behind us."""
    items: list[Item] = []
    at = _skip(text, at)
    mark = ","
    if text.startswith("]", at):
        mark = "]"
        at = _skip(text, at + 1)
    while mark == ",":
        if len(items) == MAX_ITEMS:
            return Refusal(TOO_MANY_ITEMS, f"the list has more than {MAX_ITEMS:,} items")
        found = _value(text, at)
        if isinstance(found, Refusal):
            return found
        document, end = found
        items.append(Item(text[at:end].encode(), document, len(items)))
        at = _skip(text, end)
        mark = text[at : at + 1]
        if mark not in (",", "]"):
            return _no_json("expecting a comma or the end of the list", text, at)
        at = _skip(text, at + 1)
    if at != len(text):
        return _no_json("more follows the list", text, at)
    return items or Refusal(EMPTY, "the list has no items")


def _skip(text: str, at: int) -> int:
    """Return where the white space that may stand at a place ends."""
    found = _WHITE_SPACE.match(text, at)
    return found.end() if found else at


def _no_json(problem: str, text: str, at: int) -> Refusal:
    line = text.count("\n", 0, at) + 1
    column = at - text.rfind("\n", 0, at)
    return Refusal(NOT_JSON, f"no JSON at line {line}, column {column}: {problem}")


class _NoNumberError(ValueError):
    """A word that Python takes for a number, and JSON does not."""


def _no_number(word: str) -> Any:
    raise _NoNumberError(word)


_reference = json.JSONDecoder(parse_constant=_no_number)
# Reads any number as text, so that the end of a value with a number that is refused is found.
_lenient = json.JSONDecoder(parse_constant=str, parse_int=str, parse_float=str)


def _value(text: str, at: int) -> tuple[dict[str, Any] | Refusal, int] | Refusal:
    """Decode the value at a place: the object or its refusal, and where it ends.

    Returns a Refusal alone where its end cannot be found.
    """
    try:
        try:
            document, end = _reference.raw_decode(text, at)
        except json.JSONDecodeError:
            raise
        except ValueError as error:
            _, end = _lenient.raw_decode(text, at)
            problem = f"{error} is no JSON" if isinstance(error, _NoNumberError) else str(error)
            return Refusal(NOT_JSON, one_line(problem)), end
    except json.JSONDecodeError as error:
        return _no_json(error.msg[:1].lower() + error.msg[1:], text, error.pos)
    except RecursionError:
        return Refusal(TOO_DEEP, "nested too deep to be read")
    if type(document) is dict:
        return document, end
    kind = _TYPES.get(type(document), "number")
    return Refusal(WRONG_TYPE, f"a {kind} and not an object"), end
