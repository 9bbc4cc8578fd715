"""`python -m bridges.github`: GitHub's API to Kafka."""

from bridges import program
from bridges.github.bridge import run


def main() -> None:
    """Run the bridge that asks GitHub, as `program.main` says."""
    program.main("github", run)


if __name__ == "__main__":
    main()
