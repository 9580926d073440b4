"""A tenure, from the confirmed claim to the proof that nothing of the command is left: renew, step down.

A loss that is known for certain is told to the guard at once; silence is not, because the guard has the deadline
already.  Only when everything of the command is proven gone (``tenure_end``) does ``release`` follow.  After a loss, or
once it was asked to stop, no command is ever started again; one that has ended by itself may be, under the same
lease (``restart``).
"""

from __future__ import annotations

from zkleader.core import records, release, tenure_end
from zkleader.core.actions import (
    Check,
    End,
    ExtendLease,
    Get,
    KillCommand,
    Multi,
    Outcome,
    SetData,
    StartCommand,
    StopCommand,
    Sync,
    TellSuspended,
)
from zkleader.core.candidacy_state import Flight, Need, Phase, Purpose, Seen, State
from zkleader.core.chain import Verdict
from zkleader.core.disconnect import RENEWAL_OVERDUE, SUSPENDED, OnDisconnect
from zkleader.core.events import (
    Answer,
    Applied,
    CommandPaused,
    CommandResumed,
    CommandStopping,
    Content,
    Refusal,
    Refused,
)
from zkleader.core.lease import Instant
from zkleader.core.records import LeaseRecord
from zkleader.core.turn import Turn
from zkleader.core.wire import Cause
from zkleader.core.write import lacked_candidate, stat_of_record


def renewal_in(state: State, now: Instant) -> float:
    """Return the seconds until the next renewal is to be sent."""
    assert state.last_write is not None
    if state.rules.on_disconnect is OnDisconnect.PAUSE and state.since.is_after(state.last_write):
        # The command is frozen until a renewal is confirmed that was sent since the connection was down.
        return 0.0
    if state.seen is not None and isinstance(state.seen.record, LeaseRecord) and state.seen.record.before is not None:
        # A change of the number of leaders: until it is confirmed, nobody else may claim.  So the first renewal follows
        # at once; where it is refused, the next ones not as fast as the server can.
        is_first = state.chain.held is not None and state.last_write == state.chain.held.lease_start
        interval = 0.0 if is_first else state.rules.timing.renewal_interval / 4
        return interval - now.held_since(state.last_write)
    return state.rules.timing.renewal_interval - now.held_since(state.last_write)


def stop_in(state: State, now: Instant) -> float:
    """Return the seconds until the stop signal is due for want of a renewal."""
    assert state.chain.held is not None
    return state.rules.stop_after - now.held_since(state.chain.held.lease_start)


def advance(turn: Turn) -> None:
    """Send what is due while leading or stopping."""
    state = turn.state
    if turn.is_wanted(Purpose.SYNC):
        turn.send(Purpose.SYNC, Sync(path=state.rules.election))
    if turn.is_wanted(Purpose.OWN) and state.phase not in (Phase.STOPPING, Phase.HANDING_OVER):
        turn.send(Purpose.OWN, Get(path=state.own_path))
    if state.loss or stop_in(state, turn.now) <= 0:  # the tick that says so may be behind this event
        return
    if turn.is_wanted(state.record):
        turn.send(state.record, Get(path=state.record_path, watch=False))
    elif turn.is_idle(state.record, Purpose.WRITE, Purpose.SYNC) and renewal_in(state, turn.now) <= 0:
        _renew(turn)


def expire(turn: Turn) -> None:
    """Act on what the clock alone says."""
    state = turn.state
    if not state.loss and stop_in(state, turn.now) <= 0:
        # Stopping too: what then never goes must not keep us, nor be renewed over.
        lose(turn, RENEWAL_OVERDUE if state.rules.on_disconnect is OnDisconnect.STOP else "lease_lapsed")
    elif state.phase is Phase.RESTARTING:
        _start_again(turn)
    elif (
        state.phase in (Phase.STOPPING, Phase.HANDING_OVER) and state.loss and release.useful_for(state, turn.now) <= 0
    ):
        _give_up_command(turn)


def on_suspended(turn: Turn) -> None:
    """The connection is down: the lease runs on, and whether the command does is the user's choice."""
    match turn.state.rules.on_disconnect:
        case OnDisconnect.CONTINUE:
            pass
        case OnDisconnect.PAUSE:
            turn.actions.append(TellSuspended(suspended_at=turn.now))
        case OnDisconnect.STOP:
            lose(turn, SUSPENDED)


