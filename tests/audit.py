"""What PyPI knows of vulnerabilities in the packages of constraints.txt, by way of pip-audit."""

import json
import subprocess
import sys
from typing import Any, Final

from local import ROOT

CONSTRAINTS: Final = ROOT / "constraints.txt"
TIMEOUT: Final = 60
"""Seconds for all of it, so that a network that swallows everything does not hold tests up."""


def main() -> int:
    """Print what is known, and return the exit status: 1 where anything is vulnerable."""
    lines, status = verdict(_report())
    print("\n".join(lines))
    return status


def verdict(report: dict[str, Any] | None) -> tuple[list[str], int]:
    """Return the lines to print about a report of pip-audit, or about none, and a status."""
    packages = report["dependencies"] if report else []
    found = [
        f"audit: {package['name']} {package['version']} has {known['id']}, fixed in "
        + (" or ".join(known["fix_versions"]) or "no version yet")
        for package in packages
        for known in package.get("vulns", [])
    ]
    # An index that has packages only answers as if it did not know them.
    answered = sum("skip_reason" not in package for package in packages)
    if not answered:
        return ["audit: no vulnerabilities looked up, PyPI's knowledge of them is not reachable"], 0
    total = f"audit: {answered} of {len(packages)} packages looked up"
    return [*found, f"{total}; known vulnerabilities: {len(found) or 'none'}"], int(bool(found))


def _report() -> dict[str, Any] | None:
    """Return pip-audit's report, None where it could make none."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(CONSTRAINTS)),
        *("--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"),
    ]
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=TIMEOUT)
        report: dict[str, Any] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, json.JSONDecodeError):
        return None
    return report


if __name__ == "__main__":
    sys.exit(main())
