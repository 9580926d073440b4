"""The command line as click sees it, for tests that look into it: always below the program, as users have it.

click keeps what it finds out about a command's ``--help`` with the command, so one that was parsed by itself, without
the program's settings, would lack ``-h`` in every test after it.
"""

from typing import Any

import click

from zkleader.cli.main import program


def context_of(command: click.Command) -> click.Context:
    """Return a context for the program or for a subcommand, with nothing parsed."""
    outer = click.Context(program, info_name="zkleader", **program.context_settings)
    return outer if command is program else click.Context(command, parent=outer, info_name=command.name)


def parse(command: click.Command, *words: str, **settings: Any) -> click.Context:
    """Return the context of a subcommand that was given these words."""
    return command.make_context(str(command.name), list(words), parent=context_of(program), **settings)
