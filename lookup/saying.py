"""How times, places and tables are said."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

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
