"""``--on-disconnect``: what becomes of COMMAND while it is in doubt whether we still lead, and the lease runs on.

It owns the policies and the two reasons for such a doubt, which are words that users meet.  It must not know who acts
on them: supervisor (``tenure``) and guard (``pausing``, ``termination``) both do, because either may be the one that
still runs.  It promises nothing about leadership, which the lease alone decides.
"""

from __future__ import annotations

from enum import Enum

SUSPENDED = "suspended"
"""The connection is down, or nothing was confirmed that was sent since it was."""

RENEWAL_OVERDUE = "renewal_overdue"
"""No renewal was confirmed for longer than a supervisor that runs would let pass (``Timing.overdue_after``)."""


class OnDisconnect(Enum):
    """What to do in such a doubt."""

    CONTINUE = "continue"
    """Nothing: the lease still runs."""
    PAUSE = "pause"
    """Freeze the command until a renewal is confirmed."""
    STOP = "stop"
    """Step down."""
