"""Releasing: the last thing that a candidacy does when nothing of its command is left, or none was ever started.

The successor then starts at once, where it would otherwise wait out our lease.  So a release is never owed, only wished
for: it is given up when the lease has ended, or at the latest when whoever stops us would lose patience.  This module
must not know why the tenure has ended, only the outcome that is to be recorded.  It does not promise that the record is
released, nor, once it was given up, that it is not.
"""

from __future__ import annotations

from zkleader.core import period, records, wait_status
from zkleader.core.actions import Delete, End, Get, Multi, SetData, Sync
from zkleader.core.candidacy_state import Flight, Need, Purpose, Seen, State
from zkleader.core.chain import Verdict
from zkleader.core.disconnect import RENEWAL_OVERDUE, SUSPENDED
from zkleader.core.events import Answer, Applied, Content, Refusal, Refused
from zkleader.core.lease import Instant
from zkleader.core.records import LeaseRecord
from zkleader.core.turn import Turn
from zkleader.core.write import lacked_candidate, stat_of_record


def useful_for(state: State, now: Instant) -> float:
    """Return the seconds for which releasing is of any use: until then nobody else may have claimed."""
    starts = [doubt.sent for doubt in state.chain.doubts]
    if state.chain.held is not None:
        starts.append(state.chain.held.lease_start)
    return max((state.rules.timing.lease - now.held_since(start) for start in starts), default=0.0)


def patience(state: State, now: Instant) -> float:
    """Return the seconds for which releasing is tried: whoever stops us has a deadline of their own.

    Nobody stops a leader that has stepped down because its connection was down: for that one it is as long as it is of
    use, because the connection has to come back first.
    """
    if state.loss in (SUSPENDED, RENEWAL_OVERDUE) and not state.asked_by:
        return useful_for(state, now)
    return min(useful_for(state, now), state.rules.timing.release_timeout - now.held_since(state.since))


def advance(turn: Turn) -> None:
    """Send what is due."""
    state = turn.state
    if turn.is_wanted(Purpose.SYNC):
        turn.send(Purpose.SYNC, Sync(path=state.rules.election))
    # Not after the lease: the tick that says so may be behind this event.
    is_of_use = patience(state, turn.now) > 0
    if is_of_use and turn.is_wanted(state.record) and Purpose.WRITE not in state.flights:
        _write_or_read(turn)


def expire(turn: Turn) -> None:
    """Act on what the clock alone says."""
    if patience(turn.state, turn.now) <= 0:
        give_up(turn)


def _write_or_read(turn: Turn) -> None:
    """Release at once what the last confirmed write has shown to be ours; read first where there is any doubt.

    The race: the record may have been deleted and made anew since that write, and have our version number again.  What
    is written then names the record that is gone, and releases nothing (``records.parse_lease_record``).
    """
    state = turn.state
    held, seen = state.chain.held, state.seen
    is_known = held is not None and seen is not None and seen.stat.czxid == held.czxid and _is_ours(state, seen)
    if seen is not None and is_known and not state.chain.doubts:
        state.due -= {state.record}
        _write(turn, seen)
    else:
        turn.send(state.record, Get(path=state.record_path, watch=False))


def _is_ours(state: State, seen: Seen) -> bool:
    return isinstance(seen.record, LeaseRecord) and seen.record.holder == state.guid


def _write(turn: Turn, seen: Seen) -> None:
    state, outcome = turn.state, turn.state.outcome
    assert isinstance(seen.record, LeaseRecord)
    assert outcome is not None
    reason = outcome.reason or outcome.end.value
    status = wait_status.exit_status_of(outcome.number) if outcome.end is End.COMMAND_ENDED else None
    last_run = None
    if state.is_counted and state.chain.held is not None:
        held = state.chain.held
        last_run = period.ended(seen.record, token=held.token, elected_at=held.elected_at, status=status or 0)
    chain, attempt = state.chain.attempt(seen.stat, turn.now)
    # Only its beat is used up: as a doubt it would have us wait for the end of a lease that it does not ask for.
    state.chain = state.chain.but(last_beat=chain.last_beat)
    record = records.released(
        seen.record, seen.stat, beat=attempt.beat, reason=reason, status=status, last_run=last_run
    )
    write = SetData(path=state.record_path, data=records.encode(record), version=seen.stat.version)
    operations = (write,) if state.own is None else (write, Delete(path=state.own_path))
    turn.send(Purpose.WRITE, Multi(operations=operations), attempt=attempt, record=record)


def on_unanswered(turn: Turn, purpose: Need) -> None:
    """Read the record, after reconnecting, to learn what became of a write."""
    if purpose is Purpose.WRITE:
        turn.state.seen = None
        turn.want(Purpose.SYNC, turn.state.record)
    else:
        turn.want(purpose)


def on_answer(turn: Turn, purpose: Need, flight: Flight, answer: Answer) -> None:
    """Take an answer: to the release, or to what was under way before it."""
    if purpose is Purpose.WRITE:
        _on_write(turn, flight, answer)
    elif purpose == turn.state.record:
        _on_record(turn, answer)
    elif purpose is Purpose.OWN and isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE:
        turn.state.own = None  # nothing is lost by that any more; the record alone is released


def _on_write(turn: Turn, flight: Flight, answer: Answer) -> None:
    state = turn.state
    assert flight.attempt is not None
    assert flight.record is not None
    if isinstance(answer, Refused):
        state.chain = state.chain.refused(flight.attempt)
        _on_refused(turn, flight, answer)
        return
    assert isinstance(answer, Applied)
    if flight.record.released:
        _confirm(turn)
        return
    # A claim or a renewal that was under way when releasing began.
    stat = stat_of_record(state, flight, answer)
    state.chain, _ = state.chain.confirm(flight.attempt, stat, turn.now)
    state.seen = Seen(record=flight.record, stat=stat)
    turn.want(state.record)


def _on_refused(turn: Turn, flight: Flight, answer: Refused) -> None:
    state = turn.state
    if lacked_candidate(state, flight, answer):
        state.own = None
    nothing_is_held = useful_for(state, turn.now) <= 0
    if nothing_is_held or answer.refusal.is_for_lack_of_rights or answer.refusal is Refusal.OTHER:
        give_up(turn)
    else:
        state.seen = None
        turn.want(state.record)


def _on_record(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if not isinstance(answer, Content):
        turn.finish()
        return
    seen = Seen(record=records.parse_lease_record(answer.data, answer.stat), stat=answer.stat)
    state.chain, verdict = state.chain.judge(seen.record, seen.stat, turn.now)
    state.seen = seen
    is_ours = _is_ours(state, seen)
    if is_ours and isinstance(seen.record, LeaseRecord) and seen.record.released:
        _confirm(turn)
    elif verdict is Verdict.NOT_OURS or not is_ours:
        # Somebody else holds it, or our claim was never applied: there is nothing to release.
        turn.finish()
    else:
        _write(turn, seen)


def _confirm(turn: Turn) -> None:
    turn.state.is_released = True
    turn.tell("released")
    turn.finish()


def give_up(turn: Turn) -> None:
    """End without a release, or without knowing of one.

    A lease that had ended before releasing began needs none, and nobody is to be warned of that: thawed so late, we may
    even have been released for.
    """
    if useful_for(turn.state, turn.state.since) > 0:
        turn.tell("release_unconfirmed", level="warning", consequence="a successor may have to wait out the lease")
    turn.finish()
