"""The candidacy up to leadership: make the election, join the queue, find the predecessor, wait behind it.

What the first in line does with the lease record is ``claim``'s.  This module must not know the command, and does not
promise that a place in the queue means anything but an order.
"""

from __future__ import annotations

from zkleader.core import claim, queue, records, slots
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
from zkleader.core.candidacy_state import Flight, Listed, Need, Phase, Purpose, RecordOf, State
from zkleader.core.events import Answer, Content, Created, Names, Refusal, Refused
from zkleader.core.lease import Instant
from zkleader.core.records import NewerFormat
from zkleader.core.turn import Turn

STANDBYS = 3
"""So many behind those who may lead count out the leases too, but not more than there are leaders: as many who die
together, a rack of them, are replaced within one lease.  Each of them is woken by every renewal."""


def advance(turn: Turn) -> None:
    """Send what is due while joining or waiting."""
    state, rules = turn.state, turn.state.rules
    if turn.is_wanted(Purpose.SYNC):
        turn.send(Purpose.SYNC, Sync(path=rules.election))
    if state.phase is Phase.WAITING:
        _look_for_records(turn)
    if turn.is_wanted(Purpose.MAKE):
        _make(turn)
    if state.phase is Phase.JOINING and turn.is_wanted(Purpose.CREATE) and join_in(state, turn.now) <= 0:
        path = f"{rules.election}/{queue.candidate_prefix(state.guid)}"
        state.create_sent = turn.now
        turn.send(Purpose.CREATE, Create(path=path, data=state.own_data, ephemeral=True, sequence=True))
    if (left := listing_in(state, turn.now)) is not None and left <= 0:
        turn.want(Purpose.LIST)
    if turn.is_idle(Purpose.CREATE, Purpose.MAKE) and turn.is_wanted(Purpose.LIST):
        turn.send(Purpose.LIST, ListNames(path=rules.election))
    if state.phase is Phase.WAITING and claim.is_done(state):
        claim.tell_done(turn)
        turn.leave(Outcome(end=End.DONE, reason="already_done"))
    elif state.phase is Phase.WAITING:
        _look_around(turn)
        claim.attempt(turn)
        claim.tell_disagreement(turn)


def listing_in(state: State, now: Instant) -> float | None:
    """Return the seconds until the children are to be listed again; None: something else will tell.

    As long as a slot is free, and so many are ahead of us that one of them should have claimed it.  Only the one just
    ahead is watched; of the others one has crashed, perhaps, and its candidate will go with its session.
    """
    place, rules, left = state.place, state.rules, slots.free_in(state, now)
    is_standby = place is not None and 1 < place.rank == rules.leaders
    if not is_standby or state.listed is None or left is None:
        return None
    return max(left, rules.timing.renewal_interval - now.waited_since(state.listed.at))


def _look_for_records(turn: Turn) -> None:
    """Have every record read that matters to us by now, and those made anew that are missing."""
    state = turn.state
    if 0 in state.slots:
        known = {*state.slots, *state.absent, *state.behind}
        turn.want(*(need for need in slots.reads(state) if need.slot not in known))
    slot = slots.lacking(state)
    if slot is not None and turn.is_idle(Purpose.MAKE, RecordOf(slot)):
        turn.tell("record_missing", level="warning", path=state.rules.record_path(slot))
        turn.want(Purpose.MAKE)


def join_in(state: State, now: Instant) -> float:
    """Return the seconds for which we keep out of the queue, because on-elected has failed."""
    pause = state.memory.pause
    return pause.left(now) if pause is not None and state.phase is Phase.JOINING else 0.0


def _look_around(turn: Turn) -> None:
    state, rules, place = turn.state, turn.state.rules, turn.state.place
    # A claim writes our candidate as well, and of that we are told before we are told that we lead: COMMAND is not to
    # wait for a read that can say nothing which the claim's answer, already on its way, would not say first.
    if turn.is_wanted(Purpose.OWN) and Purpose.WRITE not in state.flights:
        turn.send(Purpose.OWN, Get(path=state.own_path))
    # Those who may claim look at the records, and the standbys behind them.  Not knowing our place yet, look as if we
    # were first: that saves the first in line a round trip, and costs whoever is further behind one event of a watch
    # that it does not set again.
    if place is None or place.rank < rules.leaders + min(rules.leaders, STANDBYS):
        for need in sorted(need for need in state.due if isinstance(need, RecordOf)):
            if turn.is_wanted(need):
                turn.send(need, Get(path=rules.record_path(need.slot)))
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
        slot = slots.lacking(state)
        state.due -= {Purpose.MAKE}
        if slot is not None:
            record = records.new_record(released=False, leaders=rules.leaders)
            turn.send(Purpose.MAKE, Create(path=rules.record_path(slot), data=record))
        return
    record = records.new_record(released=not state.memory.election_seen, leaders=rules.leaders)
    # One multi: nobody can ever find a new election without its records, and so none is waited out.
    made = [Create(path=rules.record_path(slot), data=record) for slot in range(rules.leaders)]
    turn.send(Purpose.MAKE, Multi(operations=(Create(path=rules.election, data=b""), *made)))


