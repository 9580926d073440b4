"""The claimant's half of the safety argument: observe the lease records, wait, claim one, be elected.

It stands in ``slots.claimable_in``: a record that its holder has not released is left alone until this process has
looked at one and the same version of it for a whole lease and the margin.  There is one claim at a time, and none of
another slot while one is in doubt (``slots``).  This module must not know the queue beyond our place in it, nor the
command.  It does not promise that the first in the queue leads: only a confirmed claim does.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zkleader.core import period, queue, records, slots, tenure
from zkleader.core.actions import Create, End, Multi, SetData
from zkleader.core.candidacy_state import Flight, Phase, Purpose, RecordOf, Seen, Sight, State
from zkleader.core.chain import Verdict
from zkleader.core.events import Answer, Applied, Content, Refused
from zkleader.core.records import LeaseRecord, NewerFormat, Stat, Unreadable
from zkleader.core.slots import Plan
from zkleader.core.turn import Turn
from zkleader.core.write import hit_what_was_meant, slot_of_failed, stat_of_record


def is_done(state: State) -> bool:
    """Say whether there is nothing to do: the run of the period to which we belong is recorded as ended."""
    rules, seen, arrived = state.rules, state.seen, state.memory.arrived
    if rules.once_per is None or seen is None or arrived is None or not isinstance(seen.record, LeaseRecord):
        return False
    last = period.last_run_of(seen.record, seen.stat)
    # Not while a claim of ours is under way: it may be what stands there.
    is_idle = Purpose.WRITE not in state.flights
    return is_idle and period.is_done(last, arrived, rules.once_per, retry_failed=rules.retry_failed)


def tell_done(turn: Turn) -> None:
    """Log whose run it was that makes ours needless."""
    seen = turn.state.seen
    told = seen.record.content["last_run"] if seen is not None and isinstance(seen.record, LeaseRecord) else {}
    turn.tell(
        "already_done", id=told.get("id"), token=told.get("token"), started=told.get("start"), status=told.get("status")
    )


def attempt(turn: Turn) -> None:
    """Claim a slot if it is our turn and nothing that has to be known first is on its way."""
    state, own_seen = turn.state, turn.state.own_seen
    if own_seen is None or not turn.is_idle(Purpose.LIST, Purpose.OWN, Purpose.WRITE, Purpose.MAKE, Purpose.SYNC):
        return
    if state.rules.once_per is not None and state.memory.arrived is None:
        return
    way = slots.next_claim(state, turn.now)
    if way is None or way[0] > 0:
        return
    plan = way[1]
    state.slot, seen = plan.slot, state.slots[plan.slot]
    state.chain, attempt = state.chain.attempt(seen.stat, turn.now)
    assert not isinstance(seen.record, NewerFormat)
    record = records.claimed(
        seen.record,
        seen.stat,
        guid=state.guid,
        beat=attempt.beat,
        lease=state.rules.timing.lease,
        identity=state.rules.identity,
        last_run=_begun(state, seen),
        leaders=state.rules.leaders,
        before=plan.before,
    )
    state.last_write = turn.now
    turn.tell("claiming", level="debug", slot=plan.slot, version=seen.stat.version)
    operations = (
        # It fails without our candidate, which closes the race with an operator, or an expiry, that takes it away now;
        # and it wakes whoever watches it: they are first in line then, and have to watch the record from now on,
        # or a crash of ours would cost them another lease.  Over the version that was read: what others write into it
        # meanwhile stays.
        SetData(path=state.own_path, data=state.own_data, version=own_seen.version),
        SetData(path=state.record_path, data=records.encode(record), version=seen.stat.version),
        *_restating(state, plan),
    )
    meant = {slot: state.slots[slot].stat.czxid for slot in plan.restated}
    turn.send(Purpose.WRITE, Multi(operations=operations), attempt=attempt, record=record, meant=meant)


def _restating(state: State, plan: Plan) -> Iterator[SetData | Create]:
    """Return what changes the statement in the other slots' records: nothing, unless the claim changes it."""
    leaders = state.rules.leaders
    for slot in plan.restated:
        seen = state.slots[slot]
        assert not isinstance(seen.record, NewerFormat)
        # The race: somebody claims that slot under the old number at this moment.  One of the two is refused.
        data = records.encode(records.restated(seen.record, seen.stat, leaders))
        yield SetData(path=state.rules.record_path(slot), data=data, version=seen.stat.version)
    for slot in plan.made:
        yield Create(path=state.rules.record_path(slot), data=records.new_record(released=True, leaders=leaders))


