"""`python -m bridges.github`: GitHub's API to Kafka."""

import asyncio
import logging
import sys

from bridges.github.bridge import run
from pulseload import settings
from pulseload.errors import Failure


def main() -> None:
    """Run the bridge; exits with 0 when asked to end, with 1 and one line on a failure."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s github: %(message)s",
        stream=sys.stderr,
    )
    # What Kafka does not answer is said in one line at the end.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        asyncio.run(run(settings.load()))
    except Failure as failure:
        print(f"pulseload: {failure}", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
