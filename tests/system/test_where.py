"""Where a job is: each answer on real brokers, from Kafka alone, mostly with no worker running."""

import asyncio
import json
import subprocess
from typing import Any

from aiokafka import AIOKafkaProducer

from pipeline import joining
from pulseload import topics
from pulseload.headers import JOB_ID
from tests.examples import REVISION, TASK_ID, body, hg_push, job, push, task_id
from tests.system.command import QUEUE, bind, failed, run
from tests.system.harness import Sent, Service, System, eventually
from tests.system.joins import JOBS, PENDING
from tests.system.joins import known as push_known

KEY = f"try:{REVISION}"
MIRROR = topics.mirror(JOBS)
HG = "exchange/hgpushes/v1"


def told(system: System, *arguments: str, status: int = 0) -> dict[str, Any]:
    """Run a command with --json, and return what it says."""
    done = run(system, *arguments, "--json")
    assert (done.returncode, done.stderr) == (status, ""), done
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.splitlines()


def stages(found: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["stage"], one["topic"]) for one in found["events"]]


def ended(worker: Service) -> None:
    assert worker.terminate() == 0


def test_a_job_that_waits_for_its_push_and_is_joined(system: System) -> None:
    bridge, worker = system.bridge(), system.worker()
    bridge.wait_for("is bound to")
    system.pulse.publish(JOBS, job(state="running"), job())
    rows = system.read(PENDING, count=2)
    ended(worker)
    found = told(system, "job", TASK_ID)
    assert found["answer"] == "push-unknown"
    assert found["sentence"].startswith(f"push unknown: it waits for the push {KEY} since 20")
    assert " and expires at 20" in found["sentence"]
    assert sorted(stages(found)) == sorted(
        [("inbox", MIRROR), ("valid", topics.JOBS_VALID), ("waiting", PENDING)] * 2
    )
    waits = [one for one in found["events"] if one["waits"]]
    assert [(one["partition"], one["offset"]) for one in waits] == [
        (row.partition, row.offset) for row in rows
    ]
    first, *_ = said(run(system, "job", TASK_ID))
    # How long it has waited may be another by now.
    assert first.partition(" (")[0] == found["sentence"].partition(" (")[0]

    pending = told(system, "pending")
    assert (pending["jobs"], pending["pushes"]) == (2, 1)
    assert [(one["push"], one["jobs"]) for one in pending["waiting"]] == [(KEY, 2)]
    one_push = told(system, "pending", "--push", KEY)
    assert [(one["job"], one["state"]) for one in one_push["waiting"]] == [
        (TASK_ID, "running"),
        (TASK_ID, "completed"),
    ]
    unknown = told(system, "push", KEY, status=1)
    assert (unknown["known"], unknown["record"], unknown["waiting"]["jobs"]) == (False, None, 2)

    system.pulse.publish(HG, hg_push(), routing_key="try")
    eventually(lambda: told(system, "push", KEY, status=1)["unread"] == 1, "the push came")
    system.produce(topics.PUSHES_INBOX, body(push()))
    worker.start()
    system.read(topics.JOBS_JOINED, count=2)
    push_known(system, "try", REVISION, "revisions", "push_id")
    ended(worker)
    found = told(system, "job", TASK_ID)
    assert found["answer"] == "joined"
    assert f"joined: with the push {KEY} at 20" in found["sentence"]
    assert found["sentence"].endswith("completed (success)")
    assert stages(found).count(("joined", topics.JOBS_JOINED)) == 2
    assert not [one for one in found["events"] if one["waits"]]
    assert told(system, "pending")["jobs"] == 0
    assert said(run(system, "pending")) == ["no job waits for a push"]
    known = told(system, "push", KEY)
    assert known["known"]
    assert known["record"]["revisions"] == push()["revisions"]
    assert {one["source"] for one in known["records"]} == {HG, topics.PUSHES_INBOX}
    assert known["joined"]["messages"] == 2
    assert {one["job"] for one in known["joined"]["latest"]} == {TASK_ID}
    assert said(run(system, "push", KEY))[0].startswith(f"known: the join has a record of {KEY}")


def test_a_job_that_is_invalid(system: System) -> None:
    good, bad = job(taskId=task_id(2)), job(tier=4)
    system.produce(topics.JOBS_INBOX, body([good, bad]))
    worker = system.worker()
    (letter,) = system.read(topics.JOBS_DEAD_LETTER, count=1)
    system.read(PENDING, count=1)
    ended(worker)
    found = told(system, "job", TASK_ID)
    assert found["answer"] == "invalid"
    assert "as invalid-job: tier: 4 is greater than the maximum of 3" in found["sentence"]
    inbox, dead = found["events"]
    assert (inbox["topic"], inbox["detail"]) == (topics.JOBS_INBOX, "item 1")
    assert (dead["partition"], dead["offset"]) == (letter.partition, letter.offset)
    assert told(system, "job", task_id(2))["answer"] == "push-unknown"


def test_a_job_that_is_still_in_rabbitmq(system: System) -> None:
    bind(system.pulse, JOBS)
    system.pulse.publish(JOBS, job())
    found = told(system, "job", TASK_ID, status=1)
    assert (found["answer"], found["events"]) == ("not-seen", [])
    done = run(system, "job", TASK_ID)
    assert (done.returncode, done.stderr) == (1, "")
    assert "It may still be in RabbitMQ" in done.stdout
    assert "`pulseload check --section pulse`" in done.stdout
    # As it says, that tells.
    check = run(system, "check", "--section", "pulse").stdout
    assert f"{QUEUE}: messages that wait: 1, bridges: 0" in check
    bridge = system.bridge()
    system.read(MIRROR, count=1)
    assert told(system, "job", TASK_ID)["answer"] == "behind-lag"
    assert bridge.terminate() == 0


