"""A worker that ends itself with SIGKILL at a step of the protocol.

`faust -A tests.faults.crashing worker`, with `CRASH_STAGE`, `CRASH_STEP`, the how manieth such step
it is in `CRASH_COUNT`, and in `CRASH_MS` how many milliseconds later, by another thread.
"""

import os
import signal
import threading

import pipeline
from pipeline.runtime import steps
from pipeline.runtime.steps import Step

_STAGE = os.environ["CRASH_STAGE"]
_STEP = Step(os.environ["CRASH_STEP"])
_LATER = int(os.environ.get("CRASH_MS", "0")) / 1_000
_left = int(os.environ.get("CRASH_COUNT", "1"))


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _passed(step: Step, stage: str) -> None:
    global _left  # noqa: PLW0603 - this process has no other task
    if (step, stage) != (_STEP, _STAGE):
        return
    _left -= 1
    if _left == 0:
        if _LATER:
            threading.Timer(_LATER, _die).start()
        else:
            _die()


steps.watch(_passed)
app = pipeline.app
