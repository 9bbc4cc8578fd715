"""What commands take as arguments."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from letters.letter import Position

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


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
            aware = when if when.tzinfo else when.replace(tzinfo=UTC)
            # In whole numbers: a time out of a list must find what stands there.
            return max(0, (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
        except (ValueError, OverflowError):
            example = "such as 90m, 2h, 7d or 2026-03-01T10:00Z"
            return self.fail(f"{value!r} is no time, {example}", param, ctx)


class PositionType(click.ParamType):
    """A partition and an offset, as lists show them."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it as a `Position`."""
        if isinstance(value, Position):
            return value
        found = Position.read(value)
        if found is None:
            self.fail(f"{value!r} is no position; they look like 2/17", param, ctx)
        return found
