"""`pulseload lag` on real brokers, by a user with Pulse's rights."""

import asyncio
import json
import signal
import time
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from local import ports
from pulseload import topics
from tests.examples import body, job, push, task_id
from tests.system.command import bind, run
from tests.system.harness import BIN, Sent, System, eventually
from tests.system.joins import waiting

TREEHERDER = "exchange/taskcluster-treeherder/v1/jobs"


def lag(system: System, *arguments: str, status: int = 0, **environ: str) -> Any:
    done = run(system, "lag", "--json", *arguments, stdin=b"", **environ)
    assert (done.returncode, done.stderr) == (status, "")
    assert "not-a-secret" not in done.stdout
    return json.loads(done.stdout)


def totals(said: Any) -> dict[str, tuple[Any, Any]]:
    return {one["stage"]: (one["messages"], one["seconds"]) for one in said["stages"]}


def partition(said: Any, topic: str, number: int) -> Any:
    (found,) = [
        one for one in said["partitions"] if (one["topic"], one["partition"]) == (topic, number)
    ]
    return found


def jobs(*numbers: int, partition: int = 1) -> list[Sent]:
    return [Sent(body(job(taskId=task_id(one))), partition=partition) for one in numbers]


def commit(system: System, offset: int, place: TopicPartition) -> None:
    async def committed() -> None:
        async with AIOKafkaConsumer(
            bootstrap_servers=system.kafka.url, group_id="pulseload", enable_auto_commit=False
        ) as consumer:
            consumer.assign([place])
            await consumer.commit({place: offset})

    asyncio.run(committed())


def test_lag_of_what_nobody_reads_yet(system: System) -> None:
    bind(system.pulse, TREEHERDER)
    fresh = lag(system)
    assert totals(fresh) == {"validate": (0, 0), "join": (0, 0)}
    assert len(fresh["partitions"]) == 9 * 4
    assert partition(fresh, topics.JOBS_INBOX, 1)["committed"] is None
    assert (fresh["queue"]["messages"], fresh["queue"]["state"]) == (0, "ok")
    assert (fresh["waiting"], fresh["unknown"]) == (None, [])
    system.produce(topics.JOBS_INBOX, *jobs(1, 2, 3))
    time.sleep(2)
    system.produce(topics.JOBS_INBOX, *jobs(4, partition=2))
    said = lag(system)
    first, second = (partition(said, topics.JOBS_INBOX, number) for number in (1, 2))
    assert (first["end"], first["messages"], second["messages"]) == (3, 3, 1)
    assert first["seconds"] >= second["seconds"] + 1.5
    assert totals(said) == {"validate": (4, first["seconds"]), "join": (0, 0)}


def test_lag_before_and_after_a_worker(system: System) -> None:
    bind(system.pulse)
    system.produce(topics.JOBS_INBOX, *jobs(*range(1_000)))
    worker = system.worker()
    waiting(system, *range(1_000))
    read = lag(system, "--waiting")
    # Only marks of transactions are behind what the stages have committed.
    assert totals(read) == {"validate": (0, 0), "join": (0, 0)}
    assert read["waiting"] == 1_000
    assert partition(read, topics.JOBS_INBOX, 1)["committed"] == 1_000
    system.produce(topics.PUSHES_INBOX, body(push()))
    system.read(topics.JOBS_JOINED, count=1_000)
    eventually(lambda: totals(lag(system))["join"] == (0, 0), "all is read")
    assert worker.terminate() == 0
    system.produce(topics.JOBS_INBOX, *jobs(1_000, 1_001))
    system.produce(topics.JOBS_VALID, Sent(b"{}", partition=0))
    behind = lag(system, "--waiting")
    assert (partition(behind, topics.JOBS_INBOX, 1)["messages"], behind["waiting"]) == (2, 0)
    assert totals(behind)["join"][0] == 1
    assert all(seconds > 0 for _, seconds in totals(behind).values())


def test_a_partition_with_large_records(system: System) -> None:
    bind(system.pulse)
    for number in range(4):
        system.produce(topics.JOBS_INBOX, *(Sent(b"x" * 900_000, partition=number),) * 3)
    said = lag(system)
    found = [partition(said, topics.JOBS_INBOX, number) for number in range(4)]
    assert [one["messages"] for one in found] == [3] * 4
    assert all(one["seconds"] > 0 for one in found)


def test_a_topic_is_missing(system: System) -> None:
    bind(system.pulse)
    system.produce(topics.JOBS_INBOX, *jobs(1))
    source = json.dumps([{"exchange": TREEHERDER}, {"exchange": "exchange/other/v1/jobs"}])
    said = lag(system, status=1, PULSE_DATA_INGESTION_SOURCES=source)
    assert said["unknown"] == ["topic pulse.other.v1.jobs is missing; run `pulseload topics`"]
    assert totals(said)["validate"][0] == 1


