"""`python -m bridges`: Pulse to Kafka."""

from bridges import program
from bridges.bridge import run


def main() -> None:
    """Run the bridge from Pulse, as `program.main` says."""
    program.main("bridge", run)


if __name__ == "__main__":
    main()
