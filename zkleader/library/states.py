"""What a program sees of its leadership: the states of a candidate, and which of them a candidacy is in.  Pure.

It owns these values and the translation of the core's state, which knows more than a program wants to.  It must not
know threads or clocks.  A state promises only what was so when it was made: whether work may be begun *now* is
`Candidate.is_leading`'s to say, which looks at the clock.
"""

from __future__ import annotations

from typing import TypeAlias

from zkleader.core.actions import End, Outcome
from zkleader.core.candidacy_state import Link, Phase
from zkleader.core.candidacy_state import State as Candidacy
from zkleader.core.lease import Instant
from zkleader.core.records import KNOWN
from zkleader.core.value import Value
from zkleader.errors import InternalError, NewerFormatError, RefusedError, ZkLeaderError
from zkleader.zk.access import NotPermittedError, UnreachableError

OVERDUE_AFTER = 2
"""Renewal intervals after the last confirmed renewal was sent: the next one has not been answered for one of them."""


class Waiting(Value):
    """In the queue, or on the way there.  ``rank`` candidates were ahead when we last looked; None: not known yet."""

    rank: int | None


class Leading(Value):
    """The lease is held, and was renewed in time."""

    token: int


class Suspected(Value):
    """The lease is held and still runs, but it may be lost.

    ``reason``: ``disconnected`` (until a renewal is confirmed: a reconnection proves nothing) or ``renewal_overdue``.
    """

    token: int
    reason: str


class ResignAsked(Value):
    """An operator has asked us to resign: the lease is renewed meanwhile.  Begin no more work, finish, and resign."""

    token: int


class Lost(Value):
    """Leadership is over; ``reason`` is a stable word.  Stop the work before the deadline, then resign.

    The last state.  The lease is waited out by others unless resigning says, before it ends, that the work has stopped.
    """

    token: int | None
    reason: str


class Resigned(Value):
    """The program has given up leadership, or its place in the queue (``token`` None).  The last state."""

    token: int | None


class Failed(Value):
    """The campaign has ended without leadership; ``error`` says why.  The last state."""

    error: ZkLeaderError


State: TypeAlias = Waiting | Leading | Suspected | ResignAsked | Lost | Resigned | Failed

LAST = (Lost, Resigned, Failed)
"""No other state follows one of these."""


def token_of(state: State) -> int | None:
    """Return the fencing token in a state, None if it has none."""
    return None if isinstance(state, Waiting | Failed) else state.token


def state_of(candidacy: Candidacy, now: Instant, trouble: str = "") -> State:
    """Return the state that a candidacy is in; ``trouble``: why ZooKeeper could not be reached, as far as is known."""
    outcome, held = candidacy.outcome, candidacy.chain.held
    token = held.token if held is not None else None
    if candidacy.loss:
        return Lost(token=token, reason=candidacy.loss)
    if outcome is not None:
        return _last_of(outcome, token, trouble)
    if candidacy.phase in (Phase.JOINING, Phase.WAITING) or token is None:
        return Waiting(rank=candidacy.place.rank if candidacy.place is not None else None)
    if candidacy.phase is Phase.STOPPING:
        return ResignAsked(token=token)
    if _is_disconnected(candidacy):
        return Suspected(token=token, reason="disconnected")
    if _overdue_in(candidacy, now) <= 0:
        return Suspected(token=token, reason="renewal_overdue")
    return Leading(token=token)


def suspected_in(candidacy: Candidacy, now: Instant) -> float | None:
    """Return the seconds after which leadership has to be suspected without any event; None: events tell."""
    is_leading = isinstance(state_of(candidacy, now), Leading)
    return _overdue_in(candidacy, now) if is_leading else None


def _is_disconnected(candidacy: Candidacy) -> bool:
    """Say whether nothing was confirmed since the connection was last lost."""
    held = candidacy.chain.held
    assert held is not None
    return candidacy.link is not Link.UP or candidacy.since.held_since(held.lease_start) > 0


def _overdue_in(candidacy: Candidacy, now: Instant) -> float:
    held = candidacy.chain.held
    assert held is not None
    return OVERDUE_AFTER * candidacy.rules.timing.renewal_interval - now.held_since(held.lease_start)


def _last_of(outcome: Outcome, token: int | None, trouble: str) -> State:
    if outcome.end is End.CANDIDACY_LOST:  # another one follows
        return Waiting(rank=None)
    if outcome.end in (End.LOST, End.LOST_LATE):
        return Lost(token=token, reason=outcome.reason)
    if token is not None or outcome.end is End.LEFT:  # a tenure that was not lost has ended in order
        return Resigned(token=token)
    if outcome.end is End.UNREACHABLE:
        return Failed(error=UnreachableError(trouble or "no server answers"))
    if outcome.end is End.NOT_PERMITTED:
        return Failed(error=NotPermittedError.of(outcome.reason, trouble))
    if outcome.end is End.NEWER_FORMAT:
        return Failed(error=NewerFormatError(f"{outcome.reason}, and this version knows {KNOWN}"))
    if outcome.end is End.REFUSED:
        return Failed(error=RefusedError(outcome.reason))
    return Failed(error=InternalError(outcome.end.value))
