"""The candidacy up to leadership: make the election, join the queue, find the predecessor, wait behind it.

What the first in line does with the lease record is ``claim``'s.  This module must not know the command, and does not
promise that a place in the queue means anything but an order.
"""

from __future__ import annotations

from zkleader.core import claim, queue, records
from zkleader.core.actions import (
    Create,
    Delete,
    End,
    Exists,
    Get,
    ListNames,
    Multi,
    Outcome,
    Sync,
)
from zkleader.core.events import Answer, Content, Created, Names, Refusal, Refused
from zkleader.core.records import NewerFormat
from zkleader.core.turn import Flight, Phase, Purpose, State, Turn

RECORD_RANKS = 2
"""So many candidates at the head of the queue look at the record: the one who may claim, and its standby."""


def advance(turn: Turn) -> None:
    """Send what is due while joining or waiting."""
    state, rules = turn.state, turn.state.rules
    if turn.is_wanted(Purpose.SYNC):
        turn.send(Purpose.SYNC, Sync(path=rules.election))
    if turn.is_wanted(Purpose.MAKE):
        _make(turn)
    if state.phase is Phase.JOINING and turn.is_wanted(Purpose.CREATE):
        path = f"{rules.election}/{queue.candidate_prefix(state.guid)}"
        turn.send(Purpose.CREATE, Create(path=path, data=state.own_data, ephemeral=True, sequence=True))
    if turn.is_idle(Purpose.CREATE, Purpose.MAKE) and turn.is_wanted(Purpose.LIST):
        turn.send(Purpose.LIST, ListNames(path=rules.election))
    if state.phase is Phase.WAITING and claim.is_done(state):
        claim.tell_done(turn)
        turn.leave(Outcome(end=End.DONE, reason="already_done"))
    elif state.phase is Phase.WAITING:
        _look_around(turn)
        claim.attempt(turn)


def _look_around(turn: Turn) -> None:
    state, place = turn.state, turn.state.place
    if turn.is_wanted(Purpose.OWN):
        turn.send(Purpose.OWN, Get(path=state.own_path))
    # Not knowing our place yet, look as if we were first: that saves the first in line a round trip, and costs whoever
    # is further behind one event of a watch that it does not set again.
    if (place is None or place.rank < RECORD_RANKS) and turn.is_wanted(Purpose.RECORD):
        turn.send(Purpose.RECORD, Get(path=state.rules.record_path))
    if place is None or not turn.is_idle(Purpose.LIST):
        return
    if place.predecessor is None or place.predecessor == state.watched:
        state.due -= {Purpose.AHEAD}
    elif turn.is_wanted(Purpose.AHEAD):
        turn.send(Purpose.AHEAD, Get(path=f"{state.rules.election}/{place.predecessor}"))


def _make(turn: Turn) -> None:
    state, rules = turn.state, turn.state.rules
    if state.missing:
        turn.send(Purpose.MAKE, Create(path=state.missing[-1], data=b""))
        return
    if state.phase is Phase.WAITING:  # the election stands without its record: there may be a leader
        record = records.new_record(released=False)
        turn.send(Purpose.MAKE, Create(path=rules.record_path, data=record))
        return
    record = records.new_record(released=not state.memory.election_seen)
    # One multi: nobody can ever find a new election without its record, and so none is waited out.
    operations = (Create(path=rules.election, data=b""), Create(path=rules.record_path, data=record))
    turn.send(Purpose.MAKE, Multi(operations=operations))


def on_predecessor_touched(turn: Turn, *, is_deleted: bool) -> None:
    """List again, unless that can tell nothing new: the only candidate ahead is gone, and nobody joins ahead of us.

    Hand-over is waiting for this: a listing would be one more request before the claim.
    """
    state, place = turn.state, turn.state.place
    gone, state.watched = state.watched, None
    is_next = place is not None and place.rank == 1 and place.predecessor == gone
    if is_deleted and is_next and state.names is not None and turn.is_idle(Purpose.LIST):
        state.names = tuple(name for name in state.names if name != gone)
        if turn.is_idle(Purpose.RECORD):  # else what was seen of it is old: it has just been released, perhaps
            claim.tell_wait(turn)
    else:
        turn.want(Purpose.LIST)


def on_unanswered(turn: Turn, purpose: Purpose) -> None:
    """Find out, after reconnecting, what became of a request."""
    if purpose is Purpose.CREATE:
        # Never create again blindly: first look for our guid among the candidates.
        turn.want(Purpose.SYNC, Purpose.LIST)
    elif purpose is Purpose.MAKE:
        turn.want(Purpose.CREATE if turn.state.phase is Phase.JOINING else Purpose.RECORD)
    elif purpose is Purpose.PRUNE:
        turn.want(Purpose.LIST)
    elif purpose is Purpose.WRITE:
        turn.want(Purpose.SYNC, Purpose.LIST, Purpose.RECORD)
    else:
        turn.want(purpose)


