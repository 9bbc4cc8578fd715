"""The peer of a worker: a Faust agent, as Faust's documentation shows it, that does nothing.

`faust -A benchmarks.plain worker`, with `KAFKA_URL`, and `COUNT`: how many records there are.
"""

import logging
import os
import time

import faust

from pulseload.topics import JOBS_INBOX

log = logging.getLogger(__name__)

app = faust.App(
    os.environ.get("APP_ID", "plain"),
    broker=os.environ.get("KAFKA_URL", "kafka://127.0.0.1:9092"),
    value_serializer="raw",
)
count = int(os.environ.get("COUNT", "0"))
inbox = app.topic(JOBS_INBOX, value_type=bytes)


@app.agent(inbox)  # type: ignore[untyped-decorator]
async def nothing(stream: faust.Stream) -> None:
    """Take every record, and tell how long the taking of all of them took."""
    seen = 0
    began = spent = 0.0
    async for _ in stream:
        seen += 1
        if seen == 1:
            began, spent = time.time(), time.process_time()
        elif seen == count:
            log.warning(
                "took %.3f s, %.3f s of them busy",
                time.time() - began,
                time.process_time() - spent,
            )
