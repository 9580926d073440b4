"""The candidacy from leadership on: renew, step down, release.

A loss that is known for certain is told to the guard at once; silence is not, because the guard has the deadline
already.  Nothing is released before everything of the command is proven gone.  After a loss, or once it was asked to
stop, nothing is ever started again; a command that has ended by itself may be, under the same lease (``restart``).
"""

from __future__ import annotations

from zkleader.core import period, records, restart, wait_status
from zkleader.core.actions import (
    Check,
    Delete,
    End,
    ExtendLease,
    Get,
    KillCommand,
    Multi,
    Outcome,
    ReplaceGuard,
    SetData,
    StartCommand,
    StopCommand,
    Sync,
)
from zkleader.core.chain import Verdict
from zkleader.core.events import (
    Answer,
    Applied,
    CommandFailed,
    CommandGone,
    CommandStopping,
    Content,
    GuardFailed,
    Refusal,
    Refused,
)
from zkleader.core.lease import Instant
from zkleader.core.records import LeaseRecord, Stat
from zkleader.core.turn import Flight, Link, Phase, Purpose, Seen, State, Turn
from zkleader.core.wire import Cause


def renewal_in(state: State, now: Instant) -> float:
    """Return the seconds until the next renewal is to be sent."""
    assert state.last_write is not None
    return state.rules.timing.renewal_interval - now.held_since(state.last_write)


def stop_in(state: State, now: Instant) -> float:
    """Return the seconds until the stop signal is due for want of a renewal."""
    assert state.chain.held is not None
    return state.rules.timing.stop_after - now.held_since(state.chain.held.lease_start)


def release_in(state: State, now: Instant) -> float:
    """Return the seconds for which releasing is of any use: until then nobody else may have claimed."""
    starts = [doubt.sent for doubt in state.chain.doubts]
    if state.chain.held is not None:
        starts.append(state.chain.held.lease_start)
    return max((state.rules.timing.lease - now.held_since(start) for start in starts), default=0.0)


def release_patience(state: State, now: Instant) -> float:
    """Return the seconds for which releasing is tried: whoever stops us has a deadline of their own."""
    return min(release_in(state, now), state.rules.timing.release_timeout - now.held_since(state.since))


def advance(turn: Turn) -> None:
    """Send what is due while leading, stopping or releasing."""
    state = turn.state
    if turn.is_wanted(Purpose.SYNC):
        turn.send(Purpose.SYNC, Sync(path=state.rules.election))
    if state.phase is Phase.RELEASING:
        # Not after the lease: the tick that says so may be behind this event.
        is_of_use = release_patience(state, turn.now) > 0
        if is_of_use and turn.is_wanted(Purpose.RECORD) and Purpose.WRITE not in state.flights:
            _release_or_read(turn)
        return
    if turn.is_wanted(Purpose.OWN) and state.phase is not Phase.STOPPING:
        turn.send(Purpose.OWN, Get(path=state.own_path))
    if state.loss or stop_in(state, turn.now) <= 0:  # as above
        return
    if turn.is_wanted(Purpose.RECORD):
        turn.send(Purpose.RECORD, Get(path=state.rules.record_path, watch=False))
    elif turn.is_idle(Purpose.RECORD, Purpose.WRITE, Purpose.SYNC) and renewal_in(state, turn.now) <= 0:
        _renew(turn)


def expire(turn: Turn) -> None:
    """Act on what the clock alone says."""
    state = turn.state
    is_in_tenure = state.phase in (Phase.LEADING, Phase.RESTARTING, Phase.STOPPING)
    if is_in_tenure and not state.loss and stop_in(state, turn.now) <= 0:
        # Stopping too: what then never goes must not keep us, nor be renewed over.
        lose(turn, "lease_lapsed")
    elif state.phase is Phase.RESTARTING:
        _start_again(turn)
    elif state.phase is Phase.STOPPING and state.loss and release_in(state, turn.now) <= 0:
        _give_up_command(turn)
    elif state.phase is Phase.RELEASING and release_patience(state, turn.now) <= 0:
        _give_up_release(turn)


def lose(turn: Turn, reason: str) -> None:
    """Leadership is over: stop the command at once."""
    state = turn.state
    if state.loss:
        return
    state.loss = reason
    turn.tell("leadership_lost", level="warning", reason=reason)
    if state.phase is Phase.RESTARTING:
        # The guard is not told: nothing is there to be stopped, and it may serve another candidacy.
        _end_tenure(turn, Outcome(end=End.LOST, number=_last_status(state), reason=reason))
        return
    turn.actions.append(StopCommand(cause=Cause.LOSS))
    state.phase = Phase.STOPPING


