"""Why something is refused: a word for programs and one bounded line for people."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, cast

from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator

MAX_LENGTH: Final = 500
"""How many characters a message has at most: it must never carry a whole document."""

_SHOWN_LENGTH: Final = 100


@dataclass(frozen=True, slots=True)
class Refusal:
    """A reason, one of the words of `pipeline.dead_letters`, and a message of one line."""

    reason: str
    message: str


def one_line(text: str) -> str:
    """Return a text as one line of at most `MAX_LENGTH` characters."""
    if len(text) > MAX_LENGTH:
        text = text[: MAX_LENGTH - 1] + "…"
    return "".join(character if character.isprintable() else " " for character in text)


def shown(value: object) -> str:
    """Return a value as Python writes it, its end cut off where it is long."""
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else text[: _SHOWN_LENGTH - 1] + "…"


def against(form: Validator, document: Any) -> str | None:
    """Return what a form has against a document, or None: the place and the rule, as one line.

    Of several faults it is the first in the schema's order. Raises RecursionError where the
    document is nested too deep to speak of.
    """
    error = next(form.iter_errors(document), None)
    if error is None:
        return None
    while error.validator == "oneOf" and error.context:
        error = _nearest(error.context)
    place = _path(error.absolute_path)
    return one_line(f"{place}: {_rule(error)}" if place else _rule(error))


def _nearest(alternatives: Iterable[ValidationError]) -> ValidationError:
    """Return the first fault of the alternative that the document comes nearest to.

    Alternatives are told apart by an `enum` (that of `kind`, say), so one whose `enum` is broken
    is not the one that was meant.
    """
    arms: dict[object, list[ValidationError]] = {}
    for error in alternatives:
        arms.setdefault(error.schema_path[0], []).append(error)

    def distance(arm: list[ValidationError]) -> tuple[bool, int]:
        return any(error.validator == "enum" for error in arm), len(arm)

    return min(arms.values(), key=distance)[0]


def _path(steps: Iterable[str | int]) -> str:
    path = ""
    for step in steps:
        path += f"[{step}]" if isinstance(step, int) else f".{step}"
    return path.removeprefix(".")


def _rule(error: ValidationError) -> str:
    value, limit = shown(error.instance), cast(Any, error.validator_value)
    match error.validator:
        case "minLength":
            return f"{value} is shorter than {limit}"
        case "maxLength":
            return f"{value} is longer than {limit}"
        case "oneOf":
            names = ", ".join(arm.get("title", "?") for arm in limit)
            return f"{value} is more than one of these: {names}"
    # Most of jsonschema's messages begin with the whole value.
    whole = repr(error.instance)
    if error.message.startswith(whole):
        return value + error.message[len(whole) :]
    return error.message
