"""The end of a run of the command, and with it mostly of the tenure: what is told of it, on-lost, and the release.

It owns which outcome an end has, whatever has ended: the command by itself or because it was stopped, its start, or its
guard.  It must not know why a command is stopped, but for what the state says: a loss, somebody's request to resign,
the user's.  It does not promise that anything is released (``release``), and releases nothing that is not proven gone,
on-lost included.
"""

from __future__ import annotations

from zkleader.core import release, restart, wait_status
from zkleader.core.actions import End, EndTenure, Outcome
from zkleader.core.acts import Act
from zkleader.core.candidacy_state import Link, Phase, State
from zkleader.core.events import CommandFailed, CommandGone, GuardFailed, TenureOver
from zkleader.core.turn import Turn
from zkleader.core.wire import Cause

RESIGNED = Outcome(end=End.RESIGNED, reason="resigned")


def note_loss(turn: Turn, reason: str) -> None:
    """Leadership is over: remember why, and tell it."""
    turn.state.loss = reason
    turn.tell("leadership_lost", level="warning", reason=reason)


def on_gone(turn: Turn, event: CommandGone) -> None:
    """Everything of the command is gone: decide the outcome and release."""
    state = turn.state
    state.is_paused = False
    if event.lost and not state.loss:
        # The race: frozen until now, we have not met the deadline that the guard has met after the cause.
        note_loss(turn, "lease_lapsed")
    would_be_followed = _is_restarted(state, event) or _is_resigned(state, event)
    if not event.in_time:
        outcome = Outcome(end=End.LOST_LATE, number=event.wait_status, reason=state.loss or "lease_lapsed")
    elif event.cause.is_final_loss or (state.loss and would_be_followed):
        # With --restart it would run on elsewhere, or here after a rejoin: that it has ended at this moment is not how
        # we end.  Nor is that somebody has asked us to resign: leadership was not handed over but lost.
        outcome = Outcome(end=End.LOST, number=event.wait_status, reason=state.loss or "lease_lapsed")
    elif event.cause is Cause.HOOK_FAILED:
        outcome = _on_elected_failed(turn, event)
    elif _is_resigned(state, event) or (not event.ran and not state.asked_by):
        outcome = RESIGNED
    elif not event.ran:
        outcome = Outcome(end=End.LEFT, number=state.asked_by, reason=event.cause.value)
    elif _is_restarted(state, event):
        _pause(turn, event)
        return
    else:
        outcome = Outcome(end=End.COMMAND_ENDED, number=event.wait_status, reason=event.cause.value)
    conclude(turn, outcome)


def _on_elected_failed(turn: Turn, event: CommandGone) -> Outcome:
    """Step down, and do not come back at once: alone in the queue we would be elected again the next moment."""
    memory, delay = turn.state.memory, turn.state.rules.restart_delay
    pause = restart.pause_after(memory.pause, first=delay, ran=0.0, wait_status=event.wait_status, now=turn.now)
    turn.remember(led=True, pause=pause)
    return Outcome(end=End.HOOK_FAILED, number=event.wait_status, reason=event.cause.value)


def _is_restarted(state: State, event: CommandGone) -> bool:
    return event.cause is Cause.ENDED and not state.asked_by and state.rules.restart.is_wanted(event.wait_status)


def _is_resigned(state: State, event: CommandGone) -> bool:
    """Say whether the command is gone because somebody asked us to resign, or is not started again because of that.

    What our own user asked for goes before, whichever came first.
    """
    is_asked = state.resign_request is not None and not state.asked_by
    return is_asked and (event.cause is Cause.ASKED or _is_restarted(state, event))


