"""What Treeherder has recorded of Pulse and its sources, for tests where it is at hand."""

import os
from pathlib import Path
from typing import Final

RECORDED: Final = Path(os.environ.get("TREEHERDER_SAMPLES", "/nowhere"))
"""Treeherder's `tests/sample_data/pulse_consumer`."""
