"""What a person may do to topics under a running worker, as Kafka's tools do it."""

import asyncio
from collections.abc import Awaitable, Callable

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, RecordsToDelete

from tests.system.harness import System


def _with_admin(system: System, work: Callable[[AIOKafkaAdminClient], Awaitable[None]]) -> None:
    async def connected() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=system.kafka.url)
        await admin.start()
        try:
            await work(admin)
        finally:
            await admin.close()

    asyncio.run(connected())


def delete(system: System, *names: str) -> None:
    """Delete topics, and return when Kafka lists them no more."""

    async def work(admin: AIOKafkaAdminClient) -> None:
        answer = await admin.delete_topics(list(names))
        assert not any(code for _, code in answer.topic_error_codes), answer
        while set(names) & set(await admin.list_topics()):  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(0.05)

    _with_admin(system, work)


def widen(system: System, *names: str, partitions: int) -> None:
    """Raise the partition count of topics, and return when Kafka shows it."""

    async def work(admin: AIOKafkaAdminClient) -> None:
        wanted = {name: NewPartitions(total_count=partitions) for name in names}
        answer = await admin.create_partitions(wanted)
        assert not any(code for _, code, _ in answer.topic_errors), answer

        async def counts() -> set[int]:
            return {len(one["partitions"]) for one in await admin.describe_topics(list(names))}

        while await counts() != {partitions}:  # noqa: ASYNC110 - Kafka tells nobody
            await asyncio.sleep(0.05)

    _with_admin(system, work)


def truncate(system: System, place: TopicPartition, before: int) -> None:
    """Delete the records of a partition that stand before an offset."""

    async def work(admin: AIOKafkaAdminClient) -> None:
        await admin.delete_records({place: RecordsToDelete(before_offset=before)})

    _with_admin(system, work)