def test_a_topic_was_made_anew(system: System) -> None:
    bind(system.pulse)
    system.produce(topics.JOBS_INBOX, *jobs(1, 2))
    commit(system, 5, TopicPartition(topics.JOBS_INBOX, 1))
    said = lag(system, status=1)
    found = partition(said, topics.JOBS_INBOX, 1)
    assert (found["committed"], found["end"], found["messages"]) == (5, 2, None)
    (reason,) = said["unknown"]
    assert reason.startswith("jobs.inbox/1: 5 is committed, but it ends at 2: it was made anew")
    assert totals(said) == {"validate": (None, None), "join": (0, 0)}


def test_a_queue_that_grows(system: System) -> None:
    bind(system.pulse, TREEHERDER)
    system.pulse.publish(TREEHERDER, *(b"{}" for _ in range(30)))
    limits = {"PULSE_WARN_DEPTH": "20", "PULSE_DELETE_DEPTH": "100"}
    started = system.program("lag", str(BIN / "pulseload"), "lag", "--watch", "--json", **limits)
    started.wait_for('"messages": 30,')
    system.pulse.publish(TREEHERDER, *(b"{}" for _ in range(10)))
    started.wait_for('"messages": 40,')
    assert started.terminate() == 0
    reports = [json.loads(text)["queue"] for text in started.log.splitlines()]
    assert all(one["state"] == "warn" for one in reports)
    (grown,) = [one for one in reports if one["per_second"] > 0]
    assert (grown["name"], grown["ready"], grown["bridges"]) == ("queue/tester/jobs", 40, 0)
    assert 0 < grown["seconds_left"] < 600
    done = run(system, "lag", stdin=b"", **limits)
    assert done.returncode == 0
    assert "WARNING  queue/tester/jobs: 40 messages (40 ready; bridges: 0), +0.0" in done.stdout
    assert system.pulse.queue() is not None


def test_what_a_bridge_has_in_hand_counts(system: System) -> None:
    bind(system.pulse, TREEHERDER)
    bridge = system.bridge(PULSE_PREFETCH="50")
    bridge.wait_for("is bound to")
    eventually(lambda: lag(system)["queue"]["bridges"] == 1, "the bridge consumes")
    bridge.freeze()
    system.pulse.publish(TREEHERDER, *(b"{}" for _ in range(80)))
    said = lag(system, PULSE_PREFETCH="50")["queue"]
    bridge.resume()
    assert (said["ready"], said["messages"], said["bridges"]) == (30, 80, 1)


def test_there_is_no_queue(system: System) -> None:
    said = lag(system, status=1)
    assert said["queue"] is None
    assert said["unknown"] == ["queue/tester/jobs is not there; the bridge makes it when it starts"]
    assert system.pulse.queue() is None


def test_a_broker_is_away(system: System) -> None:
    bind(system.pulse)
    system.produce(topics.JOBS_INBOX, *jobs(1))
    (port,) = ports.free(1)
    pulse = system.pulse.url.replace("not-a-secret", "wr0ng")
    said = lag(system, status=1, PULSE_DATA_INGESTION_CONFIG=pulse)
    assert totals(said)["validate"][0] == 1
    (reason,) = said["unknown"]
    assert "refuses user 'tester': wrong password" in reason
    assert "wr0ng" not in reason
    said = lag(system, status=1, KAFKA_URL=f"127.0.0.1:{port}")
    assert (said["partitions"], said["queue"]["messages"]) == ([], 0)
    assert said["unknown"][0].startswith(f"Kafka at 127.0.0.1:{port} does not answer within 10 s")


def test_brokers_that_do_not_answer(system: System) -> None:
    bind(system.pulse)
    system.kafka.process.signal(signal.SIGSTOP)
    try:
        done = run(system, "lag")
    finally:
        system.kafka.process.signal(signal.SIGCONT)
    assert (done.returncode, done.stderr) == (1, "")
    assert "UNKNOWN  Kafka at " in done.stdout
    assert "queue/tester/jobs: 0 messages" in done.stdout


def test_kafka_goes_and_comes_while_it_is_watched(system: System) -> None:
    bind(system.pulse)
    watched = system.program("lag", str(BIN / "pulseload"), "lag", "--watch")
    watched.wait_for("validate +all +0 +0 s")
    system.kafka.stop()
    watched.wait_for("UNKNOWN  Kafka at ")
    system.kafka.start()
    before = len(watched.log)
    eventually(lambda: "join      all" in watched.log[before:], "Kafka is asked again")
    assert watched.terminate() == 0
    assert "Traceback" not in watched.log
