"""A Kafka of three nodes on this machine, each a process of its own, broker and controller."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar, cast

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from local import ports
from local.kafka import Kafka, cluster_id
from local.reader import Read
from tests.system.command import run
from tests.system.harness import TIMEOUT, System, eventually
from tests.system.pulse import Pulse

NODES = (1, 2, 3)
SHARED = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "min.insync.replicas": "2",
    # A node that lags this long no longer counts as in sync.
    "replica.lag.time.max.ms": "5000",
}

Answer = TypeVar("Answer")


def insist(question: Callable[[], Answer]) -> Answer:
    """Ask again until there is an answer: a client may have turned to a node that is away."""
    end = time.monotonic() + TIMEOUT
    while True:
        try:
            return question()
        except KafkaError:
            assert time.monotonic() < end, "the other nodes do not answer"
            time.sleep(0.2)


class Cluster:
    """Three nodes; what belongs in a topic is on all of them, and two must have each record."""

    def __init__(self, home: Path) -> None:
        taken = ports.free(2 * len(NODES))
        listening = dict(zip(NODES, taken[::2], strict=True))
        voting = dict(zip(NODES, taken[1::2], strict=True))
        voters = ",".join(f"{node}@{ports.HOST}:{port}" for node, port in voting.items())
        cluster = cluster_id()
        self.nodes = {
            node: Kafka(
                home / str(node),
                listening[node],
                voting[node],
                heap="256m",
                properties={
                    **SHARED,
                    "node.id": str(node),
                    "controller.quorum.voters": voters,
                },
                cluster=cluster,
            )
            for node in NODES
        }

    @property
    def url(self) -> str:
        """`host:port` of all nodes, as Kafka's clients take it."""
        return ",".join(node.url for node in self.nodes.values())

    def start(self) -> None:
        """Start the nodes that do not run, and wait until all have joined."""
        for node in self.nodes.values():
            node.begin()
        for node in self.nodes.values():
            node.wait()
        self.settled()

    def settled(self) -> None:
        """Wait until every replica of every partition is in sync."""

        async def whole(admin: AIOKafkaAdminClient) -> bool:
            if len((await admin.describe_cluster())["brokers"]) < len(NODES):
                return False
            return all(
                sorted(partition["isr"]) == sorted(partition["replicas"])
                for topic in await admin.describe_topics()
                for partition in topic["partitions"]
            )

        eventually(lambda: self.ask(whole), "all replicas are in sync", timeout=180)

    def kill(self) -> None:
        """End all nodes with SIGKILL."""
        for node in self.nodes.values():
            node.kill()

    def ask(self, question: Callable[[AIOKafkaAdminClient], Awaitable[Answer]]) -> Answer:
        """Ask Kafka's administration something."""

        async def asked() -> Answer:
            admin = AIOKafkaAdminClient(bootstrap_servers=self.url)
            await admin.start()
            try:
                return await question(admin)
            finally:
                await admin.close()

        return insist(lambda: asyncio.run(asked()))

    def leader(self, *topics: str) -> int:
        """Return the node that leads most partitions of some topics."""

        async def leaders(admin: AIOKafkaAdminClient) -> Counter[int]:
            found: list[dict[str, Any]] = await admin.describe_topics(list(topics))
            return Counter(part["leader"] for topic in found for part in topic["partitions"])

        ((node, _),) = self.ask(leaders).most_common(1)
        return node

    def coordinator(self, name: str, *, of_transactions: bool = False) -> int:
        """Return the node that coordinates a group, or a transactional id."""

        async def found(admin: AIOKafkaAdminClient) -> int:
            return int(await admin.find_coordinator(name, int(of_transactions)))

        return self.ask(found)


class ClusterSystem(System):
    """A system on a cluster; its topics are made as a user makes them."""

    def __init__(self, cluster: Cluster, pulse: Pulse, folder: Path) -> None:
        # Of a Kafka only its URL is asked for.
        super().__init__(cast(Kafka, cluster), pulse, folder)
        self.cluster = cluster
        self.env["PULSELOAD_REPLICATION"] = str(len(NODES))

    def read(self, topic: str, **how: Any) -> list[Read]:
        """Return a topic's records, though a node be away; see `read_all`."""
        return insist(lambda: super(ClusterSystem, self).read(topic, **how))

    def prepare(self) -> "ClusterSystem":
        """Make the topics."""
        done = run(self, "topics")
        assert done.returncode == 0, done.stderr
        self.cluster.settled()
        return self
