"""What the pages link to and name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    text = page.read_text()
    links = re.findall(r"\]\((?!https?:)([^)#]+)", text)
    missing = [link for link in links if not (page.parent / link).exists()]
    places = r"(?:^|[\s`(])((?:bin|deploy|examples|schemas)/[\w./@-]*\w)"
    named = re.findall(places, text, re.MULTILINE)
    missing += [path for path in named if not (ROOT / path).exists()]
    assert missing == []
