"""Figures: what was measured, how far it varied, and whether it is as it must be."""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table; `values` are those of single runs, and the figure is their median.

    `least` and `most` are what it must be at least or at most; without them it is for
    information.
    """

    what: str
    unit: str
    values: Sequence[float]
    least: float | None = None
    most: float | None = None

    @property
    def value(self) -> float:
        """The median."""
        return statistics.median(self.values)

    @property
    def required(self) -> str:
        """What it must be, in words; empty where nothing is required."""
        if self.least is not None:
            return f"≥ {number(self.least)}"
        return "" if self.most is None else f"≤ {number(self.most)}"

    @property
    def met(self) -> bool | None:
        """Whether it is as required; None where nothing is."""
        if self.least is not None:
            return self.value >= self.least
        return None if self.most is None else self.value <= self.most

    def document(self) -> dict[str, Any]:
        """Return it as it stands in the file of results."""
        return {
            "what": self.what,
            "unit": self.unit,
            "median": self.value,
            "values": list(self.values),
            "least": self.least,
            "most": self.most,
            "met": self.met,
        }


class Result(Protocol):
    """What a measurement returns: a dataclass that has figures."""

    @property
    def figures(self) -> Sequence[Figure]:
        """The lines of the table, in order."""
        ...


Measure = Callable[[Any, Any], Result]


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the least value that at least `percent` of a hundred values do not exceed.

    Raises ValueError where there are no values.
    """
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values have no percentile")
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]


def number(value: float) -> str:
    """Return a number as people read it: three digits that count, thousands set apart."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(figures: Iterable[Figure]) -> str:
    """Return figures as a Markdown table, its columns in line."""
    rows = [("", "median", "lowest to highest", "required", "")]
    for one in figures:
        low, high = min(one.values), max(one.values)
        rows.append(
            (
                one.what,
                f"{number(one.value)} {one.unit}",
                f"{number(low)} to {number(high)}" if len(one.values) > 1 else "",
                one.required,
                {True: "met", False: "NOT MET", None: ""}[one.met],
            )
        )
    return aligned(rows)


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows, the first of them the head, as a Markdown table with its columns in line."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in rows
    ]
    rule = "| " + " | ".join("-" * width for width in widths) + " |"
    return "\n".join([lines[0], rule, *lines[1:]])
