"""What follows what in a tenure: on-elected, the command, perhaps again, on-lost; and what is told of hooks.

It owns that order for ``termination``: an act begins only when everything of the one before is proven gone, the
command only after an on-elected that has succeeded, and on-lost is the last.  It must not know when an act is stopped
or killed.  It does not promise on-lost: that runs only in the time that is left before the lease's SIGKILL.

Who could be frozen, killed, cut off or late here: a *supervisor*, and so whatever ends the tenure against its will (a
deadline, a loss, its own death) has on-lost run without its word; the *guard*, and then the supervisor kills it and
nothing runs any more; the *network*, which nothing here needs; a *hook*, which has its time-out, and by the lease's
instants the end that the command would have had.
"""

from __future__ import annotations

from typing import Any

from zkleader.core import wire
from zkleader.core.acts import Act
from zkleader.core.disconnect import RENEWAL_OVERDUE
from zkleader.core.guard_actions import Action, Report, Spawn
from zkleader.core.guard_events import TreeGone
from zkleader.core.guard_state import Limit, Phase, State
from zkleader.core.lease import Instant
from zkleader.core.wait_status import exit_status_of, signal_of
from zkleader.core.wire import Cause

ELECTED = "elected"
"""The reason that on-elected is given."""

_NO_TIME = "no_time_left"

_REASONS = {
    Cause.DEADLINE: "lease_lapsed",
    Cause.OVERDUE: RENEWAL_OVERDUE,
    Cause.SUPERVISOR_GONE: "supervisor_gone",
    Cause.LOSS: "lost",
}
"""The words that the lease record has for them, too."""

Outcome = tuple[State, tuple[Action, ...]]


def begin(state: State, now: Instant) -> Outcome:
    """Begin what a start begins: on-elected, or the command if that is started again or there is no such hook."""
    is_first = state.hooks.on_elected and state.act is None
    return _begin(state, Act.ON_ELECTED, ELECTED, now) if is_first else _begin(state, Act.COMMAND, "", now)


def follow(state: State, event: TreeGone, now: Instant) -> Outcome:
    """Go on, or tell of the end, with what the proof and the clocks say about it: nothing of an act exists."""
    if state.act is Act.ON_LOST:
        return _over(state, now)
    is_late = isinstance(state.refusal, wire.TooLate)
    if state.refusal is not None and (is_late or state.act is Act.COMMAND):
        return state.but(phase=Phase.VACANT), (Report(message=state.refusal),)
    if state.act is Act.ON_ELECTED and state.cause is None and state.wait_status == 0:
        if _stop_is_due(state, now):
            return state.but(phase=Phase.VACANT, loss=state.loss or Cause.DEADLINE), (Report(message=wire.TooLate()),)
        return _begin(state, Act.COMMAND, "", now)
    is_hook = state.act is Act.ON_ELECTED
    cause = state.cause or (Cause.HOOK_FAILED if is_hook else Cause.ENDED)
    began = state.stop_began or now
    gone = wire.Gone(
        cause=cause,
        wait_status=state.wait_status,
        in_time=_is_in_time(state, now),
        signalled=event.signalled,
        killed=event.killed,
        kill_began_after=max(0.0, state.kill_began.held_since(began)) if state.kill_began is not None else 0.0,
        gone_after=now.held_since(began),
        lost=state.loss is not None,
        ran=not is_hook,
    )
    return state.but(phase=Phase.VACANT, cause=cause), (Report(message=gone),)


def end_tenure(state: State, reason: str, now: Instant) -> Outcome:
    """Begin nothing more but on-lost: nothing exists."""
    if not state.owes_on_lost:
        return state.but(phase=Phase.GONE), ()
    assert state.lease_start is not None, "something was begun under a lease"
    if Limit(state.lease_start, state.timing.kill_after).left(now) <= 0:
        state = state.but(phase=Phase.GONE, act=Act.ON_LOST, on_lost_came_to="on-lost had no time")
        skipped = _note("warning", "hook_skipped", hook=_name_of(state), reason=_NO_TIME)
        return state, (skipped, _told_over(state, in_time=True))
    return _begin(state, Act.ON_LOST, reason, now)