def _begun(state: State, seen: Seen) -> dict[str, Any] | None:
    rules, arrived = state.rules, state.memory.arrived
    if rules.once_per is None or arrived is None:
        return None
    last = period.last_run_of(seen.record, seen.stat) if isinstance(seen.record, LeaseRecord) else None
    return period.begun(last, arrived, rules.once_per, rules.identity.id)


def on_record(turn: Turn, slot: int, answer: Answer) -> None:
    """Take a record as an answer shows it; it may show that a claim in doubt was applied."""
    state = turn.state
    if not isinstance(answer, Content):
        _on_missing(turn, slot)
        return
    seen = observe(turn, slot, answer)
    if seen is None:
        return
    if isinstance(seen.record, NewerFormat):
        turn.refuse(End.NEWER_FORMAT, f"{state.rules.record_path(slot)} has format {seen.record.format}")
        return
    _drop_holder(turn, seen.record)
    if slot == state.slot:
        state.chain, verdict = state.chain.judge(seen.record, seen.stat, turn.now)
        if verdict is Verdict.CONFIRMED:  # a claim whose answer was lost
            _found(turn, seen.record)
            return
        state.chain = state.chain.settled(seen.stat)
    tell_wait(turn)


def _on_missing(turn: Turn, slot: int) -> None:
    state = turn.state
    state.see(slot, None)
    state.absent |= {slot}
    if slot == state.slot:
        state.chain = state.chain.but(doubts=())  # one that is applied yet hits another znode, and claims nothing
    if slot in slots.listed(state):
        turn.want(Purpose.LIST)


def _drop_holder(turn: Turn, record: LeaseRecord | Unreadable) -> None:
    """Take whoever has released out of the queue as it was listed: one multi has released and deleted the candidate.

    Hand-over is waiting for this: unless they are just ahead of us, only a listing would tell.
    """
    state = turn.state
    if isinstance(record, LeaseRecord) and record.released and record.holder and state.names is not None:
        gone = queue.of_guid(record.holder, state.names)
        if gone and state.own not in gone:
            state.names = tuple(name for name in state.names if name not in gone)
            turn.want(Purpose.AHEAD)


def _found(turn: Turn, record: LeaseRecord | Unreadable) -> None:
    """A claim in doubt was applied."""
    state = turn.state
    if isinstance(record, LeaseRecord) and record.before is not None:
        # Which other records it has hit is not known, and not seen any more: change the statement once more.
        state.chain = state.chain.but(held=None)
        turn.want(*slots.reads(state))
    else:
        _elected(turn)


def observe(turn: Turn, slot: int, content: Content) -> Seen | None:
    """Take note of a record as an answer shows it; None if the answer is older than what was seen before."""
    state, stat, sight = turn.state, content.stat, turn.state.memory.sights.get(slot)
    known = slots.number_before(state) if 0 in state.slots else None
    if sight is not None and stat.czxid == sight.czxid and stat.version < sight.version:
        state.behind |= {slot}  # a server that lags behind, in a new session; its watch fires when it has caught up
        return None
    if sight is None or (stat.czxid, stat.version) != (sight.czxid, sight.version):
        _sight(turn, slot, stat)
    seen = Seen(record=records.parse_lease_record(content.data, stat), stat=stat)
    is_news = state.slots.get(slot) is None or state.slots[slot].stat != stat
    state.see(slot, seen)
    state.absent -= {slot}
    state.behind -= {slot}
    if is_news:
        _look_further(turn, slot, known)
    return seen


def _look_further(turn: Turn, slot: int, known: int | None) -> None:
    """Read what a record calls for, before which number was ``known``."""
    state = turn.state
    first = state.slots.get(0)
    said = _statement(state.slots[slot])
    if slot > 0 and first is not None and (said is None or said != _statement(first)):
        turn.want(RecordOf(0))  # which may be older than this one
    if slot == 0 and slots.number_before(state) != known:
        state.absent = frozenset()  # a change of the number has made records
    if slot == 0 and slots.stated_by_nobody(state):
        turn.want(Purpose.LIST, *(RecordOf(other) for other in state.slots if other > 0))  # all that may tell


