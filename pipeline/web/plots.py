"""Small plots as SVG, drawn by the server: they need no script and no file of anybody else."""

from collections.abc import Sequence
from typing import Final

from markupsafe import Markup

from pipeline.web.history import Series

WIDTH: Final = 300
HEIGHT: Final = 60
_MARGIN: Final = 2

_TEMPLATE: Final = Markup(
    '<svg class="plot" viewBox="0 0 {width} {height}" role="img" aria-label="{label}" '
    'preserveAspectRatio="none"><polygon class="area" points="{area}"/>'
    '<polyline class="line" points="{line}"/></svg>'
)


def plot(series: Series, what: str) -> Markup:
    """Return a plot of a series, 0 at the bottom and its greatest value at the top.

    Its label says in words what it shows, for those who do not see it.
    """
    values = [value for _, value in series]
    most, last = max(values, default=0.0), values[-1] if values else 0.0
    places = _places(values, most)
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    label = f"{what} in the last hour: at most {figure(most)}, now {figure(last)}"
    return _TEMPLATE.format(
        width=WIDTH,
        height=HEIGHT,
        label=label,
        line=line,
        area=f"0,{HEIGHT} {line} {WIDTH},{HEIGHT}",
    )


def figure(value: float) -> str:
    """Return a number as a person reads it: three digits at most below a thousand."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _places(values: Sequence[float], most: float) -> list[tuple[float, float]]:
    if not values:
        return [(0.0, float(HEIGHT)), (float(WIDTH), float(HEIGHT))]
    step = WIDTH / max(1, len(values) - 1)
    room = HEIGHT - 2 * _MARGIN
    return [
        (index * step, HEIGHT - _MARGIN - (room * value / most if most else 0.0))
        for index, value in enumerate(values)
    ]
