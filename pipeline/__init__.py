"""The Faust application: agents over pure stages, and the runtime that makes them exactly-once.

`faust -A pipeline worker` starts a worker.
"""

from typing import Any


def __getattr__(name: str) -> Any:
    # Faust looks for `pipeline.app`. Settings are read then, not when a pure module is imported.
    if name == "app":
        from pipeline.worker import app  # noqa: PLC0415

        return app
    raise AttributeError(name)
