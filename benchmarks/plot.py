"""A plot of the peers' jobs/s from a file of results: bars, and a line from lowest to highest."""

import json
import statistics
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Final

from benchmarks.figures import number
from benchmarks.standings import OURS, Run, Standing
from pulseload.errors import Failure

WIDTH: Final = 820
LEFT: Final = 310
"""Where the bars begin."""
ROW: Final = 34
_BAR: Final = 18
_ROOM: Final = 80
"""What a bar's figure needs to the right of the longest."""

# An image has no colours of the page it is in: it asks for light or dark itself.
_STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.peer { fill: #8c959f } .ours { fill: #0969da } .spread { stroke: #1f2328; stroke-width: 1.5 }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 } .peer { fill: #6e7681 } .ours { fill: #4493f8 } .spread { stroke: #e6edf3 }
}"""


def write(results: Path, target: Path) -> None:
    """Draw what a file of results tells of the peers; raises Failure where it tells nothing."""
    try:
        measured = json.loads(results.read_text())["results"]["peers"]["measured"]["runs"]
    except (OSError, ValueError, KeyError) as error:
        raise Failure(f"{results} has no results of peers: measure them first") from error
    standings = {
        name: Standing(**{**one, "runs": [Run(**run) for run in one["runs"]]})
        for name, one in measured.items()
    }
    target.write_text(svg(standings))


def svg(standings: Mapping[str, Standing]) -> str:
    """Return the plot of all that count, the fastest first; one at least must."""
    rows = []
    for name, one in standings.items():
        speeds = one.values(lambda run: run.jobs_per_second)
        if one.counts:
            rows.append((statistics.median(speeds), min(speeds), max(speeds), name, one))
    rows.sort(key=lambda row: -row[0])
    scale = (WIDTH - LEFT - _ROOM) / max(row[2] for row in rows)
    height = ROW * len(rows) + 36
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Jobs per second of pulseload and its peers</title>",
        f"<style>{_STYLE}</style>",
    ]
    for index, (middle, low, high, name, one) in enumerate(rows):
        top, kind = ROW * index + 8, "ours" if name == OURS else "peer"
        text, line = top + _BAR - 4, top + _BAR / 2
        label = escape(f"{one.title}, {one.guarantee}")
        size = f'width="{middle * scale:.1f}" height="{_BAR}" rx="2"'
        ends = f'x1="{LEFT + low * scale:.1f}" x2="{LEFT + high * scale:.1f}"'
        parts += [
            f'<text x="{LEFT - 8}" y="{text}" text-anchor="end">{label}</text>',
            f'<rect class="{kind}" x="{LEFT}" y="{top}" {size}/>',
            f'<line class="spread" {ends} y1="{line}" y2="{line}"/>',
            f'<text x="{LEFT + high * scale + 8:.1f}" y="{text}">{number(middle)}</text>',
        ]
    runs = max(len(row[4].runs) for row in rows)
    note = f"jobs/s: the median of {runs} runs, and from the lowest to the highest"
    return "\n".join([*parts, f'<text x="{LEFT}" y="{height - 10}">{note}</text>', "</svg>", ""])
