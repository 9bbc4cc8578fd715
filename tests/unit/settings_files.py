"""Settings as tests give them: the content of a file, and an environment."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from pulseload import settings
from pulseload.errors import Failure
from pulseload.settings import Settings


def load(folder: Path, environ: Mapping[str, str] | None = None, **content: Any) -> Settings:
    """Load settings from a file of this content, if any, under an environment."""
    if content:
        (folder / "pulseload.yml").write_text(yaml.safe_dump(content))
    return settings.load(environ or {}, folder)


def refused(folder: Path, environ: Mapping[str, str] | None = None, **content: Any) -> str:
    """Check that settings are refused in one line, and return it."""
    with pytest.raises(Failure) as failure:
        load(folder, environ, **content)
    text = str(failure.value)
    assert "\n" not in text
    return text
