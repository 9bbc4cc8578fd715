"""Kafka's own console tools: `python -m local.tools NAME ARGUMENTS…`."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Final

from local import kafka, ports
from pulseload.errors import Failure

TOOLS: Final = {
    "kafka-console-producer": "org.apache.kafka.tools.ConsoleProducer",
    "kafka-console-consumer": "org.apache.kafka.tools.consumer.ConsoleConsumer",
    "kafka-topics": "org.apache.kafka.tools.TopicCommand",
    "kafka-consumer-groups": "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
}


def arguments(given: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return a tool's arguments, with the local Kafka where none is named.

    Raises Failure where the local Kafka does not answer: the tools themselves would wait for it.
    """
    if any(one.split("=")[0] in ("--bootstrap-server", "--help", "--version") for one in given):
        return list(given)
    port = ports.setting("KAFKA_PORT", kafka.PORT, environ)
    if not kafka.answers(port):
        raise Failure(
            f"no Kafka answers at {ports.HOST}:{port}: start it with bin/up, set KAFKA_PORT, or "
            "name another with --bootstrap-server"
        )
    return [*given, "--bootstrap-server", f"{ports.HOST}:{port}"]


def main() -> None:
    """Become the tool that the first argument names."""
    try:
        command = kafka.java(TOOLS[sys.argv[1]], *arguments(sys.argv[2:], os.environ), log="WARN")
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")
    os.execvp(command[0], command)  # noqa: S606 - no shell is wanted


if __name__ == "__main__":
    main()
