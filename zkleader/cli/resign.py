"""``zkleader resign``: its command line, what it tells, and how its end becomes an exit status.

It owns these.  It must not know how a leader is asked, nor when its tenure is over.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
from typing import Any

import click

from zkleader.cli.completion import complete_election
from zkleader.cli.connection import access_of, blamed, connection_options, reaching, tell_connected, visit_log
from zkleader.cli.values import Duration, Slot
from zkleader.config import ConfigurationProblem, UsageProblem, path_named, show
from zkleader.core.events import Connected
from zkleader.core.records import KNOWN
from zkleader.core.resign_state import Asked, Concluded, End, Leader, News, Wish
from zkleader.errors import RefusedError, ZkLeaderError
from zkleader.exit_status import RESIGN_MEANINGS, ExitStatus, Found, epilog
from zkleader.log import say_at_once
from zkleader.status.text import printable
from zkleader.zk.access import Access, NotPermittedError


@click.command(
    "resign",
    epilog=epilog(RESIGN_MEANINGS),
    short_help="Ask the leader of an election to step down in order.",
)
@connection_options
@click.option("-w", "--wait", type=Duration(), help="Wait so long for the end of its tenure.  [default: for ever]")
@click.option("--slot", type=Slot(), help="Ask the leader of this slot, where several lead.")
@click.argument("election", shell_complete=complete_election)
def resign(**options: Any) -> int:
    """Ask the leader of ELECTION to step down in order; end when it has.

    It stops its command, within its --stop-timeout, while it goes on leading, and then releases: the next one starts at
    once.  Its run ends with 79, or with --on-loss rejoin stands at the end of the queue.
    """
    try:
        log = visit_log(options)
        election = path_named(options["election"], "election")
        access = access_of(options)
    except UsageProblem as problem:
        raise blamed(problem) from None
    from zkleader.resign import ask_to_resign  # noqa: PLC0415 # neither help nor a wrong option needs kazoo

    wish = Wish(
        election=access.hosts.chroot + election,
        user=_user(),
        host=socket.gethostname(),
        wait=options["wait"],
        connect_timeout=options["connect_timeout"],
        slot=options["slot"],
    )

    def tell(news: News | Connected, names_slot: bool) -> None:  # noqa: FBT001 # two facts of one thing
        if isinstance(news, Connected):
            tell_connected(log, news.server, news.granted)
        else:
            click.echo(_line_of(news, names_slot=names_slot))

    with reaching(access, wish.connect_timeout):
        conclusion, names_slot = ask_to_resign(access, wish, tell)
        if conclusion.end is End.NOBODY_LEADS and wish.slot is not None:
            return _nobody(conclusion, election, wish.slot, _leaders(access, election, wish.connect_timeout))
    return _end(conclusion, election, wish, names_slot=names_slot)


def _user() -> str:
    number = os.getuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # as in many a container
        return str(number)


def _leaders(access: Access, election: str, within: float) -> int | None:
    """Return how many may lead, if that is known: who asks one slot has not read what states it."""
    from zkleader.zk.observer import Observer  # noqa: PLC0415 # few need it

    # That nobody leads there is certain, so an outage that begins just now changes no more than the words.
    with contextlib.suppress(ZkLeaderError), Observer(access) as observer:
        return observer.look_at(election, within, candidates=0).elections[0].stated
    return None


def _nobody(conclusion: Concluded, election: str, slot: int, leaders: int | None) -> int:
    """Tell that nobody leads in a slot, or can; return the exit status."""
    if leaders is not None and slot >= leaders:
        why = f"there is no slot {slot} ({leaders} leader{'s' if leaders > 1 else ''})"
    else:
        why = f"nobody leads in slot {slot}{': ' + conclusion.text if conclusion.text else ''}"
    say_at_once(f"cannot resign {election}: {why}")
    return Found.NOBODY


def _named(leader: Leader, *, names_slot: bool) -> str:
    slot = f"slot {leader.slot}, " if names_slot else ""
    return f"{printable(leader.id)} (host {printable(leader.host)}, {slot}token {leader.token})"


def _line_of(news: News, *, names_slot: bool) -> str:
    named = _named(news.leader, names_slot=names_slot)
    if isinstance(news, Asked):
        return f"{named} is asked to step down by {printable(news.by.user)} at {printable(news.by.host)}"
    return f"{named} has left the queue without releasing; its lease is over in {show(news.seconds)}"


def _end(conclusion: Concluded, election: str, wish: Wish, *, names_slot: bool) -> int:
    """Tell how it ended; return the exit status."""
    end, leader, text = conclusion.end, conclusion.leader, conclusion.text
    named = "" if leader is None else _named(leader, names_slot=names_slot)
    if leader is not None and end in _OVER:
        why = f": {printable(text)}" if text else ""
        successor = f"; {printable(conclusion.successor)} leads" if conclusion.successor else ""
        click.echo(f"{named} {_OVER[end]}{why}{successor}")
        return 0
    if end is End.NOT_PERMITTED:
        raise NotPermittedError(text)
    if end is End.NEWER_FORMAT:
        raise ConfigurationProblem(f"cannot resign {election}: {text}, and this version knows {KNOWN}")
    if end is End.SEVERAL_LEAD:
        say_at_once(f"cannot resign {election}: several lead, {printable(text)}: name one of them with --slot")
        return ExitStatus.USAGE
    if end is End.REFUSED:
        raise RefusedError(text)
    if end is End.NO_ELECTION:
        say_at_once(f"cannot resign {election}: no such election")
        return Found.ABSENT
    if end is End.NOT_IN_TIME:
        assert leader is not None  # before it is seen, no wait counts
        say_at_once(f"cannot resign {election}: {named} has not stepped down within {show(wish.wait or 0)}")
        return ExitStatus.NOT_ELECTED
    say_at_once(f"cannot resign {election}: nobody leads{': ' + text if text else ''}")
    return Found.NOBODY


_OVER = {
    End.RELEASED: "has stepped down",
    End.SUCCEEDED: "has stepped down",
    End.LAPSED: "has not released, and its lease is over",
}