def on_answer(turn: Turn, purpose: Purpose, flight: Flight, answer: Answer) -> None:
    """Take an answer while joining or waiting."""
    if isinstance(answer, Refused) and answer.refusal is Refusal.NO_AUTH and isinstance(flight.request, Get):
        _on_unreadable(turn, purpose, flight.request)
    elif isinstance(answer, Refused) and answer.refusal is Refusal.NO_AUTH:
        if flight.attempt is not None:
            turn.state.chain = turn.state.chain.refused(flight.attempt)
        turn.refuse(End.NOT_PERMITTED, _doing(purpose, turn.state))
    elif isinstance(answer, Refused) and answer.refusal is Refusal.OTHER:
        if flight.attempt is not None:
            turn.state.chain = turn.state.chain.refused(flight.attempt)
        turn.refuse(End.REFUSED, f"{_doing(purpose, turn.state)}: {answer.text}")
    elif purpose is Purpose.CREATE:
        _on_create(turn, answer)
    elif purpose is Purpose.MAKE:
        _on_make(turn, answer)
    elif purpose is Purpose.LIST:
        _on_list(turn, answer)
    elif purpose is Purpose.PRUNE:
        turn.want(Purpose.LIST)
    elif purpose is Purpose.OWN:
        _on_own(turn, answer)
    elif purpose is Purpose.AHEAD:
        _on_ahead(turn, flight, answer)
    elif purpose is Purpose.RECORD:
        claim.on_record(turn, answer)
    elif purpose is Purpose.WRITE:
        claim.on_claim(turn, flight, answer)


def _on_unreadable(turn: Turn, purpose: Purpose, request: Get) -> None:
    if purpose is Purpose.AHEAD:  # a candidate of others, with an ACL of their own: watching it needs no permission
        turn.send(Purpose.AHEAD, Exists(path=request.path))
    else:
        turn.refuse(End.NOT_PERMITTED, _doing(purpose, turn.state))


def _doing(purpose: Purpose, state: State) -> str:
    paths = {
        Purpose.MAKE: f"create the election {state.rules.election}",
        Purpose.CREATE: f"create a candidate in {state.rules.election}",
        Purpose.WRITE: f"write the lease record {state.rules.record_path}",
    }
    return paths.get(purpose, f"read the election {state.rules.election}")


def _on_create(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if isinstance(answer, Created):
        _joined(turn, answer.path.rpartition("/")[2])
    elif isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE:
        state.missing = ()
        turn.want(Purpose.MAKE)
    elif isinstance(answer, Refused):
        # Sequence numbers stick at the greatest when their parent's counter is used up.
        turn.refuse(End.REFUSED, f"{_doing(Purpose.CREATE, state)}: {answer.refusal.value}")


def _joined(turn: Turn, own: str) -> None:
    turn.state.own = own
    turn.state.phase = Phase.WAITING
    turn.remember(election_seen=True)
    turn.want(Purpose.LIST, Purpose.OWN, Purpose.AHEAD, Purpose.RECORD)
    turn.tell("joined", level="debug", candidate=own)


def _on_make(turn: Turn, answer: Answer) -> None:
    state = turn.state
    refused_for_parent = isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE
    if refused_for_parent:
        # From below upwards, because creating an ancestor that exists takes a permission that we need not have.
        lowest = state.missing[-1] if state.missing else state.rules.election
        parent = lowest.rpartition("/")[0]
        if not parent or state.phase is Phase.WAITING:
            turn.want(Purpose.OWN)  # the election itself is gone
            return
        state.missing = (*state.missing, parent)
        turn.want(Purpose.MAKE)
    elif state.missing:  # made by us just now, or by somebody else
        state.missing = state.missing[:-1]
        turn.want(Purpose.MAKE)
    elif state.phase is Phase.JOINING:
        turn.want(Purpose.CREATE)
    else:
        turn.want(Purpose.RECORD)


def _on_list(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if not isinstance(answer, Names):  # the election does not exist
        if state.phase is Phase.JOINING:
            turn.want(Purpose.CREATE)
        else:
            turn.want(Purpose.OWN)
        return
    turn.remember(election_seen=True)
    state.names = answer.names
    mine = queue.of_guid(state.guid, answer.names)
    if not mine:
        # Joining: the create was not applied.  Waiting: probe the own path before believing it.
        turn.want(Purpose.CREATE if state.phase is Phase.JOINING else Purpose.OWN)
        return
    if mine[0] != state.own and Purpose.WRITE not in state.flights:
        _joined(turn, mine[0])
        state.due -= {Purpose.LIST}  # this is that list
    for surplus in mine:
        if surplus != state.own and turn.is_idle(Purpose.PRUNE):
            turn.send(Purpose.PRUNE, Delete(path=f"{state.rules.election}/{surplus}"))
    turn.want(Purpose.AHEAD)
    if state.own is not None and state.own not in answer.names:
        turn.want(Purpose.OWN)
    claim.tell_wait(turn)


def _on_own(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if isinstance(answer, Refused):
        turn.tell("candidate_gone", level="warning", candidate=state.own)
        turn.leave(Outcome(end=End.CANDIDACY_LOST, reason="candidate_deleted"))
        return
    if isinstance(answer, Content) and state.memory.arrived is None:
        turn.remember(arrived=answer.stat.ctime)
    if state.names is not None and state.place is None:
        turn.want(Purpose.LIST)


def _on_ahead(turn: Turn, flight: Flight, answer: Answer) -> None:
    state, place = turn.state, turn.state.place
    if isinstance(answer, Refused):
        turn.want(Purpose.LIST)
        return
    if place is None or place.predecessor is None:
        return
    asked = getattr(flight.request, "path", "").rpartition("/")[2]
    if asked != place.predecessor:  # listed anew meanwhile: the watch stands on somebody else
        turn.want(Purpose.AHEAD)
        return
    state.watched = asked
    ahead = records.parse_candidate(answer.data if isinstance(answer, Content) else b"")
    if isinstance(ahead, NewerFormat):
        turn.refuse(End.NEWER_FORMAT, f"candidate {place.predecessor} has format {ahead.format}")
        return
    shown = ahead if isinstance(ahead, dict) else {}
    turn.tell_place(
        "waiting",
        rank=place.rank,
        predecessor=place.predecessor,
        predecessor_id=shown.get("id"),
        predecessor_host=shown.get("host"),
    )
