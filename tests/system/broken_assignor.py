"""A worker whose group cannot be shared out: `faust -A tests.system.broken_assignor worker`."""

from typing import Any, NoReturn

from faust.assignor.partition_assignor import PartitionAssignor

import pipeline


def _fail(*_: Any, **__: Any) -> NoReturn:
    raise AssertionError


PartitionAssignor.on_assignment = _fail
app = pipeline.app
