"""Send the validate stage one made-up message after another for some seconds."""

import sys
import time
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.examples import Message
from tests.fuzz.judging import check
from tests.fuzz.messages import messages

FOUND = Path(".local/fuzz")
"""Where the first body of each new outcome is kept, and the one that failed as `failed`."""

_places: Counter[str] = Counter()
_seen: set[tuple[str, ...]] = set()


@settings(
    max_examples=1_000,
    deadline=None,
    database=None,
    phases=[Phase.generate, Phase.shrink],
    suppress_health_check=list(HealthCheck),
)
@given(messages)
def _try(message: Message) -> None:
    try:
        places = check(message)
    except BaseException:
        # The last that fails is the smallest.
        (FOUND / "failed").write_bytes(message.value or b"")
        raise
    _places.update(f"{message.topic} -> {place}" for place in places)
    outcome = (message.topic, *dict.fromkeys(places))
    if outcome not in _seen:
        _seen.add(outcome)
        (FOUND / f"{len(_seen):03}").write_bytes(message.value or b"")


def main(seconds: float) -> None:
    """Go on until the time is over; AssertionError, with the message, where one goes wrong."""
    FOUND.mkdir(parents=True, exist_ok=True)
    began, rounds = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        seed(time.time_ns())(_try)()
        rounds += 1
    for place, count in sorted(_places.items()):
        print(f"{count:10,} {place}")
    minutes = (time.monotonic() - began) / 60
    print(f"{rounds * 1_000:,} messages in {minutes:.1f} minutes, {len(_seen)} kinds of outcome")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 600)
