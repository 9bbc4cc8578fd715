"""What is written on the command line: positions and times."""

import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import click

from commands.letters.letter import Position

_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


class PositionType(click.ParamType):
    """A partition and an offset, as lists show them."""

    name = "position"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it as a `Position`."""
        if isinstance(value, Position):
            return value
        found = re.fullmatch(r"([0-9]{1,9})/([0-9]{1,18})", value)
        if found is None:
            self.fail(f"{value!r} is no position; they look like 2/17", param, ctx)
        return Position(int(found[1]), int(found[2]))


class MomentType(click.ParamType):
    """A time of ISO 8601, in UTC unless it says otherwise, or how long ago it was."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return it in milliseconds since 1970."""
        if isinstance(value, int):
            return value
        if ago := re.fullmatch(r"([0-9]{1,9})([smhd])", value):
            return max(0, int((time.time() - int(ago[1]) * _SECONDS[ago[2]]) * 1_000))
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            self.fail(
                f"{value!r} is no time; they look like 2026-04-02, 2026-04-02T09:30, or 2h "
                "(two hours ago)",
                param,
                ctx,
            )
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        # In whole numbers: a time out of a list must find its letter.
        return max(0, (aware - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1))
