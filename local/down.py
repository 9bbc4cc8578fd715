"""`bin/down`: stop what `bin/up` started, and nothing else."""

import argparse
import sys

from local.up import alone, stack
from pulseload.errors import Failure


def main() -> None:
    """Stop everything; there may be nothing to stop."""
    argparse.ArgumentParser(
        prog="bin/down",
        description="Stop what bin/up started with the same PULSELOAD_HOME. Its data stays.",
    ).parse_args()
    try:
        mine = stack()
        with alone(mine.home):
            running = mine.running
            mine.stop(*mine.parts)
    except Failure as failure:
        sys.exit(f"pulseload: {failure}")
    print(f"stopped: {', '.join(running)}" if running else f"nothing was running in {mine.home}")


if __name__ == "__main__":
    main()
