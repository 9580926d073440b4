"""``zkleader demo``: its command line, and how the show's end becomes an exit status.

It owns both.  It must not know what is shown, and does not promise that there is a ZooKeeper to show it with.
"""

from __future__ import annotations

import os
import sys

import click

from zkleader.config import command_environment, find_command
from zkleader.core.wait_status import SIGNAL_BASE
from zkleader.exit_status import ExitStatus
from zkleader.log import say_at_once

NOT_AS_PROMISED = 1
"""Exit status of a verdict that is not good, or of none."""


@click.command(
    "demo",
    context_settings={"allow_interspersed_args": False},
    options_metavar="[--]",
    epilog="Exit status: 0 as promised, 1 not so, 69 there is no ZooKeeper to start, 128+n ended by signal n.",
    short_help="Show who leads under five faults, on a private ZooKeeper.",
)
@click.argument("command", metavar="[COMMAND [ARG]...]", nargs=-1, type=click.UNPROCESSED)
def demo(command: tuple[str, ...]) -> int:
    """Show who leads: a private throwaway ZooKeeper, three candidates, and five real faults in the leader.

    Takes twenty seconds and leaves nothing.  Without COMMAND each leader runs a witness that writes a beat every few
    milliseconds, and the verdict is from these; COMMAND must run until it is stopped.
    """
    if command:
        search_path = command_environment().get(b"PATH", os.fsencode(os.defpath))
        find_command(command[0], os.fsdecode(search_path))
    from zkleader.demo import loop, server, stage  # noqa: PLC0415 # neither help nor a wrong option needs it

    try:
        verdict = stage.perform(command, output=sys.stdout.fileno(), encoding=sys.stdout.encoding)
    except server.ServerUnavailableError as error:
        say_at_once(str(error))
        return ExitStatus.UNREACHABLE
    except stage.Problem as problem:
        say_at_once(str(problem))
        return ExitStatus.USAGE
    except TimeoutError as error:
        say_at_once(f"cannot go on: {error}")
        return NOT_AS_PROMISED
    except loop.Asked as asked:
        return SIGNAL_BASE + asked.number
    return 0 if verdict.is_good else NOT_AS_PROMISED
