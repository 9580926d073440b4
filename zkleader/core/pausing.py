"""When the guard freezes the command, and what lets it go on (``--on-disconnect pause``).

It owns that one decision, over the guard's state.  Two things put leadership in doubt: the supervisor's word that the
connection is down, and a renewal that is overdue by the guard's own clock, because a supervisor that is frozen, stuck
or starved says nothing.  Only a renewal ends the doubt that was *sent* after its cause: one that was under way when the
connection broke says nothing of the time since, although it extends the lease.  It must not know control groups, and
moves no deadline.  It does not promise that the command stands still, only that it is told to: the kernel's word for it
comes as an event, and what is not in the control group is never frozen.

Who may fail at which line: while the supervisor is frozen, dead or late, the clock freezes; while the guard is frozen
or dead, nobody does, and the supervisor ends both as it always would.
"""

from __future__ import annotations

from zkleader.core import wire
from zkleader.core.acts import Act
from zkleader.core.disconnect import RENEWAL_OVERDUE, SUSPENDED, OnDisconnect
from zkleader.core.guard_actions import Action, Freeze, Kill, Report, Spawn, Thaw
from zkleader.core.guard_state import FREEZABLE, Freezing, Limit, Phase, State
from zkleader.core.lease import Instant


def suspend(state: State, suspended_at: Instant) -> State:
    """Note that the connection was found to be down at that instant."""
    known = state.suspended_at
    return state.but(suspended_at=suspended_at) if known is None or suspended_at.is_after(known) else state


def overdue_in(state: State, now: Instant) -> float | None:
    """Return the seconds until the command has to be frozen if no renewal comes; None where it is not or needs not."""
    if not _may_freeze(state) or state.freezing is not None:
        return None
    assert state.lease_start is not None, "a command exists only under a lease"
    return Limit(state.lease_start, state.timing.overdue_after).left(now)


def freeze_or_thaw(
    state: State, actions: tuple[Action, ...], now: Instant, *, by_clock: bool
) -> tuple[State, tuple[Action, ...]]:
    """Freeze the command when leadership is in doubt, thaw it when that is over.

    Whatever else is to be done comes after freezing, and what is started in doubt is forked into a control group that
    is frozen already: it does nothing before a renewal.
    """
    why = _doubt(state, now, by_clock=by_clock or state.freezing is not None)
    if state.freezing is None and why:
        if state.loss is not None:
            # Nothing would ever thaw it, so whatever is left of its grace would be of no use to it.
            return state.but(phase=Phase.KILLING, kill_began=now), (*actions, Kill())
        return _freeze(state, why, actions, now)
    # After a loss no renewal counts, so none could have ended the doubt.
    if state.freezing is not None and not why and state.phase in FREEZABLE:
        state, thawing = _thaw(state, now)
        return state, (*actions, *thawing)
    return state, actions


def is_whole(state: State, now: Instant) -> tuple[State, tuple[Action, ...]]:
    """Take the kernel's word that all of the command stands still: only now is it told."""
    freezing = state.freezing
    # The race: it was let go on between the kernel's word and ours.
    if freezing is None or freezing.is_whole:
        return state, ()
    told = wire.Paused(reason=freezing.reason, took=now.held_since(freezing.since))
    return state.but(freezing=freezing.but(is_whole=True)), (Report(message=told),)


def _doubt(state: State, now: Instant, *, by_clock: bool) -> str:
    """Return why the command must not act, an empty string if it may.

    ``by_clock``: everything that had arrived before ``now`` was heard, so the age of the lease counts too.
    """
    if not _may_freeze(state):
        return ""
    assert state.lease_start is not None, "a command exists only under a lease"
    if state.suspended_at is not None and not state.lease_start.is_after(state.suspended_at):
        return SUSPENDED
    is_overdue = Limit(state.lease_start, state.timing.overdue_after).left(now) <= 0
    return RENEWAL_OVERDUE if by_clock and is_overdue else ""


def _freeze(state: State, why: str, actions: tuple[Action, ...], now: Instant) -> tuple[State, tuple[Action, ...]]:
    """Freeze the command before anything else is done, or have it started frozen."""
    state = state.but(freezing=Freezing(reason=why, since=now))
    if any(isinstance(action, Spawn) for action in actions):
        # Each act has a control group of its own, which there is not before.
        return state, tuple(action.but(frozen=True) if isinstance(action, Spawn) else action for action in actions)
    return state, (Freeze(), *actions)


def _thaw(state: State, now: Instant) -> tuple[State, tuple[Action, ...]]:
    """Let it go on; told if it was told that it stands still."""
    assert state.freezing is not None
    seconds = now.held_since(state.freezing.since)
    told = Report(message=wire.Resumed(seconds=seconds))
    limit = state.kill_limit
    if limit is not None and state.cause is None:  # a hook's time-out, which has stood still
        limit = limit._replace(after=limit.after + seconds)
    thawed = state.but(freezing=None, kill_limit=limit)
    return thawed, (Thaw(), told) if state.freezing.is_whole else (Thaw(),)


def _may_freeze(state: State) -> bool:
    # On-lost is what there is to do about a loss, in the time that is left: frozen it would have none.
    return state.on_disconnect is OnDisconnect.PAUSE and state.phase in FREEZABLE and state.act is not Act.ON_LOST
