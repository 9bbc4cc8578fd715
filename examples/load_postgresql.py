"""Load jobs.joined into PostgreSQL, each record once, whatever is killed.

    python examples/load_postgresql.py 127.0.0.1:9092 postgresql://me@127.0.0.1/mine

What a batch of records changes, and how far it reaches, is one transaction of PostgreSQL; Kafka
keeps no offsets of it. Of two loaders, the one that comes second to some records ends.
"""

import asyncio
import json
import sys
from collections.abc import Sequence
from typing import Any

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

TOPIC = "jobs.joined"
BATCH_RECORDS = 200

# json, since jsonb refuses some texts that jobs may hold, such as \u0000.
# Locked, as PostgreSQL fails where two make the same table at the same moment.
TABLES = """
SELECT pg_advisory_xact_lock(hashtext('load_postgresql'));
CREATE TABLE IF NOT EXISTS jobs (
    task_id text PRIMARY KEY,
    project text NOT NULL,
    revision text NOT NULL,
    state text NOT NULL,
    result text NOT NULL,
    record json NOT NULL,
    updates integer NOT NULL DEFAULT 1
);
CREATE TABLE IF NOT EXISTS positions (
    partition integer PRIMARY KEY,
    next_offset bigint NOT NULL
);
"""
UPSERT = """
INSERT INTO jobs (task_id, project, revision, state, result, record)
VALUES (%s, %s, %s, %s, %s, %s)
ON CONFLICT (task_id) DO UPDATE SET
    (project, revision, state, result, record, updates)
    = (excluded.project, excluded.revision, excluded.state, excluded.result, excluded.record,
       jobs.updates + 1)
"""
BEGIN_AT = "INSERT INTO positions VALUES (%s, %s) ON CONFLICT DO NOTHING"
MOVE = "UPDATE positions SET next_offset = %s WHERE partition = %s AND next_offset <= %s"

Database = psycopg.AsyncConnection[tuple[Any, ...]]


def row(record: Any) -> tuple[str, ...]:
    """Return what the table has of a record."""
    text = record.value.decode()
    one = json.loads(text)
    job, push = one["job"], one["push"]
    found = job["taskId"], push["project"], push["revision"], job["state"], one["result"]
    return (*found, text)


async def partitions(servers: str) -> list[TopicPartition]:
    """Return the topic's partitions."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        (topic,) = await admin.describe_topics([TOPIC])
    finally:
        await admin.close()
    return [TopicPartition(TOPIC, one["partition"]) for one in topic["partitions"]]


async def begin(servers: str, database: Database, consumer: AIOKafkaConsumer) -> None:
    """Go on behind what is loaded; of a partition that is new, from its beginning."""
    await database.execute(TABLES)
    places = await partitions(servers)
    for place, first in (await consumer.beginning_offsets(places)).items():
        await database.execute(BEGIN_AT, (place.partition, first))
    known = await (
        await database.execute("SELECT partition, next_offset FROM positions")
    ).fetchall()
    consumer.assign(places)
    for partition, offset in known:
        consumer.seek(TopicPartition(TOPIC, partition), offset)


async def load(database: Database, partition: int, records: Sequence[Any]) -> None:
    """Load records of one partition, and remember how far they reach."""
    async with database.transaction():
        # First, as it locks the partition's row: two loaders never work on the same records.
        end = records[-1].offset + 1
        moved = await database.execute(MOVE, (end, partition, records[0].offset))
        if moved.rowcount != 1:
            sys.exit(f"another loader has loaded partition {partition}; this one ends")
        async with database.cursor() as cursor:
            await cursor.executemany(UPSERT, [row(record) for record in records])


async def main(servers: str, url: str) -> None:
    """Load until the end of time."""
    async with (
        await psycopg.AsyncConnection.connect(url, autocommit=True) as database,
        AIOKafkaConsumer(
            bootstrap_servers=servers,
            isolation_level="read_committed",
            # Where what comes next is gone, it is better to end than to pass it over.
            auto_offset_reset="none",
        ) as consumer,
    ):
        await begin(servers, database, consumer)
        while True:
            found = await consumer.getmany(timeout_ms=1_000, max_records=BATCH_RECORDS)
            for place, records in found.items():
                await load(database, place.partition, records)


asyncio.run(main(*sys.argv[1:3]))