def step_down(turn: Turn, signal: int) -> None:
    """The user asked us to end: stop the command in order and go on renewing; asked again, kill it."""
    turn.state.asked_by = turn.state.asked_by or signal
    if turn.state.phase is Phase.RESTARTING:
        turn.tell("stop_asked", signal=signal)
        _end_tenure(turn, _asked_between_runs(turn.state))
    elif turn.state.phase is Phase.LEADING:
        turn.tell("stop_asked", signal=signal)
        turn.actions.append(StopCommand(cause=Cause.ASKED))
        turn.state.phase = Phase.STOPPING
    else:
        turn.tell("kill_asked", level="warning")
        turn.actions.append(KillCommand())


def _renew(turn: Turn) -> None:
    state, seen = turn.state, turn.state.seen
    assert seen is not None
    assert isinstance(seen.record, LeaseRecord)
    assert state.chain.held is not None
    held = state.chain.held
    state.chain, attempt = state.chain.attempt(seen.stat, turn.now)
    state.last_write = turn.now
    record = records.renewed(seen.record, beat=attempt.beat, token=held.token, elected_at=held.elected_at)
    operations = (
        Check(path=state.own_path),
        SetData(path=state.rules.record_path, data=records.encode(record), version=seen.stat.version),
    )
    turn.send(Purpose.WRITE, Multi(operations=operations), attempt=attempt, record=record)


def _release_or_read(turn: Turn) -> None:
    """Release at once what the last confirmed write has shown to be ours; read first where there is any doubt.

    The race: the record may have been deleted and made anew since that write, and have our version number again.  For
    that somebody must have claimed it, and nobody claims behind a candidate that is ahead of them.  Ours is ahead of
    all, and its deletion is part of this write, which fails without it; and its name is never made again.
    """
    state = turn.state
    held, seen = state.chain.held, state.seen
    is_known = held is not None and seen is not None and seen.stat.czxid == held.czxid and _is_ours(state, seen)
    if seen is not None and is_known and not state.chain.doubts and state.own is not None:
        state.due -= {Purpose.RECORD}
        _release(turn, seen)
    else:
        turn.send(Purpose.RECORD, Get(path=state.rules.record_path, watch=False))


def _is_ours(state: State, seen: Seen) -> bool:
    return isinstance(seen.record, LeaseRecord) and seen.record.holder == state.guid


def _release(turn: Turn, seen: Seen) -> None:
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
    write = SetData(path=state.rules.record_path, data=records.encode(record), version=seen.stat.version)
    operations = (write,) if state.own is None else (write, Delete(path=state.own_path))
    turn.send(Purpose.WRITE, Multi(operations=operations), attempt=attempt, record=record)


def on_unanswered(turn: Turn, purpose: Purpose) -> None:
    """Read the record, after reconnecting, to learn what became of a write."""
    if purpose is Purpose.WRITE:
        turn.state.seen = None if turn.state.phase is Phase.RELEASING else turn.state.seen
        turn.want(Purpose.SYNC, Purpose.RECORD)
    else:
        turn.want(purpose)


def on_answer(turn: Turn, purpose: Purpose, flight: Flight, answer: Answer) -> None:
    """Take an answer while leading, stopping or releasing."""
    if purpose is Purpose.WRITE:
        _on_write(turn, flight, answer)
    elif purpose is Purpose.RECORD:
        _on_record(turn, answer)
    elif purpose is Purpose.OWN and isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE:
        turn.state.own = None
        if turn.state.phase is not Phase.RELEASING:  # then nothing is left to lose, only the record to release
            lose(turn, "candidate_deleted")


def _on_write(turn: Turn, flight: Flight, answer: Answer) -> None:
    state = turn.state
    assert flight.attempt is not None
    if isinstance(answer, Refused):
        state.chain = state.chain.refused(flight.attempt)
        _on_refused(turn, flight, answer)
        return
    assert isinstance(answer, Applied)
    if state.phase is Phase.RELEASING and flight.record is not None and flight.record.released:
        _end_released(turn)
        return
    stat = _stat_of_record(state, flight, answer)
    before = state.chain.held
    state.chain, verdict = state.chain.confirm(flight.attempt, stat, turn.now)
    assert flight.record is not None
    state.seen = Seen(record=flight.record, stat=stat)
    if state.phase is Phase.RELEASING:
        turn.want(Purpose.RECORD)
    elif verdict is not Verdict.CONFIRMED:
        lose(turn, "record_replaced" if verdict is Verdict.NOT_OURS else "lease_lapsed")
    elif before is not None:
        _extended(turn)


