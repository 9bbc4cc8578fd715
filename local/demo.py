"""`bin/demo`: the whole of pulseload on sample jobs, with brokers of its own."""

import argparse
import asyncio
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Final, NamedTuple

from aiokafka import AIOKafkaProducer
from kombu import Connection, Producer

from local import sample
from local.reader import Read, read_all
from local.stack import Ports, Stack
from pulseload import headers, settings, topics
from pulseload.errors import Failure
from pulseload.settings import Settings

TIMEOUT: Final = 60
"""Seconds within which the numbers must be what they will be; it takes one or two."""


class Numbers(NamedTuple):
    """How many jobs stand where, as counted in Kafka."""

    joined: int
    waiting: int
    dead: int
    expired: int


class Demo:
    """The story that the demo tells, on a stack that runs."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._settings = stack.settings
        self._submitted = 0
        self._without_push: Counter[sample.Push | None] = Counter()
        self._known: set[sample.Push] = set()

    def tell(self) -> str:
        """Go through it all, and return the last line; raises Failure where it goes wrong."""
        _say("\nJobs come, and nobody has heard of their pushes yet:")
        for message in sample.early():
            self._publish(message)
        self._write(topics.JOBS_INBOX, sample.inbox(), "a job of autoland, without Pulse")
        self._count_in(sample.AUTOLAND, 1, 1)
        numbers = self._settled()
        _say(f"{numbers.waiting} jobs wait for their pushes. {numbers.dead} are no jobs:")
        for letter in self._read(topics.JOBS_DEAD_LETTER):
            _say(f"  {letter.header(headers.ERROR_REASON)}: {letter.header(headers.ERROR_MESSAGE)}")

        _say("\nThe pushes of autoland and try come:")
        for push in (sample.AUTOLAND, sample.TRY):
            said = f"{push.project} {push.revision[:12]}"
            self._send(sample.HG_PUSHES, push.path, push.hg_message, "application/json", said)
            self._known.add(push)
        numbers = self._settled()
        _say(f"{numbers.joined} jobs are joined, {numbers.waiting} still wait.")

        _say("\nSomeone tells of the push of mozilla-inbound, and one more job of autoland comes:")
        push = sample.INBOUND
        self._write(topics.PUSHES_INBOX, push.record, f"{push.project} {push.revision[:12]}")
        self._known.add(push)
        self._publish(sample.late())
        numbers = self._settled()
        _say(f"{numbers.joined} jobs are joined, {numbers.waiting} waits for a push to come:")
        for joined in self._read(topics.JOBS_JOINED):
            job, of = joined.json["job"]["display"], joined.json["push"]
            _say(f"  {job['jobName']:27} {of['project']:16} {of['revision'][:12]} {of['author']}")
        return (
            f"submitted {self._submitted} joined {numbers.joined} waiting {numbers.waiting} "
            f"dead-lettered {numbers.dead} expired {numbers.expired}"
        )

    def _publish(self, one: sample.Message) -> None:
        self._send(one.exchange, one.routing_key, one.body, one.content_type, one.what)
        self._count_in(one.push, one.jobs, one.valid)

    def _count_in(self, push: sample.Push | None, jobs: int, valid: int) -> None:
        self._submitted += jobs
        self._without_push[push] += valid

    def _send(self, exchange: str, key: str, body: bytes, content_type: str, what: str) -> None:
        options = {"confirm_publish": True}
        with Connection(self._stack.rabbitmq.url, transport_options=options) as connection:
            Producer(connection).publish(
                body,
                exchange=exchange,
                routing_key=key,
                content_type=content_type,
                content_encoding="utf-8",
                delivery_mode=2,
            )
        _say(f"  {exchange:40}{what}")

    def _write(self, topic: str, value: bytes, what: str) -> None:
        asyncio.run(_produce(self._stack.kafka.url, topic, value))
        _say(f"  {topic:40}{what}")

    def _read(self, topic: str) -> list[Read]:
        return read_all(self._stack.kafka.url, topic)

    def _settled(self) -> Numbers:
        """Wait until every job has its place, and return what Kafka then holds."""
        waiting = sum(
            count for push, count in self._without_push.items() if push not in self._known
        )
        end = time.monotonic() + TIMEOUT
        while sum(numbers := self._count()) != self._submitted or numbers.waiting != waiting:
            for process in (self._stack.bridge, self._stack.worker):
                if not process.running:
                    raise Failure(f"the {process.name} has ended: {process.tail(1)}")
            if time.monotonic() > end:
                raise Failure(f"of {self._submitted} jobs there are, after {TIMEOUT} s: {numbers}")
        return numbers

    def _count(self) -> Numbers:
        table = topics.changelog(self._settings.pulseload_app_id, "pending-jobs")
        rows = {record.key: record.value for record in self._read(table)}
        return Numbers(
            joined=len(self._read(topics.JOBS_JOINED)),
            waiting=sum(value is not None for value in rows.values()),
            dead=len(self._read(topics.JOBS_DEAD_LETTER)),
            expired=len(self._read(topics.JOBS_EXPIRED)),
        )


async def _produce(servers: str, topic: str, value: bytes) -> None:
    async with AIOKafkaProducer(bootstrap_servers=servers, acks="all") as producer:
        await producer.send_and_wait(topic, value)


def run() -> str:
    """Start everything in a folder of its own, tell the story, end everything; return its end."""
    # What the user has set is for the user's own brokers.
    known = {settings.CONFIG, *(name.upper() for name in Settings.__dataclass_fields__)}
    environ = {name: value for name, value in os.environ.items() if name not in known}
    with tempfile.TemporaryDirectory(prefix="pulseload-demo-") as folder:
        stack = Stack(Path(folder), Ports.free(), environ, Path(folder))
        try:
            _say("A real Kafka and a real RabbitMQ start, for this demo alone …")
            stack.start_brokers()
            _say("… then the bridge (Pulse to Kafka) and a worker (validate and join) …")
            stack.start_programs()
            return Demo(stack).tell()
        except Exception:
            for name, process in stack.logs.items():
                print(f"---- the log of {name}\n{process.tail()}", file=sys.stderr)
            raise
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, signal.SIG_IGN)
            stack.kill()
            _say("\nEverything is ended and cleaned up.")


def _say(text: str) -> None:
    print(text, flush=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> None:
    """Run the demo."""
    argparse.ArgumentParser(
        prog="bin/demo",
        description="Start a real Kafka, a real RabbitMQ, the bridge and a worker on free ports "
        "and in a temporary folder, publish sample jobs whose pushes come late, and show what "
        "becomes of them. Nothing is left running.",
    ).parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        last = run()
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(last)


if __name__ == "__main__":
    main()
