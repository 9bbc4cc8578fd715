"""`pulseload dead-letters` and `pulseload expired` on a real Kafka, run as a user runs them."""

import asyncio
import json
import os
import pty
import signal
from collections import Counter
from typing import Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import RecordsToDelete

from letters.letter import Letter, Position
from pulseload import kafka, topics
from pulseload.topics import INPUT_MAX_BYTES
from tests.examples import REVISION, TASK_ID, body, job, push, task_id
from tests.system.command import failed, run
from tests.system.harness import BIN, Read, Sent, Service, System, create_topics, kill_after

REASON = "pulseload.error.reason"


def lines(system: System, *arguments: str) -> list[dict[str, Any]]:
    done = run(system, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return [json.loads(one) for one in done.stdout.splitlines()]


def last(system: System, *arguments: str) -> str:
    """Return the last line of a command that went well."""
    done = run(system, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()[-1]


def put_aside(system: System, count: int, size: int = 200) -> list[bytes]:
    """Write so many dead letters of jobs, in partition 1, and return their values."""
    values = [b"%06d%s" % (number, b"x" * (size - 6)) for number in range(count)]
    given = [("pulse.exchange", b"exchange/guest/jobs"), (REASON, b"not-json")]
    letters = [Sent(value, b"key", given, 1) for value in values]
    system.produce(topics.JOBS_DEAD_LETTER, *letters)
    return values


def replaying(system: System, name: str, *arguments: str) -> Service:
    return system.program(
        name, str(BIN / "pulseload"), "dead-letters", "replay", "--yes", *arguments
    )


def inbox(system: System) -> list[Read]:
    return system.read(topics.JOBS_INBOX)


def test_invalid_jobs_are_listed_shown_and_sent_again_once(system: System) -> None:
    worker = system.worker()
    good, bad = job(), job(taskId=task_id(2), tier=9)
    carried = [("pulse.exchange", b"exchange/guest/jobs"), ("pulse.cc", b"\xff")]
    system.produce(
        topics.JOBS_INBOX,
        Sent(json.dumps([good, bad]).encode(), b"mine", carried, 2),
        Sent(b"\xff\x00", partition=0),
        Sent(None, b"key", partition=3),
    )
    system.produce(topics.PUSHES_INBOX, Sent(b'{"project": 1}', partition=1))
    written = system.read(topics.JOBS_DEAD_LETTER, count=3)
    system.read(topics.PUSHES_DEAD_LETTER, count=1)
    assert worker.terminate() == 0

    by_reason = {one["error"]["reason"]: one for one in lines(system, "dead-letters", "list")}
    assert by_reason.keys() == {"invalid-job", "not-utf-8", "null-value"}
    invalid = by_reason["invalid-job"]
    assert invalid["job_id"] == task_id(2)
    assert invalid["error"]["index"] == "1"
    table = run(system, "dead-letters", "list", "--reason", "invalid-job", "--since", "1h")
    heading, line = table.stdout.splitlines()
    assert heading.split() == ["POSITION", "TIME", "REASON", "FROM", "JOB"]
    assert line.split() == [
        invalid["position"],
        invalid["time"],
        "invalid-job",
        "jobs.inbox/2/0[1]",
        task_id(2),
    ]
    assert lines(system, "dead-letters", "list", "--until", "1h") == []
    (of_push,) = lines(system, "dead-letters", "list", "--topic", topics.PUSHES_DEAD_LETTER)
    assert of_push["error"]["reason"] == "invalid-push"

    (shown,) = lines_of_show(system, invalid["position"])
    assert json.loads(shown["value"]) == bad
    assert {"name": "pulse.cc", "value_base64": "/w=="} in shown["headers"]
    assert f'  "taskId": "{task_id(2)}"' in run(
        system, "dead-letters", "show", invalid["position"]
    ).stdout.replace(",", "")
    assert "there is no record at 2/99 of jobs.dead-letter" in failed(
        run(system, "dead-letters", "show", "2/99")
    )

    before = inbox(system)
    dry = run(system, "dead-letters", "replay")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert f"{task_id(2)}  to jobs.inbox/2\n" in dry.stdout
    assert dry.stdout.endswith("would send 2 to jobs.inbox; left: 1 no value; --yes sends\n")
    assert inbox(system) == before

    one = ("dead-letters", "replay", "--yes", by_reason["not-utf-8"]["position"])
    assert last(system, *one) == "sent 1 to jobs.inbox"
    assert last(system, *one) == "sent none; left: 1 sent before"
    everything = ("dead-letters", "replay", "--yes")
    assert last(system, *everything) == "sent 1 to jobs.inbox; left: 1 no value, 1 sent before"
    assert last(system, *everything) == "sent none; left: 1 no value, 2 sent before"
    again = [one for one in inbox(system) if one not in before]
    assert [(one.partition, one.key, one.value, one.headers) for one in again] == [
        (0, None, b"\xff\x00", {}),
        (2, b"mine", json.dumps(bad).encode(), dict(carried)),
    ]
    assert written == system.read(topics.JOBS_DEAD_LETTER)
    assert last(
        system, "dead-letters", "replay", "--yes", "--topic", topics.PUSHES_DEAD_LETTER
    ) == ("sent 1 to pushes.inbox")


def lines_of_show(system: System, position: str) -> list[dict[str, Any]]:
    done = run(system, "dead-letters", "show", position, "--json")
    return [json.loads(done.stdout)]


def test_a_list_is_read_in_parts(system: System) -> None:
    put_aside(system, 1_200)
    whole = [one["position"] for one in lines(system, "dead-letters", "list")]
    assert len(whole) == 1_200
    found: list[str] = []
    while True:
        after = ("--after", found[-1]) if found else ()
        done = run(system, "dead-letters", "list", "--json", "--limit", "500", *after)
        part = [json.loads(one)["position"] for one in done.stdout.splitlines()]
        if not part:
            break
        found += part
        assert ("there may be more: --after" in done.stderr) == (len(part) == 500)
    assert found == whole


def test_what_was_aborted_or_is_not_committed_yet_is_no_letter(system: System) -> None:
    place = TopicPartition(topics.JOBS_DEAD_LETTER, 1)

    async def write() -> None:
        clients = kafka.connection(system.settings)
        async with AIOKafkaProducer(**clients, transactional_id="done") as done:
            await done.begin_transaction()
            await done.send_and_wait(place.topic, b"aborted", partition=place.partition)
            await done.abort_transaction()
            await done.begin_transaction()
            await done.send_and_wait(place.topic, b"committed", partition=place.partition)
            await done.commit_transaction()
        left_open = AIOKafkaProducer(**clients, transactional_id="open")
        await left_open.start()
        await left_open.begin_transaction()
        await left_open.send_and_wait(place.topic, b"open", partition=place.partition)
        letters = await asyncio.to_thread(lines, system, "dead-letters", "list")
        assert [one["position"] for one in letters] == ["1/2"]
        await left_open.stop()

    asyncio.run(write())
    # An aborted one, the mark of that, the mark of a commit, one that is not committed.
    for position in ("1/0", "1/1", "1/3", "1/4"):
        said = failed(run(system, "dead-letters", "replay", "1/2", position, "--yes"))
        assert f"there is no record at {position} of jobs.dead-letter" in said
    assert inbox(system) == []
    assert last(system, "dead-letters", "replay", "--yes", "1/2") == "sent 1 to jobs.inbox"
    (sent,) = inbox(system)
    assert sent.value == b"committed"


def test_a_replay_that_is_killed_again_and_again_sends_each_once(system: System) -> None:
    values = put_aside(system, 20_000)
    place = TopicPartition(topics.JOBS_INBOX, 1)
    killed = 0
    for records in (300, 1_300, 2_700, 4_100):
        service = replaying(system, f"killed-{records}")
        kill_after(service, system.kafka.url, place, records)
        killed += service.wait() == -signal.SIGKILL
    assert killed == 4
    before = len(inbox(system))
    assert 0 < before < len(values)
    assert before % 500 == 0
    assert last(system, "dead-letters", "replay", "--yes") == (
        f"sent {len(values) - before:,} to jobs.inbox; left: {before:,} sent before"
    )
    assert [one.value for one in inbox(system)] == values


def test_ctrl_c_leaves_whole_batches(system: System) -> None:
    values = put_aside(system, 20_000)
    service = replaying(system, "interrupted")
    system.read(topics.JOBS_INBOX, count=1)
    service.process.signal(signal.SIGINT)
    assert service.wait() == 130
    sent = len(inbox(system))
    assert 0 < sent < len(values)
    assert service.log == (
        f"ended early: sent {sent:,} to jobs.inbox; the same again sends the rest\n"
    )
    assert last(system, "dead-letters", "replay", "--yes").startswith("sent ")
    assert [one.value for one in inbox(system)] == values


def test_of_two_replays_at_once_one_ends(system: System) -> None:
    values = put_aside(system, 20_000)
    first = replaying(system, "first")
    system.read(topics.JOBS_INBOX, count=1)
    # It must not be through before the other has begun.
    first.freeze()
    second = replaying(system, "second")
    assert second.wait() == 0
    first.resume()
    assert first.wait() == 1
    assert "another replay has begun, and this one ends: run one at a time" in first.log
    assert [one.value for one in inbox(system)] == values


def test_marks_of_a_topic_that_was_made_anew_do_not_count(system: System) -> None:
    put_aside(system, 2)
    assert last(system, "dead-letters", "replay", "--yes") == "sent 2 to jobs.inbox"
    of = {topic.name: topic for topic in system.settings.topics}
    create_topics(system.kafka.url, [of[topics.JOBS_DEAD_LETTER]])
    put_aside(system, 2)
    assert last(system, "dead-letters", "replay", "--yes") == "sent 2 to jobs.inbox"
    counts = Counter(one.value for one in inbox(system))
    assert set(counts.values()) == {2}


def test_an_expired_job_is_joined_once_its_push_has_come_and_it_is_sent_again(
    system: System,
) -> None:
    worker = system.worker(PENDING_MAX_AGE="3s")
    system.produce(topics.JOBS_INBOX, body(job()))
    system.read(topics.JOBS_EXPIRED, count=1)
    system.produce(topics.PUSHES_INBOX, body(push()))
    (row,) = lines(system, "expired", "list")
    assert row["job_id"] == TASK_ID
    assert row["expired"]["reason"] == "push-unknown"
    assert row["expired"]["push"] == f"try:{REVISION}"
    assert (
        f"pulseload.expired.push: try:{REVISION}\n"
        in run(system, "expired", "show", row["position"]).stdout
    )
    assert last(system, "expired", "replay").endswith("would send 1 to jobs.inbox; --yes sends")
    assert last(system, "expired", "replay", "--yes") == "sent 1 to jobs.inbox"
    (joined,) = system.read(topics.JOBS_JOINED, count=1)
    assert joined.key == TASK_ID.encode()
    assert joined.json["job"] == job()
    assert last(system, "expired", "replay", "--yes") == "sent none; left: 1 sent before"
    assert worker.terminate() == 0
    assert len(system.read(topics.JOBS_JOINED)) == 1
    assert system.read(topics.JOBS_SUPPRESSED) == []


def test_a_person_sees_how_far_it_is(system: System) -> None:
    put_aside(system, 5_000)
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(system.folder)
        command = ["pulseload", "dead-letters", "replay", "--yes"]
        os.execve(BIN / "pulseload", command, system.env)  # noqa: S606 - it is our own
    seen = b""
    try:
        while chunk := os.read(terminal, 4_096):
            seen += chunk
    except OSError:
        # So a terminal ends on Linux.
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"\r\x1b[Ksent none; at 1/" in seen
    assert seen.endswith(b"\r\x1b[Ksent 5,000 to jobs.inbox\r\n")


def test_the_largest_that_an_inbox_takes_is_sent_and_a_larger_one_left(system: System) -> None:
    most = INPUT_MAX_BYTES
    while Letter(topics.JOBS_DEAD_LETTER, Position(1, 0), 0, b"key", b"x" * most, ()).fault:
        most -= 1
    values = [b"x" * most, b"y" * (most + 1)]
    system.produce(topics.JOBS_DEAD_LETTER, *(Sent(value, b"key", (), 1) for value in values))
    assert last(system, "dead-letters", "replay", "--yes") == (
        "sent 1 to jobs.inbox; left: 1 larger than jobs.inbox takes"
    )
    assert [one.value for one in inbox(system)] == values[:1]


def test_marks_of_letters_that_are_gone_are_deleted(system: System) -> None:
    put_aside(system, 3)
    assert last(system, "dead-letters", "replay", "--yes") == "sent 3 to jobs.inbox"

    async def forget() -> None:
        async with kafka.admin(system.settings) as client:
            place = TopicPartition(topics.JOBS_DEAD_LETTER, 1)
            await client.delete_records({place: RecordsToDelete(2)})

    asyncio.run(forget())
    put_aside(system, 1)
    assert last(system, "dead-letters", "replay", "--yes") == (
        "sent 1 to jobs.inbox; left: 1 sent before"
    )
    rows = {one.key: one.value for one in system.read(topics.REPLAYED)}
    kept = {f"jobs.dead-letter/1/{offset}".encode() for offset in (2, 3)}
    assert {key for key, value in rows.items() if value is not None} == kept
    assert len(rows) == 4
