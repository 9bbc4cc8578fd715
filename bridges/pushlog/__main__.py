"""`python -m bridges.pushlog`: push logs to Kafka."""

from bridges import program
from bridges.pushlog.bridge import run


def main() -> None:
    """Run the bridge from push logs, as `program.main` says."""
    program.main("pushlog", run)


if __name__ == "__main__":
    main()
