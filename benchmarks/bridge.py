"""Messages per second that a bridge copies to Kafka, beside kombu that does nothing with them.

Both read the same messages, each from a queue of its own, in turns. For the bridge the clock runs
from the broker's time of the first record to that of the last; for kombu from the first message
to the last, as it tells itself.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from benchmarks import load, publishing
from benchmarks.figures import Figure
from benchmarks.ground import Ground, Trial
from benchmarks.size import Size
from pulseload import topics
from pulseload.errors import Failure

MEMORY_MIB: Final = 120

OWN_QUEUE: Final = "queue/guest/jobs"
BARE_QUEUE: Final = "queue/guest/bare"


@dataclass(frozen=True, slots=True)
class Run:
    """One go through a full queue."""

    messages_per_second: float
    cpu_microseconds_per_message: float
    peak_mib: float


@dataclass(frozen=True, slots=True)
class Bridge:
    """The runs of both, of each pair one after the other."""

    messages: int
    bridge: Sequence[Run]
    bare: Sequence[Run]

    @property
    def figures(self) -> Sequence[Figure]:
        """The figures."""
        ours = [run.messages_per_second for run in self.bridge]
        theirs = [run.messages_per_second for run in self.bare]
        ratio = [one / other for one, other in zip(ours, theirs, strict=True)]
        busy = [run.cpu_microseconds_per_message for run in self.bridge]
        busy_bare = [run.cpu_microseconds_per_message for run in self.bare]
        peak = [max(run.peak_mib for run in self.bridge)]
        queue = f"a queue of {self.messages:,}"
        return [
            Figure(f"bridge, from {queue} to Kafka", "messages/s", ours),
            Figure("kombu, doing nothing with them", "messages/s", theirs),
            Figure("bridge to kombu", "times", ratio),
            Figure("processor time per message, bridge", "µs", busy),
            Figure("processor time per message, kombu", "µs", busy_bare),
            Figure("peak memory of the bridge", "MiB", peak, most=MEMORY_MIB),
        ]


def measure(ground: Ground, size: Size) -> Bridge:
    """Measure both in turns."""
    bridge, bare = [], []
    for number in range(size.runs):
        trial = ground.trial(f"bridge-{number}")
        bodies = (load.job(index, index // load.EACH) for index in range(size.messages))
        publishing.fill(ground.rabbitmq.url, [OWN_QUEUE, BARE_QUEUE], bodies)
        bridge.append(_bridge(trial, size.messages))
        bare.append(_bare(trial, size.messages))
    return Bridge(size.messages, bridge, bare)


def _bridge(trial: Trial, messages: int) -> Run:
    mirror = topics.mirror(publishing.EXCHANGE)
    program = trial.bridge()
    spent = program.cpu_seconds
    trial.settle([mirror], messages, program)
    busy, peak = program.cpu_seconds - spent, program.peak_mib
    program.end()
    records = trial.read(mirror)
    found = sorted(_digest(record.value) for record in records)
    wanted = sorted(_digest(load.job(index, index // load.EACH)) for index in range(messages))
    if found != wanted:
        raise Failure(f"of {messages} messages {len(records)} came to Kafka, or not as they were")
    times = [record.timestamp for record in records]
    seconds = (max(times) - min(times)) / 1_000
    return Run(messages / seconds, busy / messages * 1e6, peak)


def _digest(body: bytes | None) -> bytes:
    return hashlib.sha256(body or b"").digest()


def _bare(trial: Trial, messages: int) -> Run:
    argv = ["python", "-m", "benchmarks.bare", trial.ground.rabbitmq.url, BARE_QUEUE, str(messages)]
    program = trial.ground.program(f"{trial.name}-bare", argv, {})
    told = program.wait_for(r"took (\S+) s, (\S+) s of them busy")
    seconds, busy = (float(text) for text in told.groups())
    return Run(messages / seconds, busy / messages * 1e6, 0.0)
