"""The peer of a bridge: kombu, consuming a queue and doing nothing with what comes.

`python -m benchmarks.bare AMQP_URL QUEUE COUNT`: it acknowledges as many at once, and may hold as
many unacknowledged, as the bridge, and does not decode the bodies.
"""

import sys
import time
from typing import Any, Final

from kombu import Connection, Consumer, Queue

PREFETCH: Final = 2_000
ACKNOWLEDGED: Final = 500


def main() -> None:
    """Consume, and tell how long it took from the first message to the last."""
    url, queue, expected = sys.argv[1:]
    count = int(expected)
    seen = 0
    began = spent = 0.0

    def on_message(message: Any) -> None:
        nonlocal seen, began, spent
        seen += 1
        if seen == 1:
            began, spent = time.monotonic(), time.process_time()
        if seen % ACKNOWLEDGED == 0 or seen == count:
            message.channel.basic_ack(message.delivery_tag, multiple=True)

    with (
        Connection(url) as connection,
        Consumer(
            connection.default_channel,
            Queue(queue, durable=True, no_declare=True),
            on_message=on_message,
            prefetch_count=PREFETCH,
        ),
    ):
        while seen < count:
            connection.drain_events()
        seconds, busy = time.monotonic() - began, time.process_time() - spent
    print(f"took {seconds:.3f} s, {busy:.3f} s of them busy")


if __name__ == "__main__":
    main()
