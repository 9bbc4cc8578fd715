"""What is installed is what constraints.txt says, and its vulnerabilities fail a run."""

import re
from importlib.metadata import distributions
from typing import Any

from tests.audit import CONSTRAINTS, verdict


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_installed_package_is_pinned() -> None:
    lines = [line for line in CONSTRAINTS.read_text().splitlines() if not line.startswith("#")]
    pinned = {normal(name): version for name, _, version in (x.partition("==") for x in lines)}
    installed = {normal(one.name): one.version for one in distributions()}
    # Pip comes with Python, and setuptools may: neither is used once all is built.
    for name in ("pulseload", "pip", "setuptools"):
        installed.pop(name, None)
    del pinned["setuptools"]
    assert installed == pinned


def package(name: str, *vulnerabilities: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "version": "1.0", "vulns": list(vulnerabilities)}


NOT_FOUND = {"name": "a", "skip_reason": "Dependency not found on PyPI"}
FIXED = {"id": "PYSEC-1", "fix_versions": ["1.1", "2.0"]}
OPEN = {"id": "PYSEC-2", "fix_versions": []}


def test_what_is_vulnerable_is_named_with_the_version_that_mends_it() -> None:
    assert verdict({"dependencies": [package("a", FIXED), package("b"), package("c", OPEN)]}) == (
        [
            "audit: a 1.0 has PYSEC-1, fixed in 1.1 or 2.0",
            "audit: c 1.0 has PYSEC-2, fixed in no version yet",
            "audit: 3 of 3 packages looked up; known vulnerabilities: 2",
        ],
        1,
    )


def test_what_is_not_vulnerable_passes() -> None:
    lines = ["audit: 1 of 2 packages looked up; known vulnerabilities: none"]
    assert verdict({"dependencies": [package("b"), NOT_FOUND]}) == (lines, 0)


def test_where_nobody_can_be_asked_it_says_so_and_passes() -> None:
    reports: list[dict[str, Any] | None] = [None, {"dependencies": [NOT_FOUND, NOT_FOUND]}]
    for report in reports:
        (line,), status = verdict(report)
        assert "not reachable" in line
        assert status == 0
