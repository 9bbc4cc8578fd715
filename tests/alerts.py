"""The rules, the dashboard and the recorded expositions, as tests read them."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import yaml

from local import ROOT

RULES: Final = ROOT / "deploy/alerts.yml"
DASHBOARD: Final = ROOT / "deploy/dashboard.json"
RECORDED: Final = Path(__file__).parent / "expositions"
JOBS: Final = ("pulseload-worker", "pulseload-bridge")


def rules() -> dict[str, dict[str, Any]]:
    """Return the alert rules by name."""
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


def panels() -> dict[str, list[str]]:
    """Return the expressions of the dashboard by the title of their panel."""
    return {
        panel["title"]: [target["expr"] for target in panel["targets"]]
        for panel in json.loads(DASHBOARD.read_text())["panels"]
        if panel["type"] != "row"
    }


def samples(exposition: str) -> Iterator[tuple[str, str, float]]:
    """Yield name, labels as they are written, and value of each line of an exposition."""
    for name, labels, value in re.findall(
        r"^([a-z_]\w*)(?:\{(.*)\})? (\S+)$", exposition, re.MULTILINE
    ):
        yield name, labels, float(value)


def shapes(exposition: str) -> set[tuple[str, tuple[str, ...]]]:
    """Return the name and the names of labels of each of our own lines."""
    return {
        (name, tuple(re.findall(r'(\w+)="', labels)))
        for name, labels, _ in samples(exposition)
        if name.startswith("pulseload_")
    }
