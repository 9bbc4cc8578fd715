"""Letters in words: a line of a list, a whole letter, and both as JSON."""

import base64
import re
from typing import Any, Final

from letters.letter import Letter
from pipeline.refusals import one_line

_PIECE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{}:,]|[^\s\[\]{}:,"]+')

SHOWN_CHARACTERS: Final = 262_144
"""How much of a body is shown to people; `show --json` gives all of it."""

MAX_INDENT: Final = 40

HEADING: Final = f"{'POSITION':<12} {'TIME':<24} {'REASON':<16} {'FROM':<40} JOB"


def line(letter: Letter) -> str:
    """Return a letter as one line that does no harm to a terminal."""
    text = (
        f"{letter.position!s:<12} {letter.time:<24} {letter.reason or '-':<16} "
        f"{letter.origin or '-':<40} {letter.job_id or '-'}"
    )
    return one_line(text)


def summary(letter: Letter) -> dict[str, Any]:
    """Return what a list's line tells, and all of why, for JSON."""
    return {
        "topic": letter.topic,
        "position": str(letter.position),
        "time": letter.time,
        "job_id": letter.job_id,
        letter.word: letter.why,
    }


def whole(letter: Letter) -> dict[str, Any]:
    """Return all of a letter, for JSON; bytes that are no UTF-8 as Base64."""
    return {
        **summary(letter),
        **_exact("key", letter.key),
        "headers": [{"name": name, **_exact("value", value)} for name, value in letter.headers],
        **_exact("value", letter.value),
    }


def _exact(name: str, data: bytes | None) -> dict[str, str | None]:
    try:
        return {name: None if data is None else data.decode()}
    except UnicodeDecodeError:
        return {f"{name}_base64": base64.b64encode(data or b"").decode()}


def page(letter: Letter) -> str:
    """Return all of a letter for people; JSON is indented, and otherwise as it came."""
    told = [("key", letter.key)] if letter.key is not None else []
    told += letter.headers
    return "\n".join(
        [
            f"{letter.topic} {letter.position}, {letter.time}",
            *(f"{_safe(name)}: {_safe(_text(data))}" for name, data in told),
            "",
            _body(letter),
        ]
    )


def _body(letter: Letter) -> str:
    if letter.value is None:
        return "(no value)"
    text = _text(letter.value)
    if letter.document is not None:
        return _safe(indented(text))
    return _safe(text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]} …")


def indented(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """Return JSON with a line for each item; numbers, texts and doubled keys stay as they are.

    No more than about `limit` characters come, and an ellipsis for the rest.
    """
    parts: list[str] = []
    depth = length = 0
    before = ""
    for found in _PIECE.finditer(text):
        piece = found[0]
        if piece in ("}", "]"):
            depth -= 1
        apart = ""
        # Nothing stands between the brackets of what is empty.
        if (
            before + piece not in ("{}", "[]")
            and before
            and (piece in ("}", "]") or before in ("{", "[", ","))
        ):
            apart = "\n" + "  " * min(depth, MAX_INDENT)
        length += len(apart) + len(piece)
        if length > limit:
            return f"{''.join(parts)} …"
        parts.append(apart)
        parts.append(": " if piece == ":" else piece)
        if piece in ("{", "["):
            depth += 1
        before = piece
    return "".join(parts)


def _text(data: bytes) -> str:
    return data.decode(errors="backslashreplace")


def _safe(text: str) -> str:
    """Return a text with escapes for what would move a terminal's cursor or hide something."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )
