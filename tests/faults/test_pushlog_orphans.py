"""Transactions of the pushlog bridge whose end Kafka forgets: aborted, and taken anew."""

import signal
from collections import Counter
from collections.abc import Iterator

import pytest

from local.kafka import Kafka
from pulseload.partitions import partition_of
from pulseload.topics import PUSHES_INBOX, PUSHLOG_CURSORS
from tests.faults.orphans import held_up, trusting_kafka
from tests.pushlogs import Server
from tests.system.harness import BIN, System, eventually
from tests.system.polling import begun, ended, poll, taken

LOST = "Kafka lost the end of a transaction of pulseload-pushlog"
KNOWN = 0
"""The partition of `pushes.inbox` of which Kafka's coordinator always knows."""

FORGETFUL = """
from aiokafka import TopicPartition
from aiokafka.producer.transaction_manager import TransactionManager
from bridges.pushlog import __main__

begin = TransactionManager.begin_transaction

def begin_unknown(manager):
    begin(manager)
    manager._txn_partitions |= {{TopicPartition(*place) for place in {places}}}

TransactionManager.begin_transaction = begin_unknown
__main__.main()
"""
"""A bridge whose transactions Kafka's coordinator does not know to have written to some places."""

DYING = """
import os, signal
from aiokafka import AIOKafkaProducer
from bridges.pushlog import __main__

AIOKafkaProducer.abort_transaction = lambda _: os.kill(os.getpid(), signal.SIGKILL)
__main__.main()
"""
"""A bridge that ends as soon as it aborts anything."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running Kafka that takes what belongs to a transaction it does not know of."""
    with trusting_kafka(tmp_path_factory.mktemp("kafka")) as broker:
        yield broker


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(["one"]) as running:
        yield running


def orphan(system: System, server: Server, *places: tuple[str, int]) -> None:
    """Have a bridge take twenty pushes in a transaction that Kafka forgets in some places."""
    bridge = poll(system, server, "before")
    begun(system, server, bridge)
    ended(bridge)
    server["one"].push(20)
    program = FORGETFUL.format(places=places)
    bridge = poll(system, server, "forgotten", (str(BIN / "python"), "-c", program))
    # What Kafka knows of shows that it has ended the transaction.
    eventually(lambda: taken(system, server["one"]), "some of the pushes are committed")
    bridge.kill()
    assert PUSHLOG_CURSORS in held_up(system, PUSHLOG_CURSORS)


CURSORS = [(PUSHLOG_CURSORS, number) for number in range(4)]
OTHERS = [(PUSHES_INBOX, number) for number in range(4) if number != KNOWN]


@pytest.mark.parametrize("forgotten", [CURSORS, CURSORS + OTHERS], ids=["cursors", "pushes-too"])
def test_what_kafka_forgot_of_push_logs_is_aborted_and_taken_anew(
    system: System, server: Server, forgotten: list[tuple[str, int]]
) -> None:
    one = server["one"]
    orphan(system, server, *forgotten)
    bridge = poll(system, server)
    assert LOST in bridge.log
    begun(system, server, bridge)
    assert not held_up(system, PUSHLOG_CURSORS, PUSHES_INBOX)
    counts = Counter(record.json["revision"] for record in taken(system, one))
    # What Kafka had committed is there twice.
    assert counts == {
        revision: 1
        if (PUSHES_INBOX, partition_of(f"one:{revision}".encode(), 4)) in forgotten
        else 2
        for revision in one.revisions()
    }
    one.push(5)
    begun(system, server, bridge)
    assert len(taken(system, one)) == counts.total() + 5
    ended(bridge)


def test_a_pushlog_bridge_that_ends_before_it_aborts_what_kafka_forgot(
    system: System, server: Server
) -> None:
    orphan(system, server, *CURSORS, *OTHERS)
    dying = system.program("dying", str(BIN / "python"), "-c", DYING)
    assert dying.wait() == -signal.SIGKILL
    assert LOST in dying.log
    bridge = poll(system, server)
    begun(system, server, bridge)
    assert not held_up(system, PUSHLOG_CURSORS, PUSHES_INBOX)
    assert {one.json["revision"] for one in taken(system, server["one"])} == set(
        server["one"].revisions()
    )
    ended(bridge)
