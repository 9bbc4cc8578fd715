"""From changelog topics back to stores."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import ConsumerRecord

from pipeline.runtime.steps import Step, reached
from pipeline.runtime.store import GENERATION, Store
from pulseload import metrics

FETCH_BYTES: Final = 4 * 1_048_576
POLL_RECORDS: Final = 10_000

log = logging.getLogger(__name__)


class Changelog(NamedTuple):
    """One table of one stage's store, and the topic partition its changes are written to."""

    stage: str
    place: TopicPartition
    table: str
    store: Store


@contextlib.asynccontextmanager
async def reader(
    clients: Mapping[str, Any],
    group: str | None = None,
    isolation: str = "read_committed",
    fetch_bytes: int = FETCH_BYTES,
    wait_ms: int = 10,
    whole_bytes: int = 50 * 1_048_576,
) -> AsyncIterator[AIOKafkaConsumer]:
    """Give a started consumer that reads records of what it is assigned, the committed ones.

    With a group it can also be asked what that group has committed; it never joins it. Where
    `isolation` is `read_uncommitted`, open transactions count too, also for the ends it tells.
    `fetch_bytes` is about how much it fetches of a partition at a time, `whole_bytes` of all
    together, `wait_ms` how long a fetch waits for records.
    """
    consumer = AIOKafkaConsumer(
        **clients,
        group_id=group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        isolation_level=isolation,
        max_partition_fetch_bytes=fetch_bytes,
        fetch_max_bytes=whole_bytes,
        # Kafka answers a connection's requests in turn: a fetch that waits for records would
        # hold up every question about offsets.
        fetch_max_wait_ms=wait_ms,
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        # While Kafka is away, stopping may raise CancelledError, which would hide what led here.
        await asyncio.wait({asyncio.ensure_future(consumer.stop())})


def learn(consumer: AIOKafkaConsumer, partitions: Collection[TopicPartition]) -> None:
    """Assign a consumer all that it will be asked about, once; it reads nothing of it yet.

    Otherwise it would learn of one topic after the other, with a pause for each.
    """
    consumer.assign(list(partitions))
    consumer.pause(*partitions)


async def restore(
    consumer: AIOKafkaConsumer, changelogs: Iterable[Changelog], wanted: Callable[[], bool]
) -> bool:
    """Bring stores up to the end of their changelogs, as far as it is committed.

    `consumer` is a `reader` that has learned of them. `wanted` is asked between polls; where it
    says no, the restore ends early and returns False: what is in the stores then is right, but
    not all.
    A store that does not fit its changelog (it is ahead, the changelog no longer holds what
    follows, or what follows begins another generation) is emptied and filled from the beginning.
    """
    by_partition = {log_.place: log_ for log_ in changelogs}
    if not by_partition:
        return True
    begins = await consumer.beginning_offsets(list(by_partition))
    ends = await consumer.end_offsets(list(by_partition))
    for tp, entry in by_partition.items():
        position = entry.store.position(entry.table)
        if position > ends[tp] or 0 < position < begins[tp]:
            log.warning("state in %s does not fit %s, restoring it anew", entry.store.path, tp)
            entry.store.wipe()
    kept = {one.store for one in by_partition.values() if one.store.position(one.table)}
    for tp, entry in by_partition.items():
        consumer.seek(tp, max(entry.store.position(entry.table), begins[tp]))
    consumer.resume(*by_partition)
    behind = {tp for tp in by_partition if await consumer.position(tp) < ends[tp]}
    rows, began = 0, time.monotonic()
    places = {tp: await consumer.position(tp) for tp in by_partition}
    while behind:
        if not wanted():
            return False
        polled = await consumer.getmany(timeout_ms=200, max_records=POLL_RECORDS)
        # Before any of it is written: a copy that has the new generation's row would be trusted.
        for store in _outdated(polled, by_partition) & kept:
            log.warning("state in %s may hold what was aborted, restoring it anew", store.path)
            store.wipe()
            kept.remove(store)
            for tp in [tp for tp, entry in by_partition.items() if entry.store is store]:
                consumer.seek(tp, begins[tp])
                polled.pop(tp, None)
                behind.add(tp)
        for tp, records in polled.items():
            entry = by_partition[tp]
            changes = {r.key: r.value for r in records if r.key is not None}
            position = records[-1].offset + 1
            entry.store.write({entry.table: changes}, {entry.table: position}, level=False)
            rows += len(records)
            places[tp] = position
            metrics.RESTORED.inc(len(records))
            reached(Step.RESTORED, entry.stage)
        metrics.RESTORE_LEFT.set(sum(max(0, ends[tp] - place) for tp, place in places.items()))
        behind = {tp for tp in behind if await consumer.position(tp) < ends[tp]}
    metrics.RESTORE_LEFT.set(0)
    for tp, entry in by_partition.items():
        # Past the last record stand only marks of transactions: skip them next time.
        entry.store.write({}, {entry.table: max(ends[tp], entry.store.position(entry.table))})
    if rows:
        # A worker that is killed again soon need not do it again.
        for store in {entry.store for entry in by_partition.values()}:
            store.flush()
        log.info("restored %d rows in %.1f s", rows, time.monotonic() - began)
    return True


def _outdated(
    polled: Mapping[TopicPartition, Sequence[ConsumerRecord]],
    by_partition: Mapping[TopicPartition, Changelog],
) -> set[Store]:
    """Return the stores whose generation is another than the one that records tell."""
    found = set()
    for tp, records in polled.items():
        told = [record.value for record in records if record.key == GENERATION]
        _, _, table, store = by_partition[tp]
        if told and told[-1] != store.rows(table).get(GENERATION):
            found.add(store)
    return found