def _pause(turn: Turn, event: CommandGone) -> None:
    """The command has ended by itself and all of it is gone: lead on without one, until the delay has passed.

    Should we die meanwhile, the guard runs on-lost and releases for us.
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
    state.phase = Phase.RESTARTING


def last_status(state: State) -> int:
    """Return the raw wait status of the last run in this tenure."""
    assert state.pause is not None
    return state.pause.wait_status


def asked_between_runs(state: State) -> Outcome:
    """Return the outcome of a tenure that the user ends while there is no command to be stopped."""
    return Outcome(end=End.COMMAND_ENDED, number=last_status(state), reason=Cause.ASKED.value)


def on_not_started(turn: Turn, event: CommandFailed) -> None:
    """The command cannot be executed."""
    conclude(turn, Outcome(end=End.NOT_EXECUTED, number=event.errno, reason="not_executed"))


def on_too_late(turn: Turn) -> None:
    """The guard was asked so late that it did not start anything: campaign again, with another guard.

    Also if somebody has asked us to resign meanwhile: a tenure in which nothing has run is none to anybody but the
    queue, and we are at the end of it.
    """
    state = turn.state
    resigns = state.resign_request is not None and not state.loss
    if state.asked_by and state.pause is not None:
        conclude(turn, asked_between_runs(state))
    elif state.asked_by:
        conclude(turn, Outcome(end=End.LEFT, number=state.asked_by, reason="asked"))
    elif resigns and state.pause is not None:
        conclude(turn, RESIGNED)
    elif resigns:
        conclude(turn, Outcome(end=End.CANDIDACY_LOST, reason=RESIGNED.reason))
    else:
        turn.tell("start_too_late", level="warning")
        reason = state.loss or "start_too_late"
        if state.pause is None:
            conclude(turn, Outcome(end=End.CANDIDACY_LOST, reason=reason))
        else:  # it has run in this tenure, which is what --on-loss is about
            conclude(turn, Outcome(end=End.LOST, number=last_status(state), reason=reason))


def on_guard_failed(turn: Turn, event: GuardFailed) -> None:
    """The guard is gone, and the supervisor has ended what it was guarding."""
    turn.state.is_paused = False
    if turn.state.rules.hooks.on_lost:
        # There is nobody left to run it, and to kill it in time; or it was being run.
        turn.tell("hook_skipped", level="warning", hook=Act.ON_LOST.value, reason=event.reason)
    if event.proven:
        _release(turn, Outcome(end=End.GUARD_FAILED, reason=event.reason))
    else:
        # Not proven gone is not released: the successor waits out the lease.
        leave_unreleased(turn, Outcome(end=End.LOST_LATE, reason=event.reason))


def on_tenure_over(turn: Turn, event: TenureOver) -> None:
    """Nothing of on-lost is left either."""
    state = turn.state
    if event.lost and not state.loss:
        # The race: frozen until now, we have not met the deadline that the guard has met.
        note_loss(turn, "lease_lapsed")
    outcome = state.outcome
    if outcome is None:
        # In a pause, or with a start under way that came too late: it has run in this tenure.
        outcome = Outcome(end=End.LOST, number=last_status(state) if state.pause is not None else 0, reason=state.loss)
    if event.in_time:
        _release(turn, outcome)
    else:
        leave_unreleased(turn, Outcome(end=End.LOST_LATE, number=outcome.number, reason=state.loss or "lease_lapsed"))


def conclude(turn: Turn, outcome: Outcome) -> None:
    """Nothing of the command is left: have on-lost run, then release."""
    state = turn.state
    if not state.rules.hooks.on_lost:
        _release(turn, outcome)
        return
    # The guard answers, also if it has run it already or has nothing to do: until then renewing goes on.
    state.outcome = outcome
    state.phase = Phase.HANDING_OVER
    turn.actions.append(EndTenure(reason=outcome.reason or outcome.end.value))


def _release(turn: Turn, outcome: Outcome) -> None:
    """Release, if there is still any use in that."""
    state = turn.state
    state.outcome, state.since = outcome, turn.now
    state.phase = Phase.RELEASING
    turn.want(state.record)
    if state.link is Link.OVER:
        release.give_up(turn)


def leave_unreleased(turn: Turn, outcome: Outcome) -> None:
    """Something may be left: end without a release, so that a successor waits out the lease."""
    turn.state.outcome, turn.state.since, turn.state.phase = outcome, turn.now, Phase.LEAVING
