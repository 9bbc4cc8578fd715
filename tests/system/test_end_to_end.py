"""From Pulse and from Kafka's own tools to joined jobs: a bridge, a worker, both brokers."""

import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from local import kafka as local_kafka
from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from local.reader import Read
from local.tools import TOOLS
from pipeline import joining
from pipeline.pending import Waiting
from pulseload import topics
from pulseload.partitions import partition_of
from tests.examples import HG_ROOT, body, hg_push, job, job_2016, push, task_id
from tests.system.bridging import at_work
from tests.system.command import run
from tests.system.harness import System

OWN = "exchange/tester/jobs"
TREEHERDER = "exchange/taskcluster-treeherder/v1/jobs"
HG = "exchange/hgpushes/v1"
PENDING = topics.changelog("pulseload", joining.PENDING)


@pytest.fixture(scope="module")
def system(
    kafka: Kafka, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """A bridge and a worker at work; each test has jobs and pushes of its own."""
    folder = tmp_path_factory.mktemp("end-to-end")
    with at_work(kafka, rabbitmq, folder, (OWN, TREEHERDER, HG)) as system:
        yield system


def revision(number: int) -> str:
    return f"{number:040x}"


def wait_in_the_table(system: System, *numbers: int) -> None:
    """Wait until jobs wait for their push, and check that none of them has been joined."""
    wanted = {task_id(number).encode() for number in numbers}

    def there(records: list[Read]) -> bool:
        rows = [one.value for one in records if one.value is not None]
        return wanted <= {Waiting.unpack(row).job_id for row in rows}

    system.read(PENDING, until=there)
    assert not wanted & {one.key for one in system.read(topics.JOBS_JOINED)}


def joined(system: System, *numbers: int) -> list[Read]:
    """Wait until jobs are joined, once each; return them in the order they stand there."""
    wanted = {task_id(number).encode() for number in numbers}
    records = system.read(
        topics.JOBS_JOINED, until=lambda found: wanted <= {one.key for one in found}
    )
    found = [one for one in records if one.key in wanted]
    assert len(found) == len(wanted)
    for one in found:
        met = one.json["push"]
        key = f"{met['project']}:{met['revision']}".encode()
        assert one.json["job"]["taskId"].encode() == one.key
        assert one.partition == partition_of(key, system.settings.pulseload_partitions)
    return found


def publish(system: System, exchange: str, *documents: dict[str, Any]) -> None:
    system.pulse.publish(exchange, *documents)


def console_producer(
    system: System, topic: str, lines: Sequence[bytes], codec: str = "none"
) -> None:
    options = ["--bootstrap-server", system.kafka.url, "--topic", topic]
    options += ["--compression-codec", codec]
    command = local_kafka.java(TOOLS["kafka-console-producer"], *options)
    subprocess.run(command, input=b"\n".join(lines) + b"\n", check=True, timeout=120)


def test_jobs_of_every_kind_of_sender_wait_for_their_push(system: System) -> None:
    tip, other = revision(1), revision(2)
    jobs = [job(revision=tip, taskId=task_id(number)) for number in range(5)]
    file = system.folder / "job.json"
    file.write_bytes(body(jobs[0]))
    done = run(system, "publish", "try.staging", system.pulse.url, str(file))
    assert done.returncode == 0, done.stderr
    system.pulse.publish(
        TREEHERDER, body(jobs[1]), routing_key="try.text", content_type="text/plain"
    )
    system.pulse.publish(
        TREEHERDER,
        body(jobs[2]),
        routing_key="try.bytes",
        content_type="application/octet-stream",
        content_encoding="binary",
    )
    publish(system, TREEHERDER, jobs[3])
    console_producer(
        system,
        topics.JOBS_INBOX,
        [body(jobs[4]), b"junk", body(job(revision=other, taskId=task_id(5)))],
    )
    wait_in_the_table(system, *range(6))
    system.pulse.publish(HG, hg_push(heads=[tip]), routing_key="try")
    found = {one.key: one for one in joined(system, *range(5))}
    for number, document in enumerate(jobs):
        record = found[task_id(number).encode()]
        assert record.json == {
            "job": document,
            "push": {
                "project": "try",
                "revision": tip,
                "author": "dev@example.com",
                "push_id": 136_598,
                "url": f"{HG_ROOT}/try/rev/{tip}",
            },
            "result": "success",
        }
    assert [
        tuple(found[task_id(number).encode()].headers.get(f"pulse.{name}") for name in names)
        for number in range(5)
        for names in [("exchange", "routing_key", "content_type")]
    ] == [
        (OWN.encode(), b"try.staging", b"application/json"),
        (TREEHERDER.encode(), b"try.text", b"text/plain"),
        (TREEHERDER.encode(), b"try.bytes", b"application/octet-stream"),
        (TREEHERDER.encode(), b"try.staging", b"application/json"),
        (None, None, None),
    ]
    assert b'{"job":%b,"push":' % body(jobs[1]) in (found[task_id(1).encode()].value or b"")
    (letter,) = system.read(topics.JOBS_DEAD_LETTER)
    assert letter.value == b"junk"
    wait_in_the_table(system, 5)


def test_kafkas_own_producer_may_compress(system: System) -> None:
    tip = revision(51)
    numbers = {"gzip": 50, "snappy": 51, "lz4": 52, "zstd": 53}
    for codec, number in numbers.items():
        line = body(job(revision=tip, taskId=task_id(number)))
        console_producer(system, topics.JOBS_INBOX, [line], codec)
    console_producer(system, topics.PUSHES_INBOX, [body(push(revision=tip))], "zstd")
    joined(system, *numbers.values())


def test_every_head_of_a_message_is_a_push(system: System) -> None:
    tips = [revision(number) for number in (11, 12, 13)]
    publish(
        system, TREEHERDER, *(job(revision=t, taskId=task_id(n + 10)) for n, t in enumerate(tips))
    )
    wait_in_the_table(system, 10, 11, 12)
    system.pulse.publish(HG, hg_push(heads=tips[:2]), routing_key="try")
    system.pulse.publish(HG, hg_push(heads=tips[2:], pushlog_pushes=[]), routing_key="try")
    found = {
        one.json["job"]["origin"]["revision"]: one.json["push"]
        for one in joined(system, 10, 11, 12)
    }
    assert {tip: met["revision"] for tip, met in found.items()} == dict(
        zip(tips, tips, strict=True)
    )
    assert "push_id" in found[tips[0]]
    assert found[tips[2]] == {
        "project": "try",
        "revision": tips[2],
        "url": f"{HG_ROOT}/try/rev/{tips[2]}",
    }


def test_a_push_record_adds_what_the_message_did_not_know(system: System) -> None:
    tip = revision(21)
    system.pulse.publish(HG, hg_push(heads=[tip]), routing_key="try")
    publish(system, TREEHERDER, job(revision=tip, taskId=task_id(20)))
    (first,) = joined(system, 20)
    assert "revisions" not in first.json["push"]
    more = push(revision=tip, author="else@example.com", revisions=[{"revision": tip}])
    del more["push_id"]
    console_producer(system, topics.PUSHES_INBOX, [body(more)])
    system.read(
        topics.changelog("pulseload", joining.PUSHES),
        until=lambda found: any(
            tip.encode() in (one.value or b"") and "revisions" in one.json for one in found
        ),
    )
    publish(system, TREEHERDER, job(revision=tip, taskId=task_id(21)))
    (second,) = joined(system, 21)
    assert second.json["push"] == {**more, "push_id": 136_598}


def test_an_old_job_is_joined_by_the_hash_that_it_names(system: System) -> None:
    tip, by_hash = revision(31), "f" * 40
    origin = {"kind": "hg.mozilla.org", "project": "try", "revision_hash": by_hash}
    publish(
        system,
        TREEHERDER,
        job_2016(project="try", origin=origin, taskId=task_id(30)),
        job_2016(project="try", revision=tip, taskId=task_id(31)),
    )
    wait_in_the_table(system, 30, 31)
    record = push(revision=tip, revision_hash=by_hash)
    console_producer(system, topics.PUSHES_INBOX, [body(record)])
    records = system.read(
        topics.JOBS_JOINED,
        until=lambda found: (
            {task_id(30).encode(), task_id(31).encode()} <= {one.key for one in found}
        ),
    )
    met = [
        one.json["push"]
        for one in records
        if one.key in (task_id(30).encode(), task_id(31).encode())
    ]
    assert met == [record, record]


def test_jobs_of_a_push_keep_their_order_all_the_way(system: System) -> None:
    tip = revision(41)
    numbers = range(1_000, 1_600)
    jobs = [job(revision=tip, taskId=task_id(number)) for number in numbers]
    publish(system, TREEHERDER, *jobs[:300])
    system.pulse.publish(HG, hg_push(heads=[tip]), routing_key="try")
    publish(system, TREEHERDER, *jobs[300:])
    assert [one.json["job"]["taskId"] for one in joined(system, *numbers)] == [
        task_id(number) for number in numbers
    ]