def _stat_of_record(state: State, flight: Flight, answer: Applied) -> Stat:
    assert isinstance(flight.request, Multi)
    paths = [operation.path for operation in flight.request.operations]
    stat = answer.stats[paths.index(state.rules.record_path)]
    assert stat is not None
    return stat


def _extended(turn: Turn) -> None:
    state = turn.state
    assert state.chain.held is not None
    if state.loss:
        return
    turn.tell("renewed", level="debug", took=round(turn.now.held_since(state.chain.held.lease_start), 4))
    turn.actions.append(ExtendLease(lease_start=state.chain.held.lease_start))


def _on_refused(turn: Turn, flight: Flight, answer: Refused) -> None:
    state = turn.state
    assert isinstance(flight.request, Multi)
    failed = flight.request.operations[answer.index] if answer.index < len(flight.request.operations) else None
    candidate_gone = answer.refusal is Refusal.NO_NODE and failed is not None and failed.path != state.rules.record_path
    if candidate_gone:
        state.own = None
    if state.phase is Phase.RELEASING:
        nothing_is_held = release_in(state, turn.now) <= 0
        if nothing_is_held or answer.refusal in (Refusal.NO_AUTH, Refusal.OTHER):
            _give_up_release(turn)
        else:
            state.seen = None
            turn.want(Purpose.RECORD)
    elif candidate_gone:
        lose(turn, "candidate_deleted")
    elif answer.refusal is Refusal.NO_NODE:
        lose(turn, "record_deleted")
    elif answer.refusal is Refusal.NO_AUTH:
        lose(turn, "not_permitted")
    else:
        # BadVersion may be our own write, whose answer was lost: read before believing it.
        turn.want(Purpose.SYNC, Purpose.RECORD)


