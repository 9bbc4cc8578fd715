"""Sources: which exchanges of Pulse are read, and what their messages are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pulseload import topics
from pulseload.errors import Failure
from pulseload.wording import value_shown

Kind = Literal["jobs", "hg-pushes", "github-pushes", "github-pull-requests"]

_BINDING_MAX_BYTES = 255


@dataclass(frozen=True, slots=True)
class Source:
    """One exchange to read, what its messages are, and the keys that bind the queue to it."""

    exchange: str
    kind: Kind
    profile: str
    bindings: tuple[str, ...]

    @property
    def topic(self) -> str:
        """The Kafka topic that mirrors the exchange."""
        return topics.mirror(self.exchange)


def read(rows: Iterable[Mapping[str, Any]], name: str) -> tuple[Source, ...]:
    """Make sources of rows that `schemas/settings.yml` accepts.

    Raises Failure, which begins with `name`, where they contradict each other.
    """
    sources: list[Source] = []
    mirrors: dict[str, str] = {}
    for row in rows:
        exchange = row["exchange"]
        pairs = [
            f"{one}.{two}" for one in row.get("destinations", ()) for two in row.get("projects", ())
        ]
        bindings = tuple(dict.fromkeys([*pairs, *row.get("routing_keys", ())])) or ("#",)
        for binding in bindings:
            if len(binding.encode()) > _BINDING_MAX_BYTES:
                raise Failure(
                    f"{name}: {exchange}: the binding key {value_shown(binding)} is too "
                    f"long; allowed: {_BINDING_MAX_BYTES} bytes"
                )
        # Kafka takes names that differ only in `.` and `_` for the same.
        mirror = topics.mirror(exchange).replace("_", ".")
        if exchange == mirrors.get(mirror):
            raise Failure(f"{name}: {exchange} is listed twice; give it once, with all its keys")
        if mirror in mirrors:
            raise Failure(
                f"{name}: {mirrors[mirror]} and {exchange} would both be mirrored in "
                f"{topics.mirror(exchange)}; leave one out"
            )
        mirrors[mirror] = exchange
        kind = row.get("kind") or kind_of(exchange)
        sources.append(Source(exchange, kind, row.get("profile", "any"), bindings))
    return tuple(sources)


def kind_of(exchange: str) -> Kind:
    """Return what the messages of an exchange are by its name."""
    if exchange.startswith("exchange/hgpushes/"):
        return "hg-pushes"
    if exchange.startswith("exchange/taskcluster-github/"):
        if exchange.endswith("/push"):
            return "github-pushes"
        if exchange.endswith("/pull-request"):
            return "github-pull-requests"
    return "jobs"
