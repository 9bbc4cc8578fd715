"""How commands say times, places and tables, and what they take as arguments."""

import re
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import click

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
_NAMES: Final = (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1))


def moment(ms: int) -> str:
    """Return a time (ms since 1970) in UTC, to the second."""
    try:
        return datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (ValueError, OverflowError, OSError):
        return f"{ms} ms"


def length(ms: int) -> str:
    """Return a length of time by its largest unit: `4 min`."""
    seconds = max(0, ms // 1_000)
    for name, size in _NAMES:
        if seconds >= size:
            return f"{seconds // size} {name}"
    return "0 s"


def since(ms: int, now: int) -> str:
    """Return a time, and how long it has lasted since."""
    return f"{moment(ms)} ({length(now - ms)})"


def ago(ms: int, now: int) -> str:
    """Return a time, and how long ago it was."""
    return f"{moment(ms)} ({length(now - ms)} ago)"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with what it counts."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def columns(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield rows as lines in which the columns stand below each other."""
    known = list(rows)
    widths = [max(map(len, column)) for column in zip(*known, strict=True)]
    for row in known:
        yield "  ".join(map(str.ljust, row, widths)).rstrip()


def shown(text: str) -> str:
    """Return a text from outside as one line that no terminal takes for commands."""
    return "".join(one if one.isprintable() else "?" for one in text)


class PushKey(click.ParamType):
    """`PROJECT:REVISION`, as jobs name their push."""

    name = "project:revision"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return it without white space around it."""
        project, colon, revision = str(value).strip().partition(":")
        if not (project and colon and revision):
            self.fail(f"{value!r} is no PROJECT:REVISION, such as autoland:6b0d…", param, ctx)
        return f"{project}:{revision}"


class Since(click.ParamType):
    """A length of time back from now, or a moment; as ms since 1970."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the moment that is meant."""
        if isinstance(value, int):
            return value
        text = str(value).strip()
        if found := re.fullmatch("([0-9]{1,9})([smhd])", text):
            now = int(time.time() * 1_000)
            return max(0, now - int(found[1]) * _UNITS[found[2]] * 1_000)
        try:
            when = datetime.fromisoformat(text)
            return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp() * 1_000)
        except (ValueError, OverflowError):
            example = "such as 90m, 2h, 7d or 2026-03-01T10:00Z"
            return self.fail(f"{value!r} is no time, {example}", param, ctx)