def _on_record(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if not isinstance(answer, Content):
        if state.phase is Phase.RELEASING:
            turn.finish()
        elif isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE:
            lose(turn, "record_deleted")
        return
    seen = Seen(record=records.parse_lease_record(answer.data), stat=answer.stat)
    doubted = state.chain.doubts
    state.chain, verdict = state.chain.judge(seen.record, seen.stat, turn.now)
    state.seen = seen
    if state.phase is Phase.RELEASING:
        _on_record_releasing(turn, seen, verdict)
    elif verdict is Verdict.CONFIRMED:
        turn.tell("renewal_found", level="debug", doubts=len(doubted))
        _extended(turn)
    elif verdict is Verdict.NOT_OURS:
        lose(turn, "record_replaced")
    elif verdict is Verdict.LAPSED:
        lose(turn, "lease_lapsed")


def _on_record_releasing(turn: Turn, seen: Seen, verdict: Verdict) -> None:
    is_ours = _is_ours(turn.state, seen)
    if is_ours and isinstance(seen.record, LeaseRecord) and seen.record.released:
        _end_released(turn)
    elif verdict is Verdict.NOT_OURS or not is_ours:
        # Somebody else holds it, or our claim was never applied: there is nothing to release.
        turn.finish()
    else:
        _release(turn, seen)


def _end_released(turn: Turn) -> None:
    turn.state.is_released = True
    turn.tell("released")
    turn.finish()


def _give_up_release(turn: Turn) -> None:
    chain = turn.state.chain
    if chain.held is not None or chain.doubts:
        turn.tell("release_unconfirmed", level="warning", consequence="a successor may have to wait out the lease")
    turn.finish()


def _give_up_command(turn: Turn) -> None:
    """The lease is over and something of the command may still be there: in the kernel's hands, or another user's.

    It is not released, and the candidate must not stand in the way of those who wait out that lease.
    """
    state = turn.state
    turn.tell("command_not_gone", level="error", reason=state.loss)
    _leave_unreleased(turn, Outcome(end=End.LOST_LATE, reason=state.loss))


def _leave_unreleased(turn: Turn, outcome: Outcome) -> None:
    turn.state.outcome, turn.state.since, turn.state.phase = outcome, turn.now, Phase.LEAVING


def on_session_lost(turn: Turn, reason: str) -> None:
    """Nothing can be written any more."""
    if turn.state.phase is Phase.RELEASING:
        _give_up_release(turn)
    else:
        turn.state.own = None
        lose(turn, reason)


def on_stopping(turn: Turn, event: CommandStopping) -> None:
    """The guard stops the command: for its own reasons, or because we said so."""
    if event.cause is Cause.DEADLINE:
        # It will not start anything again, whatever comes: leadership is over, also if a renewal is confirmed now.
        lose(turn, "lease_lapsed")
    elif turn.state.phase is Phase.LEADING:
        turn.state.phase = Phase.STOPPING


def on_gone(turn: Turn, event: CommandGone) -> None:
    """Everything of the command is gone: decide the outcome and release."""
    state = turn.state
    if not event.in_time:
        outcome = Outcome(end=End.LOST_LATE, number=event.wait_status, reason=state.loss or "lease_lapsed")
    elif event.cause.is_final_loss:
        outcome = Outcome(end=End.LOST, number=event.wait_status, reason=state.loss or "lease_lapsed")
    elif _is_restarted(state, event) and (state.loss or event.lost):
        # It would run on elsewhere, or here after a rejoin: that it has ended at this moment is not how we end.
        # The race: frozen until now, we may be released for by a guard that has met its deadline after the cause, while
        # the answer to a renewal of ours says that we lead.
        outcome = Outcome(end=End.LOST, number=event.wait_status, reason=state.loss or "lease_lapsed")
    elif _is_restarted(state, event):
        _pause(turn, event)
        return
    else:
        outcome = Outcome(end=End.COMMAND_ENDED, number=event.wait_status, reason=event.cause.value)
    _end_tenure(turn, outcome)


def _is_restarted(state: State, event: CommandGone) -> bool:
    return event.cause is Cause.ENDED and not state.asked_by and state.rules.restart.is_wanted(event.wait_status)


def _pause(turn: Turn, event: CommandGone) -> None:
    """The command has ended by itself and all of it is gone: lead on without one, until the delay has passed.

    The guard is replaced now and not at the start: should we die meanwhile, it is the new one that releases for us.
    """
    state = turn.state
    ran = turn.now.held_since(state.started) if state.started is not None else 0.0
    state.pause = restart.pause_after(
        state.pause, first=state.rules.restart_delay, ran=ran, wait_status=event.wait_status, now=turn.now
    )
    number = wait_status.signal_of(event.wait_status)
    turn.tell(
        "command_restarting",
        status=wait_status.exit_status_of(event.wait_status) if number is None else None,
        signal=number,
        delay=state.pause.delay,
        attempt=state.pause.attempt,
    )
    turn.actions.append(ReplaceGuard())
    state.phase = Phase.RESTARTING


def _start_again(turn: Turn) -> None:
    state = turn.state
    assert state.pause is not None
    assert state.chain.held is not None
    if state.pause.left(turn.now) <= 0:
        held = state.chain.held
        state.phase = Phase.LEADING
        turn.actions.append(StartCommand(lease_start=held.lease_start, token=held.token))


def _last_status(state: State) -> int:
    """Return the raw wait status of the last run in this tenure."""
    assert state.pause is not None
    return state.pause.wait_status


def _asked_between_runs(state: State) -> Outcome:
    return Outcome(end=End.COMMAND_ENDED, number=_last_status(state), reason=Cause.ASKED.value)


def on_not_started(turn: Turn, event: CommandFailed) -> None:
    """The command cannot be executed."""
    _end_tenure(turn, Outcome(end=End.NOT_EXECUTED, number=event.errno, reason="not_executed"))


def on_too_late(turn: Turn) -> None:
    """The guard was asked so late that it did not start anything: campaign again, with another guard."""
    state = turn.state
    if state.asked_by and state.pause is not None:
        _end_tenure(turn, _asked_between_runs(state))
    elif state.asked_by:
        _end_tenure(turn, Outcome(end=End.LEFT, number=state.asked_by, reason="asked"))
    else:
        turn.tell("start_too_late", level="warning")
        reason = state.loss or "start_too_late"
        if state.pause is None:
            _end_tenure(turn, Outcome(end=End.CANDIDACY_LOST, reason=reason))
        else:  # it has run in this tenure, which is what --on-loss is about
            _end_tenure(turn, Outcome(end=End.LOST, number=_last_status(state), reason=reason))


def on_guard_failed(turn: Turn, event: GuardFailed) -> None:
    """The guard is gone, and the supervisor has ended what it was guarding."""
    if event.proven:
        _end_tenure(turn, Outcome(end=End.GUARD_FAILED, reason=event.reason))
    else:
        # Not proven gone is not released: the successor waits out the lease.
        _leave_unreleased(turn, Outcome(end=End.LOST_LATE, reason=event.reason))


def _end_tenure(turn: Turn, outcome: Outcome) -> None:
    state = turn.state
    state.outcome, state.since = outcome, turn.now
    state.phase = Phase.RELEASING
    turn.want(Purpose.RECORD)
    if state.link is Link.OVER and release_in(state, turn.now) > 0:
        _give_up_release(turn)
    elif state.link is Link.OVER:
        # A lease that has ended needs no release.  (Thawed this late, we may even have been released for.)
        turn.finish()
