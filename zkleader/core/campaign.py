"""The candidacy up to leadership: make the election, join the queue, observe the record, claim it.

The claimant's half of the safety argument stands in ``claimable_in``: a record that its holder has not released is left
alone until this process has looked at one and the same version of it for a whole lease and the margin.  It must not
know the command.  It does not promise that the first in the queue leads: only a confirmed claim does.
"""

from __future__ import annotations

from zkleader.core import queue, records
from zkleader.core.actions import (
    ANY_VERSION,
    Create,
    Delete,
    End,
    Exists,
    Get,
    ListNames,
    Multi,
    Outcome,
    SetData,
    StartCommand,
    Sync,
)
from zkleader.core.chain import Verdict
from zkleader.core.events import Answer, Applied, Content, Created, Names, Refusal, Refused
from zkleader.core.lease import LONGEST_LEASE, Instant, margin_of
from zkleader.core.records import LeaseRecord, NewerFormat, Stat, Unreadable
from zkleader.core.turn import Flight, Phase, Purpose, Seen, Sight, State, Turn

RECORD_RANKS = 2
"""So many candidates at the head of the queue look at the record: the one who may claim, and its standby."""


def claimable_in(state: State, now: Instant) -> float:
    """Return the seconds until the record that was seen may be claimed (0: now)."""
    assert state.seen is not None
    record = state.seen.record
    if isinstance(record, LeaseRecord) and (record.released or record.holder == state.guid):
        # Our own guid: a claim that was confirmed too late to start anything under it.  Nothing of this candidacy runs.
        return 0.0
    sight = state.memory.sight
    assert sight is not None
    lease = record.lease if isinstance(record, LeaseRecord) else LONGEST_LEASE
    return max(0.0, lease + margin_of(lease) - now.waited_since(sight.since))


def observe(turn: Turn, content: Content) -> Seen | None:
    """Take note of the record as an answer shows it; None if the answer is older than what was seen before."""
    state, stat, sight = turn.state, content.stat, turn.state.memory.sight
    if sight is not None and stat.czxid == sight.czxid and stat.version < sight.version:
        return None  # a server that lags behind, in a new session; its watch fires when it has caught up
    if sight is None or (stat.czxid, stat.version) != (sight.czxid, sight.version):
        turn.remember(sight=Sight(czxid=stat.czxid, version=stat.version, since=turn.now))
    state.seen = Seen(record=records.parse_lease_record(content.data), stat=stat)
    return state.seen


def advance(turn: Turn) -> None:
    """Send what is due while joining or waiting."""
    state, rules = turn.state, turn.state.rules
    if turn.is_wanted(Purpose.SYNC):
        turn.send(Purpose.SYNC, Sync(path=rules.election))
    if turn.is_wanted(Purpose.MAKE):
        _make(turn)
    if state.phase is Phase.JOINING and turn.is_wanted(Purpose.CREATE):
        path = f"{rules.election}/{queue.candidate_prefix(state.guid)}"
        turn.send(Purpose.CREATE, Create(path=path, data=_candidate_data(state), ephemeral=True, sequence=True))
    if turn.is_idle(Purpose.CREATE, Purpose.MAKE) and turn.is_wanted(Purpose.LIST):
        turn.send(Purpose.LIST, ListNames(path=rules.election))
    if state.phase is Phase.WAITING:
        _look_around(turn)
        _claim(turn)


def _candidate_data(state: State) -> bytes:
    return records.candidate_data(state.rules.identity, state.rules.timing.lease)


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


def _claim(turn: Turn) -> None:
    state, place, seen = turn.state, turn.state.place, turn.state.seen
    if place is None or place.rank > 0 or seen is None or isinstance(seen.record, NewerFormat):
        return
    if not turn.is_idle(Purpose.LIST, Purpose.OWN, Purpose.RECORD, Purpose.WRITE, Purpose.MAKE, Purpose.SYNC):
        return
    if claimable_in(state, turn.now) > 0:
        return
    state.chain, attempt = state.chain.attempt(seen.stat, turn.now)
    record = records.claimed(
        seen.record,
        seen.stat,
        guid=state.guid,
        beat=attempt.beat,
        lease=state.rules.timing.lease,
        identity=state.rules.identity,
    )
    state.last_write = turn.now
    turn.tell("claiming", level="debug", version=seen.stat.version)
    operations = (
        # It fails without our candidate, which closes the race with an operator, or an expiry, that takes it away now;
        # and it wakes whoever watches it: they are first in line then, and have to watch the record from now on,
        # or a crash of ours would cost them another lease.
        SetData(path=state.own_path, data=_candidate_data(state), version=ANY_VERSION),
        SetData(path=state.rules.record_path, data=records.encode(record), version=seen.stat.version),
    )
    turn.send(Purpose.WRITE, Multi(operations=operations), attempt=attempt, record=record)


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
            _tell_wait(turn)
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
        _on_record(turn, answer)
    elif purpose is Purpose.WRITE:
        _on_claim(turn, flight, answer)


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
    _tell_wait(turn)


