"""What a run of the tests has done to pulseload, counted over all its processes."""

import os
from collections import Counter
from pathlib import Path
from typing import Final

PLACE: Final = "TEST_LEDGER"
"""The variable that names the file; pytest's other processes inherit it."""


def note(what: str, count: int = 1) -> None:
    """Count something, where there is a ledger."""
    if place := os.environ.get(PLACE):
        with Path(place).open("a") as file:
            file.write(f"{count} {what}\n")


def told() -> str:
    """Return what was counted, in one line."""
    sums: Counter[str] = Counter()
    for line in Path(os.environ[PLACE]).read_text().splitlines():
        count, _, what = line.partition(" ")
        sums[what] += int(count)
    return ", ".join(f"{count:,} {what}" for what, count in sorted(sums.items()))
