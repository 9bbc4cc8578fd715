"""Work that is not to be broken off in the middle."""

import asyncio
from collections.abc import Coroutine
from typing import Any


async def finished(work: Coroutine[Any, Any, None], grace: float) -> None:
    """Do a piece of work that has `grace` seconds to end by itself when its caller is cancelled.

    Left open, a transaction would hold up readers until Kafka ends it.
    """
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task}, timeout=grace)
        task.cancel()
        await asyncio.wait({task})
        if not task.cancelled():
            task.exception()
        raise
