"""``zkleader check``: its command line, and findings as lines.

It owns these.  It must not know what is looked at.
"""

from __future__ import annotations

import contextlib
from typing import Any

import click

from zkleader.check.finding import line_of, status_of
from zkleader.cli.completion import complete_election
from zkleader.cli.connection import access_of, blamed, connection_options, visit_log
from zkleader.cli.timing import timing_of, timing_options
from zkleader.config import ConfigurationProblem, UsageProblem, check_timing, path_named
from zkleader.exit_status import CHECK_MEANINGS, epilog

_WIDEST_TOPIC = len("scheduling")


@click.command(
    "check",
    epilog=epilog(CHECK_MEANINGS),
    short_help="Rehearse what run would need: servers, permissions, clocks, timing.",
)
@connection_options
@timing_options
@click.argument("election", required=False, shell_complete=complete_election)
def check(**options: Any) -> int:
    """Rehearse on this host what `run` would need, of which nothing is left.

    One line for each thing that was looked at: `ok`, `warn`, or `FAIL` where `run` would not work.  Without ELECTION
    it is tried in /zkleader.
    """
    timing = timing_of(options)
    try:
        visit_log(options)  # which has nothing to tell that is not a finding
        named = options["election"]
        election = None if named is None else path_named(named, "election")
        access = access_of(options)
        with contextlib.suppress(ConfigurationProblem):  # that is one of the findings
            check_timing(timing)
    except UsageProblem as problem:
        raise blamed(problem) from None
    from zkleader.check.rehearsal import rehearse  # noqa: PLC0415 # neither help nor a wrong option needs kazoo

    width = max(_WIDEST_TOPIC, *(len(f"server {server}") for server in access.hosts.servers))
    found = []
    for finding in rehearse(access, election, timing, options["connect_timeout"]):
        click.echo(line_of(finding, width))
        found.append(finding)
    return status_of(found)