def test_a_job_behind_others_that_nobody_has_read(system: System) -> None:
    others = [body(job(taskId=task_id(number))) for number in range(7)]
    system.produce(topics.JOBS_INBOX, *(Sent(one, partition=2) for one in [*others, body(job())]))
    found = told(system, "job", TASK_ID)
    assert found["answer"] == "behind-lag"
    assert "7 messages before it are still to be read by validate" in found["sentence"]
    assert found["sentence"].endswith("no worker runs: start one with `faust -A pipeline worker`")
    ((event),) = found["events"]
    assert (event["topic"], event["partition"], event["offset"], event["before"]) == (
        topics.JOBS_INBOX,
        2,
        7,
        7,
    )
    worker = system.worker(PULSELOAD_STAGES="validate")
    system.read(topics.JOBS_VALID, count=8)
    found = told(system, "job", TASK_ID)
    assert found["answer"] == "behind-lag"
    assert "are still to be read by join" in found["sentence"]
    assert "no worker runs" not in found["sentence"]
    assert stages(found) == [("inbox", topics.JOBS_INBOX), ("valid", topics.JOBS_VALID)]
    ended(worker)


def test_a_job_that_was_suppressed_and_one_that_expired(system: System) -> None:
    system.produce(topics.PUSHES_INBOX, body(push()))
    worker = system.worker(PENDING_MAX_AGE="1s")
    system.read(topics.changelog("pulseload", joining.PUSHES), count=1)
    system.produce(topics.JOBS_INBOX, body(job()))
    system.read(topics.JOBS_JOINED, count=1)
    system.produce(topics.JOBS_INBOX, body(job()))
    system.read(topics.JOBS_SUPPRESSED, count=1)
    # A repeat is no news.
    assert told(system, "job", TASK_ID)["answer"] == "joined"
    system.produce(topics.JOBS_INBOX, body(job(state="running")))
    lost = "0" * 40
    system.produce(topics.JOBS_INBOX, body(job(taskId=task_id(2), revision=lost)))
    system.read(topics.JOBS_SUPPRESSED, count=2)
    system.read(topics.JOBS_EXPIRED, count=1)
    ended(worker)
    found = told(system, "job", TASK_ID)
    assert found["answer"] == "suppressed"
    assert "message (running) was held back at" in found["sentence"]
    assert "as completed: the job was completed before" in found["sentence"]
    assert "; joined before, at" in found["sentence"]
    found = told(system, "job", task_id(2))
    assert found["answer"] == "expired"
    assert f"without its push try:{lost} as push-unknown" in found["sentence"]
    assert [one["stage"] for one in found["events"]][-1] == "expired"
    assert said(run(system, "pending", "--push", f"try:{lost}")) == [f"no job waits for try:{lost}"]


def test_what_waits_is_found_whatever_came_before(system: System) -> None:
    worker = system.worker()
    system.produce(topics.JOBS_INBOX, body(job()))
    system.read(PENDING, count=1)
    ended(worker)
    found = told(system, "job", TASK_ID, "--since", "2999-01-01")
    assert (found["answer"], found["since"]) == ("push-unknown", "2999-01-01T00:00:00Z")
    assert stages(found) == [("waiting", PENDING)]
    found = told(system, "job", TASK_ID, "--since", "1h")
    assert len(found["events"]) == 3


async def _while_uncommitted(system: System) -> dict[str, Any]:
    """Ask for a job with one record of it aborted, and another in a transaction that is open."""
    key = TASK_ID.encode()
    async with AIOKafkaProducer(
        bootstrap_servers=system.kafka.url, transactional_id="one"
    ) as producer:
        await producer.begin_transaction()
        await producer.send_and_wait(topics.JOBS_JOINED, b"{}", key, 1)
        await producer.abort_transaction()
        await producer.begin_transaction()
        await producer.send_and_wait(topics.JOBS_EXPIRED, b"{}", key, 1)
        found = await asyncio.to_thread(told, system, "job", TASK_ID, status=1)
        await producer.abort_transaction()
    return found


def test_what_was_not_committed_is_not_told(system: System) -> None:
    assert asyncio.run(_while_uncommitted(system))["events"] == []


def test_what_strangers_have_written_ends_no_command(system: System) -> None:
    strange = [None, b"", b"\xff", b"[]", b'"x"', b"[" * 5_000, b'{"job": 1}', body([job(), 1])]
    key = TASK_ID.encode()
    records = [Sent(one, key, [(JOB_ID, key)], 1) for one in strange]
    for topic in (
        *(topics.JOBS_INBOX, topics.JOBS_DEAD_LETTER, topics.JOBS_VALID, topics.JOBS_JOINED),
        *(topics.JOBS_SUPPRESSED, topics.JOBS_EXPIRED, topics.PUSHES),
    ):
        system.produce(topic, *records)
        system.produce(topic, *(one._replace(key=KEY.encode(), headers=()) for one in records))
    assert told(system, "job", TASK_ID)["answer"] == "behind-lag"
    told(system, "push", KEY, status=1)
    assert told(system, "pending")["jobs"] == 0


def test_topics_that_are_missing_are_told(system: System) -> None:
    for arguments in (("job", TASK_ID), ("push", KEY), ("pending",)):
        line = failed(run(system, *arguments, PULSELOAD_APP_ID="another"))
        assert "topic another-p" in line
        assert "is missing; run `pulseload topics`" in line
