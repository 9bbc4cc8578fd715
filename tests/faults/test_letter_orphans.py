"""Transactions of a replay whose end Kafka forgets: aborted, and done anew."""

from collections import Counter
from collections.abc import Iterator

import pytest

from local.kafka import Kafka
from pulseload import topics
from tests.faults.orphans import held_up, trusting_kafka
from tests.system.command import run
from tests.system.harness import BIN, Sent, System

FORGETFUL = """
from aiokafka import TopicPartition
from aiokafka.producer.transaction_manager import TransactionManager
from commands.main import main

begin = TransactionManager.begin_transaction

def begin_unknown(manager):
    begin(manager)
    manager._txn_partitions |= {{TopicPartition(*place) for place in {places}}}

TransactionManager.begin_transaction = begin_unknown
main(["dead-letters", "replay", "--yes"])
"""
"""A replay whose transactions Kafka's coordinator does not know to have written to some places."""

MARKS = (topics.REPLAYED, 1)
INBOX = (topics.JOBS_INBOX, 1)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running Kafka that takes what belongs to a transaction it does not know of."""
    with trusting_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.mark.parametrize("forgotten", [[MARKS], [MARKS, INBOX]], ids=["marks", "inbox-too"])
def test_what_kafka_forgot_of_a_replay_is_aborted_and_done_anew(
    system: System, forgotten: list[tuple[str, int]]
) -> None:
    values = [b"%d" % number for number in range(20)]
    # Of another partition, so that Kafka's coordinator knows of something.
    known = Sent(b"known", partition=0)
    system.produce(topics.JOBS_DEAD_LETTER, known, *(Sent(one, partition=1) for one in values))
    program = FORGETFUL.format(places=forgotten)
    before = system.program("forgotten", str(BIN / "python"), "-c", program)
    assert before.wait() == 0
    assert topics.REPLAYED in held_up(system, topics.REPLAYED)
    done = run(system, "dead-letters", "replay", "--yes")
    assert done.returncode == 0
    assert "Kafka lost the end of a transaction of an earlier replay" in done.stderr
    assert done.stdout == "sent 20 to jobs.inbox; left: 1 sent before\n"
    assert not held_up(system, topics.REPLAYED, topics.JOBS_INBOX)
    counts = Counter(one.value for one in system.read(topics.JOBS_INBOX))
    # What Kafka had committed is there twice.
    each = 1 if INBOX in forgotten else 2
    assert counts == {b"known": 1, **dict.fromkeys(values, each)}
    again = run(system, "dead-letters", "replay", "--yes")
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == "sent none; left: 21 sent before\n"


KILLED = """
import os
import signal

from aiokafka import AIOKafkaProducer
from commands.main import main
from letters.sender import Sender

async def killed(producer):
    os.kill(os.getpid(), signal.SIGKILL)

commit = Sender._commit

async def at_the_first(sender):
    AIOKafkaProducer.commit_transaction = killed
    await commit(sender)

Sender._commit = at_the_first
main(["dead-letters", "replay", "--yes"])
"""
"""A replay that is killed with its first batch sent and not committed."""


def test_what_kafka_forgot_in_the_inbox_alone_is_not_lost_with_the_next_replay(
    system: System,
) -> None:
    values = [b"%d" % number for number in range(20)]
    known = Sent(b"known", partition=0)
    system.produce(topics.JOBS_DEAD_LETTER, known, *(Sent(one, partition=1) for one in values))
    program = FORGETFUL.format(places=[INBOX])
    assert system.program("forgotten", str(BIN / "python"), "-c", program).wait() == 0
    assert topics.JOBS_INBOX in held_up(system, topics.JOBS_INBOX)
    system.produce(topics.JOBS_DEAD_LETTER, Sent(b"new", partition=1))
    assert system.program("killed", str(BIN / "python"), "-c", KILLED).wait() != 0
    done = run(system, "dead-letters", "replay", "--yes")
    assert done.stdout == "sent 1 to jobs.inbox; left: 21 sent before\n"
    assert not held_up(system, topics.REPLAYED, topics.JOBS_INBOX)
    counts = Counter(one.value for one in system.read(topics.JOBS_INBOX))
    assert counts == Counter([b"known", b"new", *values])
