"""Records of exactly the largest size at every hop, and one byte more.

Kafka's `max.message.bytes` counts the batch that a record travels in; a record alone has its own.
"""

from collections.abc import Callable, Iterator, Sequence

import pytest
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from local.kafka import Kafka
from local.rabbitmq import RabbitMQ
from local.reader import Read
from pipeline import dead_letters, joining, pushes
from pipeline.pending import Waiting
from pulseload import headers, topics
from pulseload.headers import Header
from tests.examples import body, job, push, task_id
from tests.system.harness import Sent, System
from tests.system.pulse import Pulse

MIB = 1_048_576
CARRIED = ("pulse.x", b"\0" * 8_000)
"""As much of a header as is carried on; as JSON in a row it is six times as long."""


@pytest.fixture(scope="module")
def system(
    kafka: Kafka, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[System]:
    """One worker for all of it, that must be there at the end."""
    rabbitmq.start()
    own = System(kafka, Pulse(rabbitmq, "sizes"), tmp_path_factory.mktemp("sizes"))
    try:
        own.prepare()
        worker = own.worker()
        worker.wait_for("ready; working")
        yield own
        assert worker.running
        assert worker.log.count("ready; working") == 1
        assert worker.terminate() == 0
        assert "Traceback" not in worker.log
    finally:
        own.close()
        rabbitmq.delete_vhost("sizes")


def batch_size(record: Sent) -> int:
    """Return how large the batch of one record is."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=0,
        producer_id=-1,
        producer_epoch=-1,
        base_sequence=-1,
        batch_size=64 * MIB,
    )
    builder.append(0, 0, record.key, record.value, list(record.headers))
    return int(builder.size())


def filled(limit: int, record: Callable[[int], Sent]) -> Sent:
    """Return a record whose batch has exactly a size; `record` makes one with some bytes more."""
    spare = limit
    for _ in range(5):
        # Lengths are written in as few bytes as they need: what is cut off is not what is saved.
        spare += limit - batch_size(record(spare))
    assert batch_size(record(spare)) == limit
    return record(spare)


def one_more(system: System, topic: str, limit: int, record: Callable[[int], Sent]) -> None:
    """Kafka must refuse what is one byte larger, else the limit is not where it is thought."""
    with pytest.raises(MessageSizeTooLargeError):
        system.produce(topic, filled(limit + 1, record))


def padded_job(number: int, revision: str, spare: int) -> bytes:
    document = job(revision=revision, taskId=task_id(number), jobInfo={"summary": ""})
    return body(document).replace(b'"summary": ""', b'"summary": "%b"' % (b"x" * spare))


def of(system: System, topic: str, key: bytes, count: int = 1) -> list[Read]:
    """Wait for so many records of a key, and return all that are there."""
    found = system.read(topic, until=lambda all_: sum(r.key == key for r in all_) >= count)
    return [one for one in found if one.key == key]


def letters(system: System, topic: str, key: bytes | None, value: bytes | None) -> list[Read]:
    def same(records: Sequence[Read]) -> list[Read]:
        return [one for one in records if (one.key, one.value) == (key, value)]

    return same(system.read(topic, until=same))


def commit(number: int, spare: int = 0) -> dict[str, str]:
    """Return a commit with a message so long; one without a message has none."""
    return {"revision": f"{number:040x}", **({"comment": "c" * spare} if spare else {})}


def known(system: System, revision: str) -> None:
    """Let a push be known."""
    system.produce(topics.PUSHES_INBOX, body(push(revision=revision)))
    of(system, topics.changelog("pulseload", joining.PUSHES), f"try:{revision}".encode())


def test_the_largest_job_of_an_inbox_is_joined(system: System) -> None:
    revision = "1" * 40
    known(system, revision)

    def record(spare: int) -> Sent:
        return Sent(padded_job(1, revision, spare), headers=[CARRIED])

    one_more(system, topics.JOBS_INBOX, topics.INPUT_MAX_BYTES, record)
    largest = filled(topics.INPUT_MAX_BYTES, record)
    system.produce(topics.JOBS_INBOX, largest)
    (joined,) = of(system, topics.JOBS_JOINED, task_id(1).encode())
    assert joined.value is not None
    assert largest.value is not None
    assert joined.value.startswith(b'{"job":%b,"push":' % largest.value)


@pytest.mark.parametrize("part", ["value", "key", "header"])
def test_the_largest_bad_records_of_an_inbox_are_dead_letters(system: System, part: str) -> None:
    def record(spare: int) -> Sent:
        fill = b"\xff" * spare
        if part == "value":
            return Sent(fill, b"bad", [CARRIED])
        if part == "key":
            return Sent(b"bad", fill, [CARRIED])
        return Sent(b"bad", b"bad header", [CARRIED, ("other", fill)])

    for topic, out in (
        (topics.JOBS_INBOX, topics.JOBS_DEAD_LETTER),
        (topics.PUSHES_INBOX, topics.PUSHES_DEAD_LETTER),
    ):
        one_more(system, topic, topics.INPUT_MAX_BYTES, record)
        largest = filled(topics.INPUT_MAX_BYTES, record)
        system.produce(topic, largest)
        (letter,) = letters(system, out, largest.key, largest.value)
        assert letter.headers["pulse.x"] == CARRIED[1]
        assert "other" not in letter.headers


def test_the_largest_list_of_small_items_is_judged(system: System) -> None:
    def record(spare: int) -> Sent:
        items = b",".join([b"17"] * 9_999)
        return Sent(b"[%b,%b]" % (items, b'"%b"' % (b"x" * spare)), b"largest list")

    largest = filled(topics.INPUT_MAX_BYTES, record)
    system.produce(topics.JOBS_INBOX, largest)
    found = of(system, topics.JOBS_DEAD_LETTER, b"largest list", 10_000)
    assert len(found) == 10_000


def test_the_largest_push_of_an_inbox_is_known(system: System) -> None:
    revision = "2" * 40

    def record(spare: int) -> Sent:
        return Sent(body(push(revision=revision, revisions=[commit(1, spare)])))

    one_more(system, topics.PUSHES_INBOX, topics.INPUT_MAX_BYTES, record)
    system.produce(topics.PUSHES_INBOX, filled(topics.INPUT_MAX_BYTES, record))
    system.produce(topics.JOBS_INBOX, padded_job(2, revision, 0))
    (joined,) = of(system, topics.JOBS_JOINED, task_id(2).encode())
    assert len(joined.value or b"") > topics.INPUT_MAX_BYTES - 10_000


def test_the_largest_of_inner_topics_wait_and_are_joined_with_the_largest_push(
    system: System,
) -> None:
    revision, job_id = "3" * 40, b"largest inner"
    key, limit = f"try:{revision}".encode(), topics.INNER_MAX_BYTES
    own: list[Header] = [(headers.JOB_ID, job_id), CARRIED]

    def inner_job(spare: int) -> Sent:
        return Sent(padded_job(3, revision, spare), key, own)

    def inner_push(spare: int) -> Sent:
        return Sent(pushes.dump(push(revision=revision, revisions=[commit(1, spare)])), key)

    for topic, record in ((topics.JOBS_VALID, inner_job), (topics.PUSHES, inner_push)):
        one_more(system, topic, limit, record)
    largest = filled(limit, inner_job)
    system.produce(topics.JOBS_VALID, largest)
    row = (joining.group(key) + b"\0", topics.changelog("pulseload", joining.PENDING))
    system.read(row[1], until=lambda all_: any((r.key or b"").startswith(row[0]) for r in all_))
    first = filled(limit, inner_push)
    assert first.value is not None
    system.produce(topics.PUSHES, first)
    assert largest.value is not None
    (joined,) = of(system, topics.JOBS_JOINED, job_id)
    assert joined.value == joining.joined(largest.value, first.value, b"unknown")

    def grown(spare: int) -> bytes:
        return pushes.dump(push(revision=revision, revisions=[commit(1), commit(2, spare)]))

    spare = joining.MAX_PUSH_BYTES - len(pushes.merge(first.value, grown(1))) + 1
    most, too_much = grown(spare), grown(spare + 1)
    assert len(pushes.merge(first.value, most)) == joining.MAX_PUSH_BYTES
    system.produce(topics.PUSHES, Sent(too_much, key))
    (letter,) = letters(system, topics.PUSHES_DEAD_LETTER, key, too_much)
    assert letter.header(headers.ERROR_REASON) == dead_letters.INVALID_PUSH
    system.produce(topics.PUSHES, Sent(most, key))
    system.produce(topics.JOBS_VALID, largest)
    _, largest_joined = of(system, topics.JOBS_JOINED, job_id, 2)
    merged = pushes.merge(first.value, most)
    assert largest_joined.value == joining.joined(largest.value, merged, b"unknown")
    assert 7 * MIB - 20_000 < len(largest_joined.value) < topics.OUTER_MAX_BYTES


@pytest.mark.parametrize("part", ["value", "key"])
def test_the_largest_strange_records_of_inner_topics_are_dead_letters(
    system: System, part: str
) -> None:
    def record(spare: int) -> Sent:
        fill = b"\xff" * spare
        value, key = (fill, b"strange") if part == "value" else (b"strange", fill)
        return Sent(value, key, [CARRIED])

    for topic, out in (
        (topics.JOBS_VALID, topics.JOBS_DEAD_LETTER),
        (topics.PUSHES, topics.PUSHES_DEAD_LETTER),
    ):
        one_more(system, topic, topics.INNER_MAX_BYTES, record)
        largest = filled(topics.INNER_MAX_BYTES, record)
        system.produce(topic, largest)
        (letter,) = letters(system, out, largest.key, largest.value)
        assert letter.header(headers.ERROR_REASON) == dead_letters.NOT_VALIDATED


@pytest.mark.parametrize("part", ["value", "key", "zeros"])
def test_the_largest_rows_wait(system: System, part: str) -> None:
    """Nobody's jobs, with a key of any bytes: what a row holds beside the job grows most."""
    job_id = f"row {part}".encode()

    def record(spare: int) -> Sent:
        key = {"value": b"row value", "key": b"k" * spare, "zeros": b"\0" * spare}[part]
        value = b"x" * spare if part == "value" else b"{}"
        return Sent(value, key, [(headers.JOB_ID, job_id), CARRIED])

    largest = filled(topics.INNER_MAX_BYTES, record)
    system.produce(topics.JOBS_VALID, largest)
    assert largest.key is not None
    prefix = joining.group(largest.key) + b"\0"
    changelog = topics.changelog("pulseload", joining.PENDING)
    rows = system.read(
        changelog, until=lambda all_: any((r.key or b"").startswith(prefix) for r in all_)
    )
    (row,) = [one for one in rows if (one.key or b"").startswith(prefix)]
    assert row.value is not None
    assert Waiting.unpack(row.value).job == largest.value
