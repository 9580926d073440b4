"""What systemd is told of a run: that it is ready, how it stands, that it ends, and signs of life.

The watchdog is the third one that stops the command: where supervisor and guard are both frozen, systemd kills them
and the command with them.  While leading it must do so by the instant when the guard would have, so a sign of life then
is a confirmed renewal with the guard's answer, and lasts until ``kill_at``; otherwise it is that both processes answer.
(systemd's timer may be a quarter of a second late, which is half of the smallest kill allowance.)

This module reads no clock and sends nothing.  It must not know the socket, and does not promise that systemd listens.
"""

from __future__ import annotations

from zkleader.core import campaign, slots
from zkleader.core.candidacy_state import IN_TENURE, Link, Phase, State
from zkleader.core.lease import Instant
from zkleader.core.value import Value

SHARE_OF_WATCHDOG = 5
"""A beat is asked for, and a sign of life wanted, this many times in an interval of the watchdog.  An answer that comes
just before the next sign is wanted leaves it to the next beat: still more than twice in an interval."""


class Told(Value):
    """What systemd was told so far in this run, over all candidacies."""

    is_ready: bool = False
    is_ending: bool = False
    status: str = ""
    lived_at: float | None = None
    """When the last sign of life was sent (CLOCK_MONOTONIC)."""
    lease_start: Instant | None = None
    """The lease whose ``kill_at`` is the watchdog's next instant; None while its interval is the unit's own."""


def beat_interval(watchdog: float | None) -> float | None:
    """Return the seconds from one sign of life to the next, None where nobody waits for any."""
    return None if watchdog is None else watchdog / SHARE_OF_WATCHDOG


def tell(
    told: Told,
    state: State,
    now: Instant,
    *,
    is_ending: bool,
    answered_at: float | None,
    watchdog: float | None,
) -> tuple[Told, tuple[str, ...]]:
    """Return what is told after this, and the lines to send now.

    ``answered_at`` is when the guard last said anything (CLOCK_MONOTONIC), ``watchdog`` the unit's interval in seconds
    (None: no watchdog), ``is_ending`` whether no other candidacy will follow.
    """
    lines: list[str] = []
    if not told.is_ready and state.own is not None:
        told = told.but(is_ready=True)
        lines.append("READY=1")
    if not told.is_ending and is_ending:
        told = told.but(is_ending=True)
        lines.append("STOPPING=1")
    status = _status(state, now)
    if status != told.status:
        told = told.but(status=status)
        lines.append(f"STATUS={status}")
    # Before it is ready its start has a limit of its own, and a sign of life would begin the watchdog's.
    if watchdog is not None and told.is_ready:
        told, signs = _live(told, state, now, answered_at, watchdog)
        lines.extend(signs)
    return told, tuple(lines)


def _live(
    told: Told, state: State, now: Instant, answered_at: float | None, watchdog: float
) -> tuple[Told, tuple[str, ...]]:
    held = state.chain.held if state.phase in IN_TENURE else None
    if held is not None:
        if not _is_sign(told, held.lease_start, answered_at):
            return told, ()
        left = state.rules.timing.kill_after - now.held_since(held.lease_start)
        return _sign(told.but(lease_start=held.lease_start), now, left)
    if told.lease_start is not None:
        # Nothing of the command is left, or its lease is over: what follows has the unit's own interval again.
        return _sign(told.but(lease_start=None), now, watchdog)
    if told.lived_at is not None:
        is_due = now.monotonic - told.lived_at >= watchdog / SHARE_OF_WATCHDOG
        if not is_due or answered_at is None or answered_at <= told.lived_at:
            return told, ()
    elif answered_at is None:
        return told, ()
    return told.but(lived_at=now.monotonic), ("WATCHDOG=1",)


def _is_sign(told: Told, lease_start: Instant, answered_at: float | None) -> bool:
    """Say whether a confirmed lease is a sign of life that systemd has not had yet."""
    if told.lease_start is None:
        # The race: both processes are frozen just after the command has started, and what systemd was told last, while
        # waiting, lets it wait beyond the lease.  The first lease is told before the start is, whatever the guard says.
        return True
    return lease_start != told.lease_start and answered_at is not None and answered_at >= lease_start.monotonic


def _sign(told: Told, now: Instant, seconds: float) -> tuple[Told, tuple[str, ...]]:
    microseconds = int(seconds * 1_000_000)
    if microseconds <= 0:  # that would switch the watchdog off
        return told, ()
    return told.but(lived_at=now.monotonic), ("WATCHDOG=1", f"WATCHDOG_USEC={microseconds}")


def _status(state: State, now: Instant) -> str:
    if state.phase is Phase.JOINING and campaign.join_in(state, now) > 0:
        return "not campaigning for a while: on-elected has failed"
    if state.phase is Phase.JOINING:
        return "campaigning" if state.link is Link.UP else "campaigning: no connection to ZooKeeper"
    if state.phase is Phase.WAITING:
        return _standby(state, now)
    held = state.chain.held
    token = held.token if held is not None else 0
    leader = "leader" if state.rules.leaders == 1 else f"leader in slot {state.slot} of {state.rules.leaders}"
    if state.phase is Phase.LEADING:
        doing = ": paused" if state.is_paused else ": running on-elected" if state.is_electing else ""
        return f"{leader}, token {token}{doing}"
    if state.phase is Phase.RESTARTING:
        return f"{leader}, token {token}: restarting the command"
    if state.phase is Phase.STOPPING:
        lost = f"leadership lost ({state.loss})" if state.loss else f"{leader}, token {token}"
        return f"{lost}: stopping the command"
    if state.phase is Phase.HANDING_OVER:
        lost = f"leadership lost ({state.loss})" if state.loss else f"{leader}, token {token}"
        return f"{lost}: running on-lost"
    if state.phase is Phase.RELEASING:
        return "stopping: releasing the lease"
    return "stopping"


def _standby(state: State, now: Instant) -> str:
    place = state.place
    if place is None:
        return "standby"
    way = slots.next_claim(state, now)
    if way is not None and way[0] > 0:
        return f"standby, rank {place.rank}: waiting out a lease"
    return f"standby, rank {place.rank}"
