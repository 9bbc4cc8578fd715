"""A loop by hand over confluent-kafka: as fast as two stages in one Python process can well be.

No framework, and nothing that one would bring: state is dicts, and a failure ends the process, so
that a supervisor starts it anew and the changelogs bring the dicts back. Each stage is a thread:
while one waits for the broker or librdkafka works, the other computes. A transaction holds what
one call of `consume` gave: outputs, changelog records, offsets. One process is all there can be of
it, for a second one would fence the first.

Tuned: batches of up to 5,000 records, so that transactions cost little; librdkafka fetches four
ahead, and goes on soon after its queue was full. A job crosses from stage to stage as its id, its
result and its bytes, a line each, and its bytes are copied into the output: it is decoded once.
"""

import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from benchmarks.peers import work

BATCH: Final = 5_000
WAIT: Final = 0.1

VALID: Final = f"{work.APP}-valid"
PUSHES_CHANGELOG: Final = f"{work.APP}-pushes-rows"
WAITING_CHANGELOG: Final = f"{work.APP}-waiting-rows"

_MIB: Final = 1_048_576


class Stage:
    """A consumer and a transactional producer."""

    def __init__(self, name: str, topics: list[str], on_assign: Any = None) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": work.SERVERS,
                "group.id": work.APP if name == "join" else f"{work.APP}-{name}",
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                "fetch.message.max.bytes": 4 * _MIB,
                "queued.min.messages": 4 * BATCH,
                # A second, by default, without fetching once the queue is full.
                "fetch.queue.backoff.ms": 10,
                "fetch.wait.max.ms": 50,
            }
        )
        self._producer = Producer(
            {
                "bootstrap.servers": work.SERVERS,
                "transactional.id": f"{work.APP}-{name}",
                # Where Kafka's own clients would put a key.
                "partitioner": "murmur2_random",
                "linger.ms": 5,
            }
        )
        self._producer.init_transactions()
        self.produce = self._producer.produce
        self._reached: dict[tuple[str, int], int] = {}
        self.assigned = threading.Event()

        def assigned(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            if on_assign is not None:
                on_assign({one.partition for one in partitions})
            consumer.assign(partitions)
            self.assigned.set()

        self._consumer.subscribe(topics, on_assign=assigned)

    def batch(self) -> list[Any]:
        """Return what comes next, and begin a transaction if that is anything."""
        messages: list[Any] = self._consumer.consume(BATCH, WAIT)
        for one in messages:
            if one.error():
                raise RuntimeError(one.error())
            # A partition's last one stays.
            self._reached[one.topic(), one.partition()] = one.offset() + 1
        if messages:
            self._producer.begin_transaction()
        return messages

    def commit(self) -> None:
        """Commit what was produced, and that the batch was read."""
        reached = [TopicPartition(*place, offset) for place, offset in self._reached.items()]
        self._reached.clear()
        self._producer.send_offsets_to_transaction(
            reached, self._consumer.consumer_group_metadata()
        )
        self._producer.commit_transaction()

    def close(self) -> None:
        """Leave the group."""
        self._consumer.close()


def validate(stage: Stage, end: threading.Event) -> None:
    """Judge jobs and send them on by their pushes."""
    while not end.is_set():
        messages = stage.batch()
        for message in messages:
            raw = message.value()
            if (job := work.valid(raw)) is None:
                stage.produce(work.DEAD, raw)
            else:
                head = f"{job['taskId']}\n{work.result(job)}\n".encode()
                stage.produce(VALID, head + raw, work.push_of(job))
        if messages:
            stage.commit()


class Join:
    """The join stage: pushes that are known, and jobs that wait, both by the key of a push."""

    def __init__(self) -> None:
        self._pushes: dict[bytes, bytes] = {}
        self._waiting: dict[bytes, dict[bytes, bytes]] = {}
        self._count = work.Count()
        self.stage = Stage("join", [VALID, work.PUSHES], self._restore)

    def run(self, end: threading.Event) -> None:
        """Join until asked to end."""
        stage = self.stage
        while not end.is_set():
            messages = stage.batch()
            jobs = 0
            for message in messages:
                key, value = message.key(), message.value()
                if message.topic() == VALID:
                    jobs += 1
                    if (push := self._pushes.get(key)) is not None:
                        self._joined(value, push)
                    else:
                        self._wait(key, value, message.partition())
                else:
                    self._know(key, value, message.partition())
            if messages:
                stage.commit()
                self._count.jobs += jobs

    def _joined(self, value: bytes, push: bytes) -> None:
        job_id, result, raw = value.split(b"\n", 2)
        joined = b'{"job":%b,"push":%b,"result":"%b"}' % (raw, push, result)
        self.stage.produce(work.JOINED, joined, job_id)

    def _wait(self, key: bytes, value: bytes, partition: int) -> None:
        row = key + b"\n" + value[: value.index(b"\n")]
        self._waiting.setdefault(key, {})[row] = value
        self.stage.produce(WAITING_CHANGELOG, value, row, partition)

    def _know(self, key: bytes, push: bytes, partition: int) -> None:
        self._pushes[key] = push
        self.stage.produce(PUSHES_CHANGELOG, push, key, partition)
        for row, value in self._waiting.pop(key, {}).items():
            self._joined(value, push)
            self.stage.produce(WAITING_CHANGELOG, None, row, partition)

    def _restore(self, partitions: Iterable[int]) -> None:
        self._pushes = {
            key: value for key, value in _rows(PUSHES_CHANGELOG, partitions) if value is not None
        }
        self._waiting = {}
        for row, value in _rows(WAITING_CHANGELOG, partitions):
            rows = self._waiting.setdefault(row.partition(b"\n")[0], {})
            if value is None:
                rows.pop(row, None)
            else:
                rows[row] = value


def _rows(topic: str, partitions: Iterable[int]) -> list[tuple[bytes, bytes | None]]:
    """Return the committed records of a changelog, those of a partition in order."""
    consumer = Consumer(
        {
            "bootstrap.servers": work.SERVERS,
            "group.id": f"{work.APP}-restore",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": "read_committed",
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in partitions])
    left = set(partitions)
    rows = []
    while left:
        for one in consumer.consume(BATCH, WAIT):
            if one.error():
                left.discard(one.partition())
            else:
                rows.append((one.key(), one.value()))
    consumer.close()
    return rows


def _make_topics() -> None:
    admin = AdminClient({"bootstrap.servers": work.SERVERS})
    compacted = {"cleanup.policy": "compact"}
    wanted = {VALID: {}, PUSHES_CHANGELOG: compacted, WAITING_CHANGELOG: compacted}
    there = admin.list_topics(timeout=30).topics
    new = [
        NewTopic(name, work.PARTITIONS, 1, config=config)
        for name, config in wanted.items()
        if name not in there
    ]
    for made in admin.create_topics(new).values() if new else ():
        made.result()


def main() -> None:
    """Run both stages until asked to end, or one of them fails."""
    end = work.asked_to_end()
    _make_topics()
    failures: list[BaseException] = []

    def run(stage: Stage, work_on: Callable[[threading.Event], None]) -> None:
        try:
            work_on(end)
        except BaseException as failure:
            failures.append(failure)
            raise
        finally:
            end.set()
            stage.assigned.set()
            stage.close()

    join = Join()
    threads = []
    for stage, work_on in (
        (join.stage, join.run),
        (first := Stage("validate", [work.JOBS]), lambda end: validate(first, end)),
    ):
        threads.append(threading.Thread(target=run, args=(stage, work_on)))
        threads[-1].start()
        stage.assigned.wait()
    work.tell("ready")
    for thread in threads:
        thread.join()
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
