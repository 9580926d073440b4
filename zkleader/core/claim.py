"""The claimant's half of the safety argument: observe the lease record, wait, claim it, be elected.

It stands in ``claimable_in``: a record that its holder has not released is left alone until this process has looked at
one and the same version of it for a whole lease and the margin.  This module must not know the queue beyond our place
in it, nor the command.  It does not promise that the first in the queue leads: only a confirmed claim does.
"""

from __future__ import annotations

from typing import Any

from zkleader.core import period, records
from zkleader.core.actions import ANY_VERSION, End, Multi, Outcome, SetData, StartCommand
from zkleader.core.chain import Verdict
from zkleader.core.events import Answer, Applied, Content, Refused
from zkleader.core.lease import LONGEST_LEASE, Instant, margin_of
from zkleader.core.records import LeaseRecord, NewerFormat, Stat, Unreadable
from zkleader.core.turn import Flight, Phase, Purpose, Seen, Sight, State, Turn


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
    """Claim the record if it is our turn and nothing that has to be known first is on its way."""
    state, place, seen = turn.state, turn.state.place, turn.state.seen
    if place is None or place.rank > 0 or seen is None or isinstance(seen.record, NewerFormat):
        return
    if not turn.is_idle(Purpose.LIST, Purpose.OWN, Purpose.RECORD, Purpose.WRITE, Purpose.MAKE, Purpose.SYNC):
        return
    if claimable_in(state, turn.now) > 0 or (state.rules.once_per is not None and state.memory.arrived is None):
        return
    state.chain, attempt = state.chain.attempt(seen.stat, turn.now)
    record = records.claimed(
        seen.record,
        seen.stat,
        guid=state.guid,
        beat=attempt.beat,
        lease=state.rules.timing.lease,
        identity=state.rules.identity,
        last_run=_begun(state, seen),
    )
    state.last_write = turn.now
    turn.tell("claiming", level="debug", version=seen.stat.version)
    operations = (
        # It fails without our candidate, which closes the race with an operator, or an expiry, that takes it away now;
        # and it wakes whoever watches it: they are first in line then, and have to watch the record from now on,
        # or a crash of ours would cost them another lease.
        SetData(path=state.own_path, data=state.own_data, version=ANY_VERSION),
        SetData(path=state.rules.record_path, data=records.encode(record), version=seen.stat.version),
    )
    turn.send(Purpose.WRITE, Multi(operations=operations), attempt=attempt, record=record)


def _begun(state: State, seen: Seen) -> dict[str, Any] | None:
    rules, arrived = state.rules, state.memory.arrived
    if rules.once_per is None or arrived is None:
        return None
    last = period.last_run_of(seen.record, seen.stat) if isinstance(seen.record, LeaseRecord) else None
    return period.begun(last, arrived, rules.once_per, rules.identity.id)


def on_record(turn: Turn, answer: Answer) -> None:
    """Take the record as an answer shows it; it may show that a claim in doubt was applied."""
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
    tell_wait(turn)


def observe(turn: Turn, content: Content) -> Seen | None:
    """Take note of the record as an answer shows it; None if the answer is older than what was seen before."""
    state, stat, sight = turn.state, content.stat, turn.state.memory.sight
    if sight is not None and stat.czxid == sight.czxid and stat.version < sight.version:
        return None  # a server that lags behind, in a new session; its watch fires when it has caught up
    if sight is None or (stat.czxid, stat.version) != (sight.czxid, sight.version):
        turn.remember(sight=Sight(czxid=stat.czxid, version=stat.version, since=turn.now))
    state.seen = Seen(record=records.parse_lease_record(content.data), stat=stat)
    return state.seen


def tell_wait(turn: Turn) -> None:
    """Tell, once for each version of it, that we are first in line and the record keeps us waiting."""
    state, place, seen = turn.state, turn.state.place, turn.state.seen
    if place is None or place.rank > 0 or seen is None or isinstance(seen.record, NewerFormat):
        return
    left = claimable_in(state, turn.now)
    if left > 0:
        turn.tell_place(
            "waiting_out_lease",
            holder_id=seen.record.holder_id if isinstance(seen.record, LeaseRecord) else None,
            unreadable=seen.record.reason if isinstance(seen.record, Unreadable) else None,
            version=seen.stat.version,
            seconds=round(left, 3),
        )


def on_claim(turn: Turn, flight: Flight, answer: Answer) -> None:
    """Take the answer to a claim."""
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
