"""The peers: what each is called, what it promises, and how its program is started."""

from dataclasses import dataclass
from typing import Final

from benchmarks.peers.environments import Environment, Java, Python

EXACTLY_ONCE: Final = "exactly-once"
AT_LEAST_ONCE: Final = "at-least-once"

_FORMS: Final = ("orjson", "jsonschema-rs")


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them.

    `share` is how much of the jobs it gets: one that is slow shows its speed with fewer.
    """

    name: str
    title: str
    guarantee: str
    environment: Environment
    share: float = 1.0


_QUIX: Final = Python("quix", ("quixstreams", *_FORMS))
_FAUST: Final = Python(
    "plain_faust",
    ("faust-streaming", "rocksdict", *_FORMS),
    ("faust", "-A", "benchmarks.peers.plain_faust", "worker", "--without-web"),
)

PEERS: Final = {
    peer.name: peer
    for peer in (
        Peer(
            "by-hand",
            "loop by hand, confluent-kafka",
            EXACTLY_ONCE,
            Python("by_hand", ("confluent-kafka", *_FORMS)),
        ),
        Peer("quix", "Quix Streams", EXACTLY_ONCE, _QUIX),
        Peer("quix-alo", "Quix Streams", AT_LEAST_ONCE, _QUIX),
        Peer(
            "kafka-streams",
            "Kafka Streams",
            EXACTLY_ONCE,
            Java("kafka_streams", "Joins", ("-Xmx512m",)),
        ),
        Peer("faust", "plain Faust", AT_LEAST_ONCE, _FAUST, share=0.05),
    )
}
