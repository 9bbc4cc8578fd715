"""A load whose every job has an id and a place where it must end."""

import asyncio
import hashlib
import random
import threading
import time
from dataclasses import dataclass

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient

from local.reader import Read
from pulseload import topics
from pulseload.headers import JOB_ID
from tests import ledger
from tests.examples import body, job, push, task_id
from tests.faults.history import Fed, History, Joined, Place, problems
from tests.system.harness import System


@dataclass(frozen=True)
class Event:
    """One record to feed; `fed` says what must become of it, if it is a job."""

    topic: str
    key: bytes
    value: bytes
    fed: Fed | None = None


def plan(
    seed: int, jobs: int, pushes: int, late: float = 0.3, never: float = 0.03, invalid: float = 0.01
) -> list[Event]:
    """Return records in the order to feed them.

    Of the pushes a share comes after all their jobs, another never; of the jobs a share is
    invalid. A push's jobs have the same key, so that their order is told.
    """
    dice = random.Random(seed)
    revisions = [hashlib.sha1(b"%d %d" % (seed, n)).hexdigest() for n in range(pushes)]  # noqa: S324
    fates = ["never" if dice.random() < never else "known" for _ in revisions]
    of = [dice.randrange(pushes) for _ in range(jobs)]
    first = {n: of.index(n) for n in set(of)}
    last = {n: jobs - 1 - of[::-1].index(n) for n in set(of)}
    announced: list[tuple[float, Event]] = []
    for number, revision in enumerate(revisions):
        if number in first and fates[number] == "known":
            when = (
                last[number] + dice.random() * jobs * 0.05
                if dice.random() < late
                else first[number] - 0.5
            )
            record = body(push(project="try", revision=revision))
            announced.append((when, Event(topics.PUSHES_INBOX, f"try:{revision}".encode(), record)))
    events: list[tuple[float, Event]] = []
    for index, number in enumerate(of):
        key = f"try:{revisions[number]}"
        document = job(revision=revisions[number], taskId=task_id(index))
        place: Place = "waiting" if fates[number] == "never" else "joined"
        if dice.random() < invalid:
            document["state"], place = "exploded", "dead-lettered"
        fed = Fed(task_id(index), key, place)
        events.append((index, Event(topics.JOBS_INBOX, key.encode(), body(document), fed)))
    return [event for _, event in sorted(announced + events, key=lambda pair: pair[0])]


class Feeder(threading.Thread):
    """Feeds a plan to Kafka at a steady pace, in the background."""

    def __init__(self, servers: str, events: list[Event], per_second: float) -> None:
        super().__init__(daemon=True)
        self._servers = servers
        self._events = events
        self._pause = 1 / per_second
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            asyncio.run(self._feed())
        except BaseException as error:  # noqa: BLE001 - told by `finish`
            self.failure = error

    async def _feed(self) -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=self._servers, enable_idempotence=True, request_timeout_ms=120_000
        ) as producer:
            confirmed = []
            for number, event in enumerate(self._events):
                confirmed.append(await producer.send(event.topic, event.value, key=event.key))
                if number % 50 == 0:
                    await asyncio.sleep(50 * self._pause)
            await asyncio.gather(*confirmed)

    def finish(self) -> None:
        """Wait until all is fed."""
        self.join()
        assert self.failure is None, self.failure


def waiting(changelog: list[Read]) -> list[str]:
    """Return the ids of the jobs whose rows are alive at the end of `pending-jobs`' changelog."""
    rows: dict[bytes, bytes] = {}
    for record in changelog:
        assert record.key is not None
        if record.value is None:
            rows.pop(record.key, None)
        else:
            rows[record.key] = record.value
    # The job's id stands in its own bytes, which end the row.
    return [_id_in(value) for _, value in sorted(rows.items())]


def _id_in(row: bytes) -> str:
    marker = b'"taskId": "'
    start = row.index(marker) + len(marker)
    return row[start : row.index(b'"', start)].decode()


def history(system: System) -> History:
    """Read what became of everything, as a read-committed consumer sees it."""
    changelog = topics.changelog(system.settings.pulseload_app_id, "pending-jobs")
    found = History(waiting=waiting(system.read(changelog)))
    for record in system.read(topics.JOBS_JOINED):
        document = record.json
        origin, met = document["job"]["origin"], document["push"]
        assert record.key == document["job"]["taskId"].encode()
        assert JOB_ID not in record.headers
        found.joined.append(
            Joined(
                document["job"]["taskId"],
                f"{origin['project']}:{origin['revision']}",
                f"{met['project']}:{met['revision']}",
            )
        )
    found.dead_lettered = [r.json["taskId"] for r in system.read(topics.JOBS_DEAD_LETTER)]
    found.expired = [r.json["taskId"] for r in system.read(topics.JOBS_EXPIRED)]
    found.suppressed = [r.json["taskId"] for r in system.read(topics.JOBS_SUPPRESSED)]
    return found


def check(system: System, events: list[Event], timeout: float = 90) -> None:
    """Wait until every job is somewhere and nothing is left to read, then judge the history."""
    fed = [event.fed for event in events if event.fed is not None]
    end = time.monotonic() + timeout
    # To read the whole history costs more than to ask for offsets.
    while (left := unread(system)) or (wrong := problems(fed, history(system))):
        if time.monotonic() > end:
            pytest.fail(f"not read: {left}" if left else f"{len(wrong)} wrong: {wrong[:5]}")
        time.sleep(0.5)
    # What came twice may come late.
    assert problems(fed, history(system)) == []
    ledger.note("ids checked", len(fed))


def unread(system: System) -> dict[str, int]:
    """Return how many records of each inbox partition the group has not committed yet."""
    return asyncio.run(_unread(system))


async def _unread(system: System) -> dict[str, int]:
    admin = AIOKafkaAdminClient(bootstrap_servers=system.kafka.url)
    consumer = AIOKafkaConsumer(bootstrap_servers=system.kafka.url)
    await admin.start()
    await consumer.start()
    try:
        committed = await admin.list_consumer_group_offsets(system.settings.pulseload_app_id)
        inboxes = [tp for tp in committed if tp.topic.endswith(".inbox")]
        ends = await consumer.end_offsets(inboxes)
        left = {f"{tp.topic}/{tp.partition}": ends[tp] - committed[tp].offset for tp in inboxes}
        return {name: count for name, count in left.items() if count}
    finally:
        await consumer.stop()
        await admin.close()
