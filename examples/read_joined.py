"""Print jobs as they are joined: `python examples/read_joined.py 127.0.0.1:9092` runs it."""

import asyncio
import json
import sys

from aiokafka import AIOKafkaConsumer


async def read(servers: str) -> None:
    """Read on from where it ended; without what killed workers had begun (read_committed)."""
    kafka = {"isolation_level": "read_committed", "auto_offset_reset": "earliest"}
    async with AIOKafkaConsumer(
        "jobs.joined", bootstrap_servers=servers, group_id="read-joined", **kafka
    ) as consumer:
        async for record in consumer:
            one = json.loads(record.value)
            job, push = one["job"], one["push"]
            print(push["project"], push["revision"], job["taskId"], job["state"], one["result"])


asyncio.run(read(sys.argv[1]))
