"""The instants by which the guard stops and kills what it runs, whatever anybody says.

It owns how they follow from the lease, from what was asked for and from a hook's time-out, and how long the guard may
wait for news until the first of them.  It must not decide what follows: that is ``termination``'s.
"""

from __future__ import annotations

from zkleader.core import pausing
from zkleader.core.guard_state import COMMAND_EXISTS, Limit, Phase, State
from zkleader.core.lease import Instant

KILL_REPEAT_SHORTEST = 0.001
"""Seconds between the first passes of SIGKILL: a tree that forks while it is searched must be met again at once."""

KILL_REPEAT_LONGEST = 0.25
"""Seconds between passes later on: what has not gone by then sits in the kernel, and hurrying does not help."""

KILL_REPEAT_FRACTION = 0.05
"""The interval between passes, as a fraction of the time since the first."""


def due_in(state: State, now: Instant) -> float | None:
    """Return in how many seconds a Tick will change something, zero if it would already, None if never."""
    limits: list[float] = []
    if has_stop(state):
        limits.append(stop_limit(state).left(now))
    if state.phase in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING):
        limits.append(kill_in(state, now))
    if (overdue_in := pausing.overdue_in(state, now)) is not None:
        limits.append(overdue_in)
    if state.phase is Phase.KILLING and state.kill_began is not None:
        elapsed = now.held_since(state.kill_began)
        limits.append(min(KILL_REPEAT_LONGEST, max(KILL_REPEAT_SHORTEST, KILL_REPEAT_FRACTION * elapsed)))
    if state.phase is Phase.RELEASING and state.release_limit is not None:
        # Past it the program is killed again now and then: one that does not end at once sits in the kernel.
        left = state.release_limit.left(now)
        limits.append(left if left > 0 else KILL_REPEAT_LONGEST)
    return max(0.0, min(limits)) if limits else None


def has_stop(state: State) -> bool:
    """Return whether the lease's end calls for something: a stop, or on-lost."""
    is_vacant = state.phase is Phase.VACANT and state.owes_on_lost
    return state.loss is None and (state.phase in COMMAND_EXISTS or is_vacant)


def stop_limit(state: State) -> Limit:
    """Return until when a renewal must have come, or what runs is told to stop."""
    assert state.lease_start is not None, "a command exists only under a lease"
    return Limit(state.lease_start, state.timing.stop_after_with(state.on_disconnect))


def kill_in(state: State, now: Instant) -> float:
    """Return the seconds until SIGKILL: what the causes ask for, and never past the lease's own."""
    assert state.lease_start is not None, "a command exists only under a lease"
    lease = Limit(state.lease_start, state.timing.kill_after).left(now)
    stands_still = state.freezing is not None and state.cause is None  # and so does a hook's time-out
    return lease if state.kill_limit is None or stands_still else min(lease, state.kill_limit.left(now))