def on_predecessor_touched(turn: Turn, *, is_deleted: bool) -> None:
    """List again, unless that can tell nothing new: the only candidate ahead is gone, and nobody joins ahead of us.

    Hand-over is waiting for this: a listing would be one more request before the claim.
    """
    state, place = turn.state, turn.state.place
    gone, state.watched = state.watched, None
    is_next = place is not None and place.rank == 1 and place.predecessor == gone
    if is_deleted and is_next and state.names is not None and turn.is_idle(Purpose.LIST):
        state.names = tuple(name for name in state.names if name != gone)
        if turn.is_idle(*slots.reads(state)):  # else what was seen of it is old: it has just been released, perhaps
            claim.tell_wait(turn)
    elif not (is_deleted and state.names is not None and gone not in state.names):  # else we know it from a record
        turn.want(Purpose.LIST)


def on_unanswered(turn: Turn, purpose: Need) -> None:
    """Find out, after reconnecting, what became of a request."""
    if purpose is Purpose.CREATE:
        # Never create again blindly: first look for our guid among the candidates.
        turn.want(Purpose.SYNC, Purpose.LIST)
    elif purpose is Purpose.MAKE:
        turn.want(Purpose.CREATE if turn.state.phase is Phase.JOINING else RecordOf(slots.lacking(turn.state) or 0))
    elif purpose is Purpose.PRUNE:
        turn.want(Purpose.LIST)
    elif purpose is Purpose.WRITE:
        turn.want(Purpose.SYNC, Purpose.LIST, *slots.reads(turn.state))
    else:
        turn.want(purpose)


def on_answer(turn: Turn, purpose: Need, flight: Flight, answer: Answer) -> None:
    """Take an answer while joining or waiting."""
    refusal = answer.refusal if isinstance(answer, Refused) else None
    if refusal is Refusal.NO_AUTH and purpose is Purpose.AHEAD and isinstance(flight.request, Get):
        # A candidate of others, with an ACL of their own: watching it needs no permission.
        turn.send(Purpose.AHEAD, Exists(path=flight.request.path))
    elif isinstance(answer, Refused) and answer.refusal.is_for_lack_of_rights:
        if flight.attempt is not None:
            turn.state.chain = turn.state.chain.refused(flight.attempt)
        _on_not_permitted(turn, purpose, answer)
    elif isinstance(answer, Refused) and answer.refusal is Refusal.OTHER:
        if flight.attempt is not None:
            turn.state.chain = turn.state.chain.refused(flight.attempt)
        turn.refuse(End.REFUSED, f"{_doing(purpose, turn.state, answer.index)}: {answer.text}")
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
    elif purpose is Purpose.WRITE:
        claim.on_claim(turn, flight, answer)
    elif isinstance(purpose, RecordOf):
        claim.on_record(turn, purpose.slot, answer)


def _on_not_permitted(turn: Turn, purpose: Need, refused: Refused) -> None:
    how = refused.refusal.lacking
    if not how and (purpose is Purpose.OWN or (purpose is Purpose.WRITE and refused.index == 0)):
        how = " with the ACL given to it"  # by us, who have created it: the election's says nothing of it
    turn.refuse(End.NOT_PERMITTED, _doing(purpose, turn.state, refused.index) + how)


def _doing(purpose: Need, state: State, index: int = 0) -> str:
    """Return what was being done; of a claim, a multi, by the operation with this index."""
    election, record = state.rules.election, state.rules.record_path(_slot_of(purpose, state))
    making = f"the lease record {record}" if state.phase is Phase.WAITING else f"the election {election}"
    words: dict[Need, str] = {
        Purpose.MAKE: f"create {state.missing[-1]} for {making}" if state.missing else f"create {making}",
        Purpose.CREATE: f"create a candidate in {election}",
        Purpose.OWN: f"read our candidate in {election}",
        RecordOf(_slot_of(purpose, state)): f"read the lease record {record}",
        Purpose.WRITE: f"write our candidate in {election}" if index == 0 else f"write the lease record {record}",
    }
    return words.get(purpose, f"read the election {election}")


def _slot_of(purpose: Need, state: State) -> int:
    """Return the slot that a request was about."""
    if isinstance(purpose, RecordOf):
        return purpose.slot
    return (slots.lacking(state) or 0) if purpose is Purpose.MAKE else state.slot


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
    turn.state.own, turn.state.own_seen = own, None
    turn.state.phase = Phase.WAITING
    turn.remember(election_seen=True)
    turn.want(Purpose.LIST, Purpose.OWN, Purpose.AHEAD, *slots.reads(turn.state))
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
        turn.want(*slots.reads(state))


def _on_list(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if not isinstance(answer, Names):  # the election does not exist
        if state.phase is Phase.JOINING:
            turn.want(Purpose.CREATE)
        else:
            turn.want(Purpose.OWN)
        return
    turn.remember(election_seen=True)
    before, state.names = slots.listed(state), answer.names
    is_same = state.listed is not None and slots.listed(state) == before
    since = state.listed.slots_since if state.listed is not None and is_same else turn.now
    state.listed = Listed(at=turn.now, slots_since=since)
    state.absent -= slots.listed(state)
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
    if isinstance(answer, Content):
        turn.note_own(answer)
        if state.memory.arrived is None:
            assert state.create_sent is not None
            # When we began counts, however long it took to get into the queue: who is cut off while others run what the
            # clock has struck for would otherwise come too late for that run, and do it again.  It may even have been
            # in the queue, and have lost that candidacy before it knew.  Of our own clock only the duration is taken.
            waited = state.create_sent.held_since(state.memory.began)
            turn.remember(arrived=answer.stat.ctime - round(waited * 1000))
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
