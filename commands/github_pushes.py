"""`pulseload github-pushes`."""

import click

from bridges.github.__main__ import main


@click.command("github-pushes")
def github_pushes() -> None:
    """Ask GitHub for the commits of its pushes and pull requests, until it is stopped.

    It reads what the bridge mirrors and writes full push records to pushes.inbox. Without it,
    a push is known as far as Pulse tells. Run one at a time.

    \b
    Examples:
      PULSELOAD_GITHUB_TOKEN_FILE=token pulseload github-pushes
      python -m bridges.github            the same
    """  # noqa: D301 - click's mark for text that keeps its lines
    main()