def start_command(turn: Turn) -> None:
    """Have the command started under the lease that is held."""
    state, held = turn.state, turn.state.chain.held
    assert held is not None
    if state.rules.on_disconnect is OnDisconnect.PAUSE and state.since.is_after(held.lease_start):
        # What is held was sent before the connection was last down: a claim that a read has shown, and the guard was
        # not told before there was a command.  It starts that frozen.
        turn.actions.append(TellSuspended(suspended_at=state.since))
    turn.actions.append(StartCommand(lease_start=held.lease_start, token=held.token, slot=state.slot))


def on_paused(turn: Turn, event: CommandPaused) -> None:
    """The guard has frozen the command."""
    turn.state.is_paused = True
    turn.tell("command_paused", level="warning", reason=event.reason, took=round(event.took, 4))


def on_resumed(turn: Turn, event: CommandResumed) -> None:
    """The guard lets it go on."""
    turn.state.is_paused = False
    turn.tell("command_resumed", seconds=round(event.seconds, 3))


def lose(turn: Turn, reason: str) -> None:
    """Leadership is over: stop the command at once."""
    state = turn.state
    if state.loss:
        return
    tenure_end.note_loss(turn, reason)
    if state.phase is Phase.RESTARTING:
        # Nothing is there to be stopped; the guard is told that the tenure is over.
        tenure_end.conclude(turn, Outcome(end=End.LOST, number=tenure_end.last_status(state), reason=reason))
        return
    turn.actions.append(StopCommand(cause=Cause.LOSS))
    if state.phase is not Phase.HANDING_OVER:
        state.phase = Phase.STOPPING


def step_down(turn: Turn, signal: int) -> None:
    """The user asked us to end: stop the command in order and go on renewing; asked again, kill it."""
    state = turn.state
    # Whoever asked us to resign is somebody else: that was not the user's first word.
    resigns = state.resign_request is not None and not state.loss and not state.asked_by
    state.asked_by = state.asked_by or signal
    if state.phase is Phase.STOPPING and not resigns:
        turn.tell("kill_asked", level="warning")
        turn.actions.append(KillCommand())
    elif state.phase is Phase.HANDING_OVER:
        # What undoes things is not to be hurried: it has its time-out.
        turn.tell("stop_asked", signal=signal)
    else:
        turn.tell("stop_asked", signal=signal)
        _stop_in_order(turn)


def heed(turn: Turn) -> None:
    """Resign if somebody has asked for that: stop the command in order and go on renewing.

    A request is looked for in the state and not in the event that brings it: it may have been read before the answer
    that says that we lead.  A command that is being stopped already needs no other reason; whether it is started again
    is asked when it is gone.
    """
    state, request = turn.state, turn.state.resign_request
    if request is not None and state.phase in (Phase.LEADING, Phase.RESTARTING):
        turn.tell("resign_asked", user=request.user, host=request.host)
        _stop_in_order(turn)


def _stop_in_order(turn: Turn) -> None:
    state = turn.state
    if state.phase is Phase.RESTARTING:
        tenure_end.conclude(turn, tenure_end.asked_between_runs(state) if state.asked_by else tenure_end.RESIGNED)
    elif state.phase is Phase.LEADING:
        turn.actions.append(StopCommand(cause=Cause.ASKED))
        state.phase = Phase.STOPPING


def _start_again(turn: Turn) -> None:
    state = turn.state
    assert state.pause is not None
    if state.pause.left(turn.now) <= 0:
        state.phase = Phase.LEADING
        start_command(turn)


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
        SetData(path=state.record_path, data=records.encode(record), version=seen.stat.version),
    )
    turn.send(Purpose.WRITE, Multi(operations=operations), attempt=attempt, record=record)


def on_unanswered(turn: Turn, purpose: Need) -> None:
    """Read the record, after reconnecting, to learn what became of a write."""
    if purpose is Purpose.WRITE:
        turn.want(Purpose.SYNC, turn.state.record)
    else:
        turn.want(purpose)


