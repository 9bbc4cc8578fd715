"""Writes `docs/metrics.md` from `pulseload.metrics`: `python -m commands.metrics_page`."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from prometheus_client.metrics import MetricWrapperBase

from pulseload import metrics

PAGE: Final = Path(__file__).parents[1] / "docs" / "metrics.md"

_TOP = """\
<!-- Made by `python -m commands.metrics_page` from pulseload/metrics.py. -->
# Metrics

A worker serves them for Prometheus at `http://127.0.0.1:6066/metrics`, a bridge at
`http://127.0.0.1:6166/metrics`. Each shows what it does itself: sum over all processes. Units are
seconds and counts. Where several processes share a machine, each takes the next free port, and its
log says which.

Beside these come `process_*` and `python_*` of the process itself. Alert rules for them stand in
`deploy/alerts.yml`, a Grafana dashboard in `deploy/dashboard.json`; what to do when one fires is in
[operating](operating.md).

| metric | type | labels | meaning |
| --- | --- | --- | --- |
"""


def page() -> str:
    """Return the page."""
    return _TOP + "".join(f"{row}\n" for row in map(_row, metrics.ALL))


def names(metric: MetricWrapperBase) -> Iterator[str]:
    """Yield the names under which Prometheus keeps a metric."""
    family = next(iter(metric.describe()))
    match family.type:
        case "counter":
            yield f"{family.name}_total"
        case "histogram":
            yield from (f"{family.name}_{end}" for end in ("bucket", "sum", "count"))
        case _:
            yield family.name


def _row(metric: MetricWrapperBase) -> str:
    family = next(iter(metric.describe()))
    labels = ", ".join(f"`{name}`" for name in metric._labelnames) or "none"
    shown = family.name + ("_total" if family.type == "counter" else "")
    return f"| `{shown}` | {family.type} | {labels} | {family.documentation} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
