"""What was seen as the exit status of ``status`` and ``is-leader``, and as the line that says why it cannot be told.

It owns that translation.  It must not know how elections are read or shown.
"""

from __future__ import annotations

from zkleader.config import ELECTIONS
from zkleader.core.view import Look, Standing, State, View
from zkleader.exit_status import ExitStatus, Found
from zkleader.log import say_at_once
from zkleader.zk.access import NotPermittedError


def of_one(election: View) -> int:
    """Return the exit status that an election stands for.

    Raises:
        NotPermittedError: what tells may not be read.
    """
    path = election.path
    if election.state is State.NOT_PERMITTED:
        hidden = next((slot.number for slot in election.slots if slot.standing is Standing.NOT_PERMITTED), None)
        raise NotPermittedError(f"read {path}" if hidden is None else f"read {path}/lease-{hidden}")
    if election.state is State.NEWER_FORMAT:
        newer = next(slot for slot in election.slots if slot.standing is Standing.NEWER_FORMAT)
        say_at_once(f"cannot tell who leads {path}: lease-{newer.number} has {newer.problem}")
        return ExitStatus.CONFIGURATION
    if election.state is State.ABSENT:
        say_at_once(f"cannot find {path}: no such election")
        return Found.ABSENT
    return Found.LED if election.state is State.LED else Found.NOBODY


def of_all(look: Look) -> int:
    """Return the exit status that all elections together stand for.

    Raises: as above.
    """
    if not look.elections:
        say_at_once(f"cannot find elections below {ELECTIONS}: there are none")
        return Found.ABSENT
    # If nobody leads what could be read, the first that could not be keeps us from saying so of all.
    ranks = [State.LED, State.NOT_PERMITTED, State.NEWER_FORMAT, State.NOBODY]
    return of_one(min(look.elections, key=lambda election: ranks.index(election.state)))


def of_somebody(election: View, *, is_leader: bool) -> int:
    """Return the exit status that says whether somebody is a leader of an election.

    Raises: as above.
    """
    if is_leader:
        return Found.LED
    if election.leaders and election.doubt is None:
        return Found.LED_BY_ANOTHER
    return of_one(election.but(state=election.doubt or election.state))