def on_answer(turn: Turn, purpose: Need, flight: Flight, answer: Answer) -> None:
    """Take an answer while leading or stopping."""
    if purpose is Purpose.WRITE:
        _on_write(turn, flight, answer)
    elif purpose == turn.state.record:
        _on_record(turn, answer)
    elif purpose is Purpose.OWN and isinstance(answer, Content):
        turn.note_own(answer)
    elif purpose is Purpose.OWN and isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE:
        on_candidate_deleted(turn)


def on_candidate_deleted(turn: Turn) -> None:
    """Our candidate is gone: somebody wants us to stop, or the session is over and we have not been told yet."""
    turn.state.own = None
    lose(turn, "candidate_deleted")


def _on_write(turn: Turn, flight: Flight, answer: Answer) -> None:
    state = turn.state
    assert flight.attempt is not None
    if isinstance(answer, Refused):
        state.chain = state.chain.refused(flight.attempt)
        _on_refused(turn, flight, answer)
        return
    assert isinstance(answer, Applied)
    stat = stat_of_record(state, flight, answer)
    before = state.chain.held
    state.chain, verdict = state.chain.confirm(flight.attempt, stat, turn.now)
    assert flight.record is not None
    state.seen = Seen(record=flight.record, stat=stat)
    if verdict is not Verdict.CONFIRMED:
        lose(turn, "record_replaced" if verdict is Verdict.NOT_OURS else "lease_lapsed")
    elif before is not None:
        _extended(turn)


def _extended(turn: Turn) -> None:
    state = turn.state
    assert state.chain.held is not None
    if state.loss:
        return
    turn.tell("renewed", level="debug", took=round(turn.now.held_since(state.chain.held.lease_start), 4))
    turn.actions.append(ExtendLease(lease_start=state.chain.held.lease_start))


def _on_refused(turn: Turn, flight: Flight, answer: Refused) -> None:
    if lacked_candidate(turn.state, flight, answer):
        on_candidate_deleted(turn)
    elif answer.refusal is Refusal.NO_NODE:
        lose(turn, "record_deleted")
    elif answer.refusal.is_for_lack_of_rights:
        lose(turn, "not_permitted")
    else:
        # BadVersion may be our own write, whose answer was lost: read before believing it.
        turn.want(Purpose.SYNC, turn.state.record)


def _on_record(turn: Turn, answer: Answer) -> None:
    state = turn.state
    if not isinstance(answer, Content):
        if isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE:
            lose(turn, "record_deleted")
        return
    seen = Seen(record=records.parse_lease_record(answer.data, answer.stat), stat=answer.stat)
    doubted = state.chain.doubts
    state.chain, verdict = state.chain.judge(seen.record, seen.stat, turn.now)
    state.seen = seen
    if verdict is Verdict.CONFIRMED:
        turn.tell("renewal_found", level="debug", doubts=len(doubted))
        _extended(turn)
    elif verdict is Verdict.NOT_OURS:
        lose(turn, "record_replaced")
    elif verdict is Verdict.LAPSED:
        lose(turn, "lease_lapsed")


def _give_up_command(turn: Turn) -> None:
    """The lease is over and something of the command may still be there: in the kernel's hands, or another user's.

    It is not released, and the candidate must not stand in the way of those who wait out that lease.
    """
    state = turn.state
    turn.tell("command_not_gone", level="error", reason=state.loss)
    tenure_end.leave_unreleased(turn, Outcome(end=End.LOST_LATE, reason=state.loss))


def on_session_lost(turn: Turn, reason: str) -> None:
    """Our candidate is gone, and nothing can be written any more."""
    turn.state.own = None
    lose(turn, reason)


def on_stopping(turn: Turn, event: CommandStopping) -> None:
    """The guard stops the command: for its own reasons, or because we said so."""
    if event.cause in (Cause.DEADLINE, Cause.OVERDUE):
        # It will not start anything again, whatever comes: leadership is over, also if a renewal is confirmed now.
        lose(turn, RENEWAL_OVERDUE if event.cause is Cause.OVERDUE else "lease_lapsed")
    elif turn.state.phase is Phase.LEADING:
        turn.state.phase = Phase.STOPPING