def _on_own(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if isinstance(answer, Refused):
        turn.tell("candidate_gone", level="warning", candidate=state.own)
        turn.leave(Outcome(end=End.CANDIDACY_LOST, reason="candidate_deleted"))
    elif state.names is not None and state.place is None:
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
    _tell_place(
        turn,
        "waiting",
        rank=place.rank,
        predecessor=place.predecessor,
        predecessor_id=shown.get("id"),
        predecessor_host=shown.get("host"),
    )


def _tell_place(turn: Turn, event: str, **facts: object) -> None:
    key = (event, *(value for name, value in facts.items() if name != "seconds"))
    if turn.state.told != key:
        turn.state.told = key
        turn.tell(event, "info", **facts)


def _on_record(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if not isinstance(answer, Content):
        state.seen = None
        turn.tell("record_missing", level="warning", path=state.rules.record_path)
        turn.want(Purpose.MAKE)
        return
    seen = observe(turn, answer)
    if seen is None:
        return
    if isinstance(seen.record, NewerFormat):
        turn.refuse(End.NEWER_FORMAT, f"{state.rules.record_path} has format {seen.record.format}")
        return
    state.chain, verdict = state.chain.judge(seen.record, seen.stat, turn.now)
    if verdict is Verdict.CONFIRMED:  # a claim whose answer was lost
        _elected(turn)
        return
    if verdict is Verdict.NOT_OURS and isinstance(seen.record, LeaseRecord) and seen.record.holder == state.guid:
        _claimed_another_record(turn)
        return
    _tell_wait(turn)


def _tell_wait(turn: Turn) -> None:
    """Tell, once for each version of it, that we are first in line and the record keeps us waiting."""
    state, place, seen = turn.state, turn.state.place, turn.state.seen
    if place is None or place.rank > 0 or seen is None or isinstance(seen.record, NewerFormat):
        return
    left = claimable_in(state, turn.now)
    if left > 0:
        _tell_place(
            turn,
            "waiting_out_lease",
            holder_id=seen.record.holder_id if isinstance(seen.record, LeaseRecord) else None,
            unreadable=seen.record.reason if isinstance(seen.record, Unreadable) else None,
            version=seen.stat.version,
            seconds=round(left, 3),
        )


def _on_claim(turn: Turn, flight: Flight, answer: Answer) -> None:
    state = turn.state
    assert flight.attempt is not None
    if isinstance(answer, Applied):
        stat = answer.stats[1]
        assert stat is not None
        state.chain, verdict = state.chain.confirm(flight.attempt, stat, turn.now)
        if verdict is Verdict.NOT_OURS:
            _claimed_another_record(turn)
            return
        _written(turn, flight, stat)
        if verdict is Verdict.CONFIRMED:
            _elected(turn)
        return
    assert isinstance(answer, Refused)
    state.chain = state.chain.refused(flight.attempt)
    turn.want(Purpose.LIST, Purpose.OWN, Purpose.RECORD)


def _claimed_another_record(turn: Turn) -> None:
    """Our claim hit a record that was made anew after our read: there may be a leader who is just being told.

    It bears our guid now, and our own record would be claimable at once.  Under a new guid it is a stranger's, and is
    waited out.
    """
    turn.leave(Outcome(end=End.CANDIDACY_LOST, reason="record_replaced"))


def _written(turn: Turn, flight: Flight, stat: Stat) -> None:
    assert flight.record is not None
    turn.state.seen = Seen(record=flight.record, stat=stat)
    turn.remember(sight=Sight(czxid=stat.czxid, version=stat.version, since=turn.now))


def _elected(turn: Turn) -> None:
    state = turn.state
    held = state.chain.held
    assert held is not None
    if turn.now.held_since(held.lease_start) >= state.rules.timing.stop_after:
        # Confirmed too late to start anything under it: claim again over our own record, with a new token.
        turn.tell("claim_too_late", level="warning", token=held.token)
        state.chain = state.chain.but(held=None)
        turn.want(Purpose.RECORD)
        return
    state.phase = Phase.LEADING
    turn.tell(
        "elected",
        token=held.token,
        waited=round(turn.now.held_since(state.began), 3),
        claim_took=round(turn.now.held_since(held.lease_start), 4),
    )
    turn.actions.append(StartCommand(lease_start=held.lease_start, token=held.token))
