"""Offsets, topics and state that no longer tell the same: said, or healed, and never guessed."""

import asyncio
import re
import shutil
import subprocess

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import KafkaError

from local import kafka as local_kafka
from local.tools import TOOLS
from pulseload import topics
from tests.examples import body, job, push, task_id
from tests.system.harness import Sent, Service, System, create_topics, eventually

INBOX = TopicPartition(topics.JOBS_INBOX, 1)


def feed(system: System, numbers: range) -> None:
    """Write jobs of a known push into one partition."""
    jobs = [body(job(taskId=task_id(number))) for number in numbers]
    system.produce(INBOX.topic, *(Sent(one, partition=INBOX.partition) for one in jobs))


def joined(system: System, count: int) -> list[str]:
    return [one.json["job"]["taskId"] for one in system.read(topics.JOBS_JOINED, count=count)]


def worked(system: System, count: int) -> Service:
    """Return a worker that has joined so many jobs and ended; its group is empty."""
    system.produce(topics.PUSHES_INBOX, body(push()))
    feed(system, range(count))
    worker = system.worker()
    assert joined(system, count) == [task_id(number) for number in range(count)]
    assert worker.terminate() == 0
    return worker


def ended(worker: Service) -> str:
    """Start a worker that cannot work, and return why it says it ended."""
    before = len(worker.log)
    worker.start()
    assert worker.wait() == 1
    said = worker.log[before:]
    assert "Traceback" not in said
    (reason,) = re.findall("this worker ends: (.*)", said)
    return str(reason)


def commit(system: System, offset: int, place: TopicPartition = INBOX) -> None:
    """Move the group's offset, as Kafka's tools do."""

    async def committed() -> bool:
        async with AIOKafkaConsumer(
            bootstrap_servers=system.kafka.url, group_id="pulseload", enable_auto_commit=False
        ) as consumer:
            consumer.assign([place])
            try:
                await consumer.commit({place: offset})
            except KafkaError:
                # The group is not empty yet.
                return False
            return True

    eventually(lambda: asyncio.run(committed()), "an offset is committed")


def test_offsets_of_what_was_never_read_moved_to_its_beginning(system: System) -> None:
    worker = worked(system, 5)
    untouched = TopicPartition(topics.JOBS_INBOX, 2)
    commit(system, 0, untouched)
    worker.start()
    feed(system, range(5, 8))
    assert len(joined(system, 8)) == 8


@pytest.mark.faults
def test_offsets_moved_by_hand(system: System) -> None:
    worker = worked(system, 5)
    feed(system, range(5, 8))
    for offset in (0, 6):
        commit(system, offset)
        said = ended(worker)
        assert f"jobs.inbox/1 was read up to 5, the group pulseload has committed {offset}" in said
        assert "put them back" in said
        assert "PULSELOAD_APP_ID" in said
    assert len(joined(system, 5)) == 5
    commit(system, 5)
    worker.start()
    assert joined(system, 8) == [task_id(number) for number in range(8)]


@pytest.mark.faults
def test_offsets_that_have_expired_are_set_again_from_the_state(system: System) -> None:
    worker = worked(system, 5)
    feed(system, range(5, 8))
    options = ["--delete", "--group", "pulseload", "--bootstrap-server", system.kafka.url]
    command = local_kafka.java(TOOLS["kafka-consumer-groups"], *options)

    def deleted() -> bool:
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        return "successful" in done.stdout

    eventually(deleted, "the group is deleted")
    worker.start()
    worker.wait_for("the group's offsets are gone, set again from the state")
    assert joined(system, 8) == [task_id(number) for number in range(8)]
    assert worker.terminate() == 0
    worker.start()
    feed(system, range(8, 9))
    assert joined(system, 9) == [task_id(number) for number in range(9)]


def test_an_input_topic_made_anew(system: System) -> None:
    worker = worked(system, 5)
    (inbox,) = [one for one in system.settings.topics if one.name == topics.JOBS_INBOX]
    create_topics(system.kafka.url, [inbox])
    said = ended(worker)
    assert "jobs.inbox/1" in said
    assert "5" in said
    assert "start anew under another PULSELOAD_APP_ID" in said
    system.env["PULSELOAD_APP_ID"] = "anew"
    create_topics(
        system.kafka.url,
        [one for one in system.settings.topics if one.name.startswith("anew-")],
    )
    feed(system, range(5, 6))
    system.worker("anew")
    # What the inner topics still hold is worked through once more.
    again = [*range(5), *range(6)]
    assert joined(system, len(again)) == [task_id(number) for number in again]


def test_a_changelog_made_anew(system: System) -> None:
    worker = worked(system, 5)
    changelogs = [one for one in system.settings.topics if one.name.endswith("-changelog")]
    create_topics(system.kafka.url, changelogs)
    shutil.rmtree(system.folder / "worker-state")
    said = ended(worker)
    assert "a changelog topic was emptied" in said


def test_a_table_made_anew_that_has_grown_longer(system: System) -> None:
    worker = worked(system, 5)
    name = topics.changelog("pulseload", "pushes")
    (row,) = system.read(name)
    (changelog,) = [one for one in system.settings.topics if one.name == name]
    create_topics(system.kafka.url, [changelog])
    strange = [Sent(b"{}", key=b"strange:%d" % n, partition=row.partition) for n in range(20)]
    system.produce(name, *strange)
    said = ended(worker)
    assert f"{name}/{row.partition} reached" in said
    assert "it was emptied or made anew" in said


def test_records_deleted_before_they_were_read_are_told(system: System) -> None:
    worker = worked(system, 5)
    feed(system, range(5, 9))

    async def delete() -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=system.kafka.url)
        await admin.start()
        try:
            await admin.delete_records({INBOX: RecordsToDelete(before_offset=8)})
        finally:
            await admin.close()

    asyncio.run(delete())
    worker.start()
    worker.wait_for(r"jobs.inbox/1: 3 records were deleted by retention before they were read")
    assert joined(system, 6) == [task_id(number) for number in (0, 1, 2, 3, 4, 8)]


def test_positions_of_before_they_had_topic_ids(system: System) -> None:
    worker = worked(system, 5)
    for stage in ("validate", "join"):
        name = topics.changelog("pulseload", f"{stage}-positions")
        rows = system.read(name)
        assert all(re.fullmatch(rb"\d+ [\w-]{22}", row.value or b"") for row in rows)
        system.produce(
            name,
            *(
                Sent((row.value or b"").split()[0], row.key, partition=row.partition)
                for row in rows
            ),
        )
    feed(system, range(5, 8))
    worker.start()
    assert joined(system, 8) == [task_id(number) for number in range(8)]
    assert worker.terminate() == 0
    (inbox,) = [one for one in system.settings.topics if one.name == topics.JOBS_INBOX]
    create_topics(system.kafka.url, [inbox])
    feed(system, range(10, 60))
    # From the first transaction on they have.
    assert "jobs.inbox/1 was read up to 8 before the topic was made anew" in ended(worker)