def reason_of(state: State) -> str:
    """Return what on-lost is told of a loss that the supervisor need not know of."""
    assert state.loss is not None
    return (state.reason if state.loss is Cause.LOSS else "") or _REASONS[state.loss]


def told_over(state: State) -> Report:
    """Answer a supervisor that asks for the end of a tenure which is over, or never began."""
    return _told_over(state, in_time=True)


def started(state: State, pid: int) -> Report:
    """Tell that a hook was executed."""
    return _note("info", "hook_started", hook=_name_of(state), pid=pid)


def not_executed(state: State, refusal: wire.TooLate | wire.ExecFailed) -> Report:
    """Tell that a hook was not."""
    if isinstance(refusal, wire.TooLate):
        return _note("warning", "hook_skipped", hook=_name_of(state), reason=_NO_TIME)
    return _note("error", "hook_not_executed", hook=_name_of(state), errno=refusal.errno)


def ended(state: State, now: Instant) -> Report:
    """Tell how a hook's first process has ended."""
    return _note(
        "warning" if state.wait_status else "info",
        "hook_ended",
        hook=_name_of(state),
        took=_took(state, now),
        **_ended(state.wait_status),
    )


def killed(state: State, now: Instant) -> Report:
    """Tell that a hook has had its time: its own, or what the lease leaves to it."""
    has_had_its_time = state.kill_limit is not None and state.kill_limit.left(now) <= 0
    reason = "timeout" if has_had_its_time else "deadline"
    return _note("warning", "hook_killed", hook=_name_of(state), reason=reason, took=_took(state, now))


def _begin(state: State, act: Act, reason: str, now: Instant) -> Outcome:
    lease_start = state.lease_start
    assert lease_start is not None, "everything runs under a lease"
    state = state.but(
        act=act,
        act_began=now,
        phase=Phase.STARTING,
        cause=None,
        refusal=None,
        wait_status=0,
        stop_began=None,
        kill_began=None,
        freezing=None,
        kill_limit=Limit(now, state.hooks.timeout) if act.is_hook else None,
    )
    environment = dict(state.environment) | ({"ZKLEADER_REASON": reason} if act.is_hook else {})
    return state, (Spawn(act=act, lease_start=lease_start, environment=environment),)


def _over(state: State, now: Instant) -> Outcome:
    number = signal_of(state.wait_status)
    how = f"ended with status {exit_status_of(state.wait_status)}" if number is None else f"died of signal {number}"
    state = state.but(phase=Phase.GONE, on_lost_came_to="on-lost was not run" if state.refusal else f"on-lost {how}")
    return state, (_told_over(state, in_time=_is_in_time(state, now)),)


def _told_over(state: State, *, in_time: bool) -> Report:
    return Report(message=wire.TenureOver(in_time=in_time, lost=state.loss is not None))


def _is_in_time(state: State, now: Instant) -> bool:
    return state.lease_start is not None and now.held_since(state.lease_start) <= state.timing.gone_after


def _stop_is_due(state: State, now: Instant) -> bool:
    assert state.lease_start is not None
    return Limit(state.lease_start, state.timing.stop_after_with(state.on_disconnect)).left(now) <= 0


def _took(state: State, now: Instant) -> float:
    return round(now.held_since(state.act_began), 3) if state.act_began is not None else 0.0


def _ended(raw: int) -> dict[str, Any]:
    number = signal_of(raw)
    return {"status": exit_status_of(raw)} if number is None else {"signal": number}


def _name_of(state: State) -> str:
    assert state.act is not None
    return state.act.value


def _note(level: str, event: str, **facts: Any) -> Report:
    return Report(message=wire.Note(level=level, event=event, facts=facts))
