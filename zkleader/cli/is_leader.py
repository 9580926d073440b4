"""``zkleader is-leader``: its command line, and the answer as an exit status.

It owns both.  It does not promise that the answer is still true when it is read: it is no guard.
"""

from __future__ import annotations

import socket
from typing import Any

import click

from zkleader.cli.completion import complete_election
from zkleader.cli.connection import access_of, blamed, connection_options, reaching, tell_connected, visit_log
from zkleader.config import UsageProblem, check_identity, path_named
from zkleader.exit_status import IS_LEADER_MEANINGS, epilog


@click.command(
    "is-leader",
    epilog=epilog(IS_LEADER_MEANINGS),
    short_help="Say by the exit status whether this host leads.",
)
@connection_options
@click.option("--id", "identity", metavar="ID", help="Ask of the candidate that is shown so, and not of this host.")
@click.argument("election", shell_complete=complete_election)
def is_leader(**options: Any) -> int:
    """Say by the exit status whether this host leads ELECTION, for scripts and health checks.

    The answer is old when it is read: it cannot keep two from acting at once, only run does.
    """
    try:
        log = visit_log(options)
        path = path_named(options["election"], "election")
        identity = None if options["identity"] is None else check_identity(options["identity"])
        access = access_of(options)
    except UsageProblem as problem:
        raise blamed(problem) from None
    from zkleader.cli import verdict  # noqa: PLC0415 # neither help nor a wrong option needs these
    from zkleader.zk.observer import Observer  # noqa: PLC0415 # as above

    with reaching(access, options["connect_timeout"]), Observer(access) as observer:
        look = observer.look_at(path, options["connect_timeout"], candidates=0)
        tell_connected(log, look.server, observer.session_timeout)
    [election] = look.elections
    leaders = [slot.who for slot in election.leaders]
    if identity is None:
        leads = socket.gethostname() in [who.host for who in leaders]
    else:
        leads = identity in [who.id for who in leaders]
    return verdict.of_somebody(election, is_leader=leads)
