"""A worker's state folder as other workers, other groups and people leave it."""

import asyncio
from pathlib import Path

from pipeline.joining import PENDING, PUSHES, STATES
from pipeline.runtime.store import Store
from pulseload import kafka, topics
from pulseload.headers import JOB_ID
from pulseload.partitions import partition_of
from tests.examples import REVISION, TASK_ID, body, job, push
from tests.system.harness import Sent, System

KEY = f"try:{REVISION}".encode()
PARTITION = partition_of(KEY, 4)


def stopped_while_a_job_waits(system: System) -> Path:
    """Let a worker take a valid job in and end; return the folder of its state."""
    system.env["PULSELOAD_STAGES"] = "join"
    worker = system.worker()
    system.produce(topics.JOBS_VALID, Sent(body(job()), KEY, [(JOB_ID, TASK_ID.encode())]))
    system.read(topics.changelog("pulseload", PENDING), count=1)
    assert worker.terminate() == 0
    return system.folder / "worker-state/state/worker-0"


def test_the_state_of_another_group_is_not_taken(system: System) -> None:
    stopped_while_a_job_waits(system)
    system.produce(topics.PUSHES, Sent(body(push()), KEY))
    system.env["PULSELOAD_APP_ID"] = "second"
    assert system.program("topics", "pulseload", "topics").wait() == 0
    worker = system.worker()
    joined = system.read(topics.JOBS_JOINED, count=1)
    assert joined[0].json["push"]["revision"] == REVISION
    assert "does not fit" not in worker.log
    assert worker.terminate() == 0
    assert len(system.read(topics.JOBS_JOINED)) == 1


def test_a_state_ahead_of_its_changelog_is_made_anew(system: System) -> None:
    state = stopped_while_a_job_waits(system)
    path = state / "join" / str(PARTITION)
    tables = [PUSHES, PENDING, STATES, "join-positions"]
    cluster = asyncio.run(kafka.require(system.settings))
    store = Store(path, tables, f"pulseload on {cluster}")
    assert store.position(PENDING) > 0, "the worker's own copy was opened"
    store.write({PENDING: {b"stranger": b"0 []\n{}"}}, {PENDING: 1_000})
    store.close()
    worker = system.worker()
    system.produce(topics.PUSHES, Sent(body(push()), KEY))
    joined = system.read(topics.JOBS_JOINED, count=1)
    assert joined[0].json["push"]["revision"] == REVISION
    assert "does not fit" in worker.log
    assert worker.terminate() == 0
    assert len(system.read(topics.JOBS_JOINED)) == 1
