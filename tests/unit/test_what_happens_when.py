"""The page of failures names for each row the tests that try it, and they are there."""

import ast
import re

import pytest

from local import ROOT

PAGE = (ROOT / "docs/what-happens-when.md").read_text()
ROWS = [line for line in PAGE.splitlines() if line.startswith("| ") and "| tried by |" not in line]
TESTS = {
    node.name
    for path in (ROOT / "tests").rglob("test_*.py")
    for node in ast.parse(path.read_text()).body
    if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name.lower().startswith("test")
}


def test_it_has_rows() -> None:
    assert len([row for row in ROWS if "---" not in row]) > 80


@pytest.mark.parametrize("row", [row for row in ROWS if "| ---" not in row])
def test_a_row_ends_with_tests_that_are_there(row: str) -> None:
    last = row.rstrip("| ").rpartition(" | ")[2]
    names = re.findall(r"`(\w+)`", last)
    assert names, "no test is named"
    assert set(names) <= TESTS
