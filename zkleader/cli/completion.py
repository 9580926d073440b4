"""Completion in shells: elections from ZooKeeper, COMMAND, files.

It owns what is offered.  Whatever goes wrong, nothing is offered and nothing is said: somebody is typing.  It does not
promise that what it offers is there a moment later.
"""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

import click

from zkleader.cli.connection import access_of
from zkleader.cli.items import as_file, items
from zkleader.cli.settings import origins_of
from zkleader.config import ELECTIONS
from zkleader.core.actions import ListNames
from zkleader.core.events import Names
from zkleader.core.lease import SHORTEST_LEASE, Timing
from zkleader.core.queue import RECORD_PREFIX, sequence_of

if TYPE_CHECKING:
    from zkleader.cli.items import Items

_PATIENCE = 0.5
"""Seconds for which whoever has pressed the key waits for ZooKeeper."""

_TIMING = Timing(lease=SHORTEST_LEASE, grace=0.0, stop_timeout=0.0)
"""Nothing is led here: a short lease has short limits, so that a silent server leaves time for the next one."""


def complete_command(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Items:
    """Complete COMMAND by what is on PATH, or as a file; have the shell complete its arguments as files."""
    if "/" in incomplete or ctx.params.get("command"):
        return as_file(incomplete)
    names: set[str] = set()
    for directory in os.get_exec_path():
        with contextlib.suppress(OSError), os.scandir(directory) as entries:
            names |= {e.name for e in entries if e.name.startswith(incomplete) and os.access(e.path, os.X_OK)}
    return items(sorted(names))


def complete_election(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> Items:
    """Complete the election by those that are in ZooKeeper and in the configuration file.

    An election is given in the form that was begun: by name, or, after a slash, as a path.
    """
    if ctx.params.get("command"):  # this -e is COMMAND's
        return as_file(incomplete)
    prefix = "" if incomplete.startswith("/") else f"{ELECTIONS}/"
    parent = (prefix + incomplete).rpartition("/")[0]
    found = {path for path in origins_of(ctx).elections if path.startswith(prefix + incomplete)}
    found |= {f"{parent}/{name}" for name in _names(ctx, parent)}
    return items(path.removeprefix(prefix) for path in sorted(found) if path.startswith(prefix + incomplete))


def _names(ctx: click.Context, parent: str) -> list[str]:
    """Return the names of what may be elections below a path; none if that takes too long."""
    found: list[str] = []
    try:
        from zkleader.zk.client import Client  # noqa: PLC0415 # it takes as long as all the rest

        access = access_of(ctx.params)
    except Exception:  # noqa: BLE001 # whatever it is
        return found

    def ask() -> None:
        with contextlib.suppress(Exception), Client(access, _TIMING) as client:
            client.connect(_PATIENCE)
            [answer] = client.ask(ListNames(path=access.hosts.chroot + parent or "/"), within=_PATIENCE)
            if isinstance(answer, Names):
                found.extend(answer.names)

    # In a thread that is left alone when time is over: ending a session may take longer than beginning it.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(_PATIENCE)
    return [name for name in found if sequence_of(name) is None and not name.startswith(RECORD_PREFIX)]


class CommandRunner(click.Command):
    """A subcommand whose options end at COMMAND, whose own click would complete as ours."""

    def shell_complete(self, ctx: click.Context, incomplete: str) -> Items:
        """Complete the name of an option."""
        if ctx.params.get("command"):
            return as_file(incomplete)
        return super().shell_complete(ctx, incomplete)