def _statement(seen: Seen) -> int | None:
    return seen.record.stated if isinstance(seen.record, LeaseRecord) else None


def _sight(turn: Turn, slot: int, stat: Stat) -> None:
    sight = Sight(czxid=stat.czxid, version=stat.version, since=turn.now)
    turn.remember(sights={**turn.state.memory.sights, slot: sight})


def tell_wait(turn: Turn) -> None:
    """Tell, once for each version of it, that it is our turn and a record keeps us waiting."""
    state, awaited = turn.state, slots.awaited(turn.state, turn.now)
    if awaited is None or awaited[0] <= 0 or is_hopeless(state):
        return
    left, slot = awaited
    seen = state.slots[slot]
    turn.tell_place(
        "waiting_out_lease",
        slot=slot,
        holder_id=seen.record.holder_id if isinstance(seen.record, LeaseRecord) else None,
        unreadable=seen.record.reason if isinstance(seen.record, Unreadable) else None,
        version=seen.stat.version,
        seconds=round(left, 3),
    )


def tell_disagreement(turn: Turn) -> None:
    """Tell, once for each change of it, that we do not lead because others have another number than ours."""
    state = turn.state
    number = slots.stated(state) if slots.disagrees(state) else None
    if number is None or number == state.told_number:
        return
    if not turn.is_idle(Purpose.LIST, Purpose.OWN, Purpose.MAKE, Purpose.WRITE, *slots.reads(state)):
        return  # what is being read may say that we can change it
    way = slots.next_claim(state, turn.now)
    if way is None or way[0] > 0:
        state.told_number = number
        turn.tell("leaders_disagree", level="error", leaders=state.rules.leaders, stated=number)


def is_hopeless(state: State) -> bool:
    """Say whether others who are there have another number of leaders than ours."""
    place = state.place
    is_alone = place is not None and place.rank == 0 and not slots.has_living_holder(state)
    return slots.disagrees(state) and not is_alone


def on_claim(turn: Turn, flight: Flight, answer: Answer) -> None:
    """Take the answer to a claim."""
    state = turn.state
    assert flight.attempt is not None
    if isinstance(answer, Applied):
        stat = stat_of_record(state, flight, answer)
        state.chain, verdict = state.chain.confirm(flight.attempt, stat, turn.now)
        if verdict is Verdict.NOT_OURS:  # it hit a record that was made anew, and is waited out like that one
            turn.want(state.record)
            return
        _written(turn, flight, stat)
        if not hit_what_was_meant(state, flight, answer):
            # Another slot's record was made anew meanwhile: there may be a leader who is just being told.
            state.chain = state.chain.but(held=None)
            turn.want(*slots.reads(state))
        elif verdict is Verdict.CONFIRMED:
            _elected(turn)
        return
    assert isinstance(answer, Refused)
    state.chain = state.chain.refused(flight.attempt)
    failed = slot_of_failed(state, flight, answer)
    if len(flight.meant) > 0:
        turn.want(*slots.reads(state))  # of the others' records no change was looked at meanwhile
    turn.want(state.record if failed is None else RecordOf(failed))
    if failed is None or state.rules.leaders == 1:
        turn.want(Purpose.LIST, Purpose.OWN)  # we may not stand where we thought we did
    # Else somebody of those who may claim as well was faster: claim the next slot that is free.


def _written(turn: Turn, flight: Flight, stat: Stat) -> None:
    assert flight.record is not None
    turn.state.seen = Seen(record=flight.record, stat=stat)
    _sight(turn, turn.state.slot, stat)


def _elected(turn: Turn) -> None:
    state = turn.state
    held = state.chain.held
    assert held is not None
    if turn.now.held_since(held.lease_start) >= state.rules.stop_after:
        # Confirmed too late to start anything under it: claim again over our own record, with a new token.
        turn.tell("claim_too_late", level="warning", token=held.token)
        state.chain = state.chain.but(held=None)
        turn.want(state.record)
        return
    state.phase = Phase.LEADING
    state.due = frozenset(need for need in state.due if not isinstance(need, RecordOf))  # others' do not concern us
    turn.tell(
        "elected",
        slot=state.slot,
        token=held.token,
        waited=round(turn.now.held_since(state.began), 3),
        claim_took=round(turn.now.held_since(held.lease_start), 4),
    )
    tenure.start_command(turn)
