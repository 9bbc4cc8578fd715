"""The programs in examples/, on what a worker has joined: they say and load each job once."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from aiokafka import AIOKafkaProducer

from local import ROOT
from local.reader import Read
from pulseload import topics
from tests.contracts import held
from tests.examples import OTHER_REVISION, REVISION, body, job, push, task_id
from tests.system.harness import BIN, Sent, Service, System, eventually
from tests.system.postgresql import PostgreSQL

REVISIONS = (REVISION, OTHER_REVISION)
STATES = ("pending", "running", "completed")
ODD = "\0 \ud800 é"
"""A text that JSON has, and not every database."""


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    server = PostgreSQL(tmp_path_factory.mktemp("postgresql"))
    try:
        server.start()
        yield server
    finally:
        server.kill()


@pytest.fixture
def database(postgresql: PostgreSQL) -> PostgreSQL:
    """A PostgreSQL in which nothing has been loaded."""
    with psycopg.connect(postgresql.url, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS jobs, positions")
    return postgresql


def join(system: System, count: int) -> list[Read]:
    """Have a worker join every state of so many jobs of two pushes, and return the records."""
    worker = system.worker()
    system.produce(topics.PUSHES_INBOX, *(body(push(revision=one)) for one in REVISIONS))
    for state in STATES:
        jobs = [
            job(taskId=task_id(number), revision=REVISIONS[number % 2], state=state, owner=ODD)
            for number in range(count)
        ]
        # In one partition, so that the states of a job come in order.
        lists = [Sent(body(jobs[at : at + 100]), partition=0) for at in range(0, count, 100)]
        system.produce(topics.JOBS_INBOX, *lists)
    found = system.read(topics.JOBS_JOINED, count=count * len(STATES))
    assert len(found) == count * len(STATES)
    assert worker.terminate() == 0
    return found


def example(system: System, program: str, *arguments: str, name: str = "example") -> Service:
    path = ROOT / "examples" / program
    return system.program(name, str(BIN / "python"), str(path), system.kafka.url, *arguments)


def loader(system: System, database: PostgreSQL, name: str = "loader") -> Service:
    return example(system, "load_postgresql.py", database.url, name=name)


async def _abort(servers: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, transactional_id="killed") as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topics.JOBS_JOINED, value, partition=0)
        await producer.abort_transaction()


def test_the_reader_says_what_was_joined(system: System) -> None:
    # It would end with a traceback, did it see this.
    asyncio.run(_abort(system.kafka.url, b"begun by one who was killed"))
    found = join(system, 20)
    for record in found:
        held(record.topic, list(record.headers.items()), record.value)
    assert len({record.headers["ce_id"] for record in found}) == len(found)
    reader = example(system, "read_joined.py")
    reader.wait_for(r"\n", times=len(found))
    results = {"pending": "unknown", "running": "unknown", "completed": "success"}
    assert Counter(reader.log.splitlines()) == Counter(
        f"try {REVISIONS[number % 2]} {task_id(number)} {state} {result}"
        for number in range(20)
        for state, result in results.items()
    )


def loaded(database: PostgreSQL) -> int:
    """Return how many records rows were made of; 0 where there is no table yet."""
    if database.ask("SELECT to_regclass('jobs')") == [(None,)]:
        return 0
    return int(database.ask("SELECT coalesce(sum(updates), 0) FROM jobs")[0][0])


def level(database: PostgreSQL, records: list[Read]) -> int:
    """Check that what is below the positions is loaded, and nothing else; return how much it is."""
    counts = "(SELECT coalesce(sum(updates), 0)::int FROM jobs)"
    rows = database.ask(f"SELECT partition, next_offset, {counts} FROM positions")  # noqa: S608
    reached = {partition: offset for partition, offset, _ in rows}
    below = [one for one in records if one.offset < reached[one.partition]]
    assert {count for *_, count in rows} == {len(below)}
    return len(below)


def whole(database: PostgreSQL, records: list[Read]) -> None:
    """Wait until all is loaded: a row for each job, its last record, made of as many as it had."""
    eventually(lambda: loaded(database) >= len(records), "all is loaded")
    assert level(database, records) == len(records)
    rows = database.ask("SELECT task_id, record::text, project, state, result, updates FROM jobs")
    last = {one.json["job"]["taskId"]: (one.value or b"").decode() for one in records}
    assert {row[0]: row[1] for row in rows} == last
    assert {row[2:] for row in rows} == {("try", "completed", "success", len(STATES))}


SLOWLY = """
CREATE OR REPLACE FUNCTION slowly() RETURNS trigger LANGUAGE plpgsql
    AS 'BEGIN PERFORM pg_sleep(0.1); RETURN NEW; END';
CREATE TRIGGER slowly BEFORE UPDATE ON positions FOR EACH ROW EXECUTE FUNCTION slowly()
"""
"""Has each of the loader's transactions take a while, so that there is a middle to be killed in."""


def test_the_loader_loads_each_record_once_however_often_it_is_killed(
    system: System, database: PostgreSQL
) -> None:
    records = join(system, 2_000)
    service = loader(system, database)
    kills: list[int] = []
    while len(kills) < 6:
        eventually(lambda: loaded(database) > max(kills, default=0), "it goes on")
        service.kill()
        kills.append(level(database, records))
        if len(kills) == 1:
            with psycopg.connect(database.url) as connection:
                connection.execute(SLOWLY)
        service.start()
    assert kills == sorted(set(kills))
    assert kills[-1] < len(records)
    whole(database, records)
    service.kill()
    service.start()
    begun(database, 1)
    whole(database, records)


def begun(database: PostgreSQL, count: int) -> None:
    """Wait until so many loaders have asked where to begin."""
    asked = "query LIKE 'SELECT partition, next_offset%'"
    busy = f"SELECT count(*) FROM pg_stat_activity WHERE {asked}"  # noqa: S608
    eventually(lambda: database.ask(busy) == [(count,)], f"{count} have begun")


def test_a_loader_that_is_killed_within_a_transaction_has_loaded_nothing(
    system: System, database: PostgreSQL
) -> None:
    records = join(system, 100)
    service = loader(system, database)
    whole(database, records)
    service.kill()
    with psycopg.connect(database.url) as connection:
        connection.execute("DELETE FROM jobs")
        connection.execute("UPDATE positions SET next_offset = 0")
        connection.commit()
        connection.execute("LOCK TABLE jobs IN SHARE MODE")
        service.start()
        waits = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        eventually(lambda: database.ask(waits) == [(1,)], "it is within a transaction")
        service.kill()
    eventually(lambda: database.ask(waits) == [(0,)], "its transaction is over")
    assert level(database, records) == 0
    service.start()
    whole(database, records)


def test_of_two_loaders_one_ends(system: System, database: PostgreSQL) -> None:
    both = [loader(system, database, name) for name in ("one", "two")]
    begun(database, 2)
    records = join(system, 300)
    eventually(lambda: not all(one.running for one in both), "one has ended")
    (ended,) = [one for one in both if not one.running]
    assert ended.wait() == 1
    assert ended.log.startswith("another loader has loaded partition ")
    whole(database, records)
