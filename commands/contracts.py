"""`pulseload contracts`."""

import click

from contracts import asyncapi


@click.command()
def contracts() -> None:
    """Print what the topics promise, as an AsyncAPI 3 document.

    It is made from the schemas and names that the programs use; no broker is asked. For people
    docs/contracts.md says the same.

    \b
    Examples:
      pulseload contracts > asyncapi.yml
    """  # noqa: D301 - click's mark for text that keeps its lines
    click.echo(asyncapi.text(), nl=False)
