"""A real Kafka on this machine: one node in KRaft mode, on 127.0.0.1 alone."""

import base64
import functools
import os
import shutil
import socket
import struct
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from local import ROOT, ports
from local.process import Process
from pulseload.errors import Failure

PORT: Final = 9092
"""Where a Kafka is looked for unless `KAFKA_PORT` says otherwise."""

START_TIMEOUT: Final = 120
"""Seconds; it takes 5 on an idle laptop."""

_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
group.initial.rebalance.delay.ms=0
# A killed broker may come back once its old session has run out.
broker.session.timeout.ms=5000
broker.heartbeat.interval.ms=500
# One node, and quick to start.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
# The largest record of any topic, so that a second node could follow.
replica.fetch.max.bytes=16777216
"""


@functools.cache
def version() -> str:
    """Return the version of Kafka that `local/pom.xml` names."""
    namespace = "{http://maven.apache.org/POM/4.0.0}"
    found = ElementTree.parse(ROOT / "local/pom.xml").findtext(  # noqa: S314 - our own file
        f"{namespace}properties/{namespace}kafka.version"
    )
    if not found:
        raise Failure("local/pom.xml names no kafka.version: restore the file")
    return found


_YOUNG: Final = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
"""For a Java that is young or ends soon: no time spent on code that is to run for long."""
_SHORT: Final = (*_YOUNG, "-Xmx256m")


def java(
    main: str, *arguments: str, options: Sequence[str] = _SHORT, log: str = "ERROR"
) -> list[str]:
    """Return the command line that runs a class of Kafka's jars, with options of Java.

    `log` is the least level of log lines that are printed, on standard error. Raises Failure
    where Java or the jars are missing.
    """
    jars = ROOT / f".local/kafka-{version()}/lib"
    if not jars.is_dir() or shutil.which("java") is None:
        raise Failure("Kafka's jars or Java are not installed: run bin/install")
    return [
        "java",
        *options,
        f"-Dlog4j2.configurationFile={ROOT / 'local/log4j2.properties'}",
        f"-Dpulseload.log={log}",
        "-cp",
        f"{jars}/*",
        main,
        *arguments,
    ]


def answers(port: int) -> bool:
    """Whether a Kafka at this port names at least one broker, itself, to its clients."""
    # Metadata, version 1, correlation 1, no client id, no topics.
    request = struct.pack(">hhihi", 3, 1, 1, -1, 0)
    try:
        with socket.create_connection((ports.HOST, port), timeout=2) as connection:
            connection.sendall(struct.pack(">i", len(request)) + request)
            with connection.makefile("rb") as reply:
                head = reply.read(12)
    except OSError:
        return False
    return len(head) == 12 and struct.unpack(">iii", head)[2] > 0


class Kafka:
    """One Kafka whose data lives in `<home>/kafka` and survives any stop.

    Every method may be called in any state; another Python process may have started it.
    `properties` replace or add to what is set here, and `cluster` is the id of the cluster it
    belongs to: with both it can be one node of several.
    """

    def __init__(
        self,
        home: Path,
        port: int,
        controller_port: int,
        heap: str = "512m",
        properties: Mapping[str, str] | None = None,
        cluster: str | None = None,
    ) -> None:
        self.port = port
        self.process = Process(home, "kafka")
        self._home = home / "kafka"
        self.controller_port = controller_port
        self._heap = heap
        self._cluster = cluster or cluster_id()
        # Of two lines for one property Java takes the last.
        self._properties = "".join(f"{k}={v}\n" for k, v in (properties or {}).items())

    @property
    def url(self) -> str:
        """`host:port`, as Kafka's clients take it."""
        return f"{ports.HOST}:{self.port}"

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self.process.running

    def start(self) -> None:
        """Start it, unless it runs, and wait until it answers.

        Raises Failure where a port is taken, Java is missing or it ends at once.
        """
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it, unless it runs, without waiting; raises as `start` does."""
        properties = self._home / "server.properties"
        wanted = _PROPERTIES.format(
            port=self.port, controller_port=self.controller_port, data=self._data
        )
        wanted += self._properties
        if self.running:
            if properties.read_text() != wanted:
                raise Failure(f"Kafka runs in {self._home} with other ports: stop it first")
            return
        ports.check({"Kafka": self.port, "Kafka's controller": self.controller_port})
        self._home.mkdir(parents=True, exist_ok=True)
        properties.write_text(wanted)
        if not (self._data / "meta.properties").exists():
            self._format(properties)
        options = [f"-Xmx{self._heap}", "-XX:+ExitOnOutOfMemoryError", *_YOUNG]
        self.process.start(
            java("kafka.Kafka", str(properties), options=options, log="WARN"), cwd=self._home
        )

    def wait(self) -> None:
        """Wait until it answers; raises as `start` does."""
        self.process.wait_until(lambda: answers(self.port), START_TIMEOUT)

    def stop(self) -> None:
        """End it in good order; nothing of it is left running."""
        self.process.stop()

    def kill(self) -> None:
        """End it with SIGKILL, as a power cut would."""
        self.process.kill()

    @property
    def _data(self) -> Path:
        return self._home / "data"

    def _format(self, properties: Path) -> None:
        command = java(
            "kafka.tools.StorageTool", "format", "-t", self._cluster, "-c", str(properties)
        )
        done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=self._home)
        if done.returncode:
            raise Failure(f"Kafka's storage in {self._data} cannot be set up: {_last(done.stderr)}")


def cluster_id() -> str:
    """Return an id for a new cluster."""
    # The leading zero keeps it from beginning with a dash, which the tool takes for an option.
    return base64.urlsafe_b64encode(b"\0" + os.urandom(15)).decode().rstrip("=")


def _last(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]
