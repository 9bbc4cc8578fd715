"""Records that no bridge and no stage wrote: into inner topics, with odd headers, very large."""

import asyncio
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from local.reader import Read
from pipeline import dead_letters, joining
from pulseload import headers, topics
from tests.contracts import event
from tests.examples import body, job, push, task_id
from tests.system.harness import Sent
from tests.system.judging import MARK, Judge, judged_job, nested

MIB = 1_048_576


def reasons(letters: list[Read]) -> list[tuple[bytes | None, bytes | None, str]]:
    return [(one.key, one.value, one.header(headers.ERROR_REASON)) for one in letters]


NOTHING: Any = None
"""Kafka's headers may have no value, whatever the clients' types say."""


def test_strangers_in_jobs_valid_do_no_harm(judge: Judge) -> None:
    job_id = (headers.JOB_ID, b"strange")
    refused = [
        Sent(b"{}", None, [job_id]),
        Sent(None, b"try:x", [job_id]),
        Sent(None, None),
        Sent(b"", b"", [(headers.JOB_ID, NOTHING)]),
        Sent(b"{}", b"", [(headers.JOB_ID, b"")]),
        Sent(b"{}", b"", [(headers.JOB_ID, b"x" * MIB)]),
        Sent(b"\xff", b"\xff", [("pulse.x", NOTHING), ("", b"")]),
    ]
    # Nobody's push: they wait, whatever they are.
    waiting = [
        Sent(b"\xff\0", b"\xff\0", [job_id, ("pulse.x", NOTHING), ("other", NOTHING)]),
        Sent(b"", b"", [(headers.JOB_ID, b"\xff")]),
    ]
    letters = judge.strange(*((topics.JOBS_VALID, one) for one in [*waiting, *refused]))
    assert reasons(letters) == [(one.key, one.value, dead_letters.NOT_VALIDATED) for one in refused]


def test_strangers_in_pushes_do_no_harm(judge: Judge) -> None:
    tombstones = [Sent(None, b"unknown"), Sent(None, b"")]
    refused = [
        Sent(b"", b"key"),
        Sent(b"\xff", b"\0"),
        Sent(b"17", b"\xff"),
        Sent(body(job()), b"try:x", [("pulse.x", NOTHING)]),
        Sent(nested(10_000), b"deep"),
    ]
    letters = judge.strange(*((topics.PUSHES, one) for one in [*tombstones, *refused]))
    assert reasons(letters) == [(one.key, one.value, dead_letters.NOT_VALIDATED) for one in refused]


def test_records_as_large_as_inner_topics_take_do_no_harm(judge: Judge) -> None:
    job_id = (headers.JOB_ID, b"large")
    most = topics.INNER_MAX_BYTES - 200
    large_push = push(revisions=commits(1_000, 3_000))
    letters = judge.strange(
        (topics.JOBS_VALID, Sent(b"x" * most, b"a-push")),
        (topics.JOBS_VALID, Sent(b"x" * most, b"a-push", [job_id])),
        (topics.JOBS_VALID, Sent(b"", b"\0" * most, [job_id])),
        (topics.JOBS_VALID, Sent(b"", b"k" * (most - 9_000), [job_id, ("pulse.x", b"\0" * 8_000)])),
        (topics.PUSHES, Sent(b"x" * most, b"a-push")),
        (topics.PUSHES, Sent(body(large_push), b"a-push")),
    )
    assert [(one.topic, len(one.value or b"")) for one in letters] == [
        (topics.JOBS_DEAD_LETTER, most),
        (topics.PUSHES_DEAD_LETTER, most),
    ]
    (joined,) = [one for one in judge.system.read(topics.JOBS_JOINED) if one.key == b"large"]
    assert joined.value == joining.joined(b"x" * most, orjson.dumps(large_push), b"unknown")


HEADERS = {
    "binary": [("pulse.b", bytes(range(256))), ("pulse.\xe9\u2028", b"\xff\xfe"), ("pulse.b", b"")],
    "many": [(f"pulse.{number}", b"%d" % number) for number in range(500)],
    "large": [("pulse.first", b"1"), ("pulse.large", b"x" * 700_000), ("pulse.last", b"1")],
    "none": [("pulse.none", NOTHING), ("pulse.", b"1"), ("", b"")],
    "ours": [("pulseload.error.reason", b"mine"), ("pulseload.job.id", b"mine"), ("pulse", b"")],
    "events": [(f"ce_{name}", b"mine") for name in ("id", "source", "type", "specversion", "time")],
}


