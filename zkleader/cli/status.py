"""``zkleader status``: its command line.

It must not know how elections are read or shown, nor what an exit status follows from (``verdict`` does).
"""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from zkleader.cli.completion import complete_election
from zkleader.cli.connection import access_of, blamed, connection_options, reaching, tell_connected, visit_log
from zkleader.config import ELECTIONS, UsageProblem, path_named
from zkleader.exit_status import STATUS_MEANINGS, epilog


@click.command(
    "status",
    epilog=epilog(STATUS_MEANINGS),
    short_help="Show who leads, who waits, and who led before.",
)
@connection_options
@click.option("--json", "as_json", is_flag=True, help="Show one JSON document, for programs.")
@click.option("--watch", is_flag=True, help="Go on showing what changes, until interrupted.")
@click.argument("election", required=False, shell_complete=complete_election)
def status(**options: Any) -> int:
    """Show who leads an election, who waits in which order, and who led before.

    ELECTION is a name below /zkleader, or a path; without it all elections below /zkleader are shown, in short.  Only
    reads, and needs no more permission than that.
    """
    try:
        log = visit_log(options)
        named = options["election"]
        path = None if named is None else path_named(named, "election")
        access = access_of(options)
    except UsageProblem as problem:
        raise blamed(problem) from None
    from zkleader.cli import verdict  # noqa: PLC0415 # neither help nor a wrong option needs these
    from zkleader.status.follow import follow  # noqa: PLC0415 # as above
    from zkleader.status.show import Show  # noqa: PLC0415 # as above
    from zkleader.zk.observer import Observer  # noqa: PLC0415 # as above

    with reaching(access, options["connect_timeout"]), Observer(access, watch=options["watch"]) as observer:
        look = partial(observer.look_below, ELECTIONS) if path is None else partial(observer.look_at, path)
        first = look(options["connect_timeout"])
        tell_connected(log, first.server, observer.session_timeout)
        show = Show(below=ELECTIONS if path is None else None, as_json=options["as_json"])
        if options["watch"]:
            follow(first, partial(look, 0.0), observer.wait, show.again)
        if first.has_election or options["as_json"]:
            show.once(first)
    return verdict.of_all(first) if path is None else verdict.of_one(first.elections[0])
