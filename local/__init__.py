"""The real brokers on this machine, for `bin/up`, `bin/demo`, the tests and the benchmarks."""

from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
"""The folder of the project: where `.venv`, `bin` and `.local` are."""