@pytest.mark.parametrize(("number", "given"), [*enumerate(HEADERS.values(), 200)], ids=HEADERS)
def test_headers_are_carried_as_they_are_and_within_bounds(
    judge: Judge, number: int, given: list[tuple[str, bytes]]
) -> None:
    fine, bad = judge.judge(
        topics.JOBS_INBOX,
        Sent(body(judged_job(number)), headers=given),
        Sent(b"bad", headers=given),
    )
    expected = dict(headers.carried([(MARK, fine.record.headers[MARK]), *given]))
    (joined,) = judge.joined(fine)
    place = f"{task_id(number)}@{joined.partition}-{fine.only.offset}"
    assert joined.headers == {**expected, **dict(event("join", "job.joined", place))}
    assert fine.only.headers == {
        **expected,
        headers.JOB_ID: task_id(number).encode(),
        headers.JOB_STATE: b"completed",
        headers.JOB_RESULT: b"success",
    }
    letter = {name: value for name, value in bad.only.headers.items() if "error" not in name}
    carried = {**expected, MARK: bad.record.headers[MARK]}
    place = f"{topics.JOBS_INBOX}@{bad.record.partition}-{bad.record.offset}"
    assert letter == {**carried, **dict(event("validate", "job.refused", place))}
    assert bad.only.header(headers.ERROR_REASON) == dead_letters.NOT_JSON
    assert len(carried) <= headers.MAX_HEADERS
    assert sum(len(name) + len(value) for name, value in carried.items()) <= 8_192


def commits(count: int, length: int, first: int = 0, last: int = 10_000) -> list[dict[str, str]]:
    """Return commits, those from `first` to `last` with messages of a length."""
    return [
        {"revision": f"{n:040x}", **({"comment": "c" * length} if first <= n < last else {})}
        for n in range(count)
    ]


def test_largest_records_go_all_the_way(judge: Judge) -> None:
    revision = "e" * 40
    large_job = body(job(revision=revision, taskId=task_id(300), jobInfo={"summary": "x" * MIB}))
    large_job = large_job.replace(b"x" * 47_000, b"", 1)
    large_push = push(revision=revision, revisions=commits(2_000, 430))
    assert min(len(large_job), len(body(large_push))) > 1_000_000
    outcome, *_ = judge.judge(topics.JOBS_INBOX, Sent(large_job))
    assert outcome.only.value == large_job
    judge.judge(topics.PUSHES_INBOX, Sent(body(large_push)))
    (joined,) = judge.joined(outcome)
    assert joined.value == joining.joined(large_job, orjson.dumps(large_push), b"success")


def test_a_push_does_not_grow_without_bound(judge: Judge) -> None:
    revision = "c" * 40
    # Each brings the messages of other commits.
    parts = [
        push(revision=revision, revisions=commits(1_200, 8_000, first, first + 100))
        for first in range(0, 1_200, 100)
    ]
    judge.judge(topics.PUSHES_INBOX, *(Sent(body(one)) for one in parts))
    (outcome,) = judge.judge(topics.JOBS_INBOX, Sent(body(job(revision=revision))))
    (joined,) = judge.joined(outcome)
    known = [one.get("comment") for one in joined.json["push"]["revisions"]]
    taken = known.index(None)
    assert known == ["c" * 8_000] * taken + [None] * (1_200 - taken)
    assert 3 * MIB < len(joined.value or b"") < 5 * MIB
    letters = [
        one
        for one in judge.system.read(topics.PUSHES_DEAD_LETTER)
        if one.header(headers.ERROR_REASON) == dead_letters.INVALID_PUSH
    ]
    assert [one.json for one in letters] == parts[taken // 100 :]


def test_what_is_small_only_while_it_is_compressed_is_not_taken(judge: Judge) -> None:
    async def send() -> None:
        async with AIOKafkaProducer(
            bootstrap_servers=judge.system.kafka.url,
            compression_type="gzip",
            max_batch_size=100 * MIB,
        ) as producer:
            batch = producer.create_batch()
            for _ in range(50):
                batch.append(key=None, value=b"0" * MIB, timestamp=None)
            await (await producer.send_batch(batch, topics.JOBS_INBOX, partition=0))

    with pytest.raises(MessageSizeTooLargeError):
        asyncio.run(send())


def test_a_list_of_nothing_good_under_large_headers(judge: Judge) -> None:
    value = b"[" + b"17," * 9_999 + b"17]"
    small, large = judge.judge(
        topics.JOBS_INBOX,
        Sent(value, headers=[("pulse.x", b"x" * 1_000)]),
        Sent(value, headers=[("pulse.x", b"x" * 8_000)]),
    )
    assert len(small.outputs) == 10_000
    # Repeated by each item, such headers would be 80 MB.
    assert len(large.outputs) == 1


def test_records_that_are_all_headers(judge: Judge) -> None:
    flood = [Sent(b"", headers=[("x", b"x" * 900_000)]) for _ in range(250)]
    assert all(one.only.value == b"" for one in judge.judge(topics.JOBS_INBOX, *flood))
