"""``--restart``: whether COMMAND is started again after it has ended by itself, and after which delay.

It owns the policy and the doubling of delays.  It must not know leases: that we still lead is ``tenure``'s to say.  It
does not promise a start, only the instant before which there is none.
"""

from __future__ import annotations

from enum import Enum

from zkleader.core.lease import Instant
from zkleader.core.value import Value

LONGEST_DELAY = 60.0
"""Seconds up to which delays double; a first one that is longer stays as it is."""

STEADY_AFTER = 60.0
"""Seconds: a command that has run for so long did not crash at its start, and the delays begin anew."""


class Restart(Enum):
    """When to start the command again."""

    NEVER = "never"
    ON_FAILURE = "on-failure"
    ALWAYS = "always"

    def is_wanted(self, wait_status: int) -> bool:
        """Say whether a command that has ended by itself with this raw wait status is to be started again."""
        return self is Restart.ALWAYS or (self is Restart.ON_FAILURE and wait_status != 0)


class Pause(Value):
    """The time from one run of the command to the next, in one tenure."""

    since: Instant
    delay: float
    """Seconds."""
    attempt: int
    """The number of the start that follows, since the delays began anew."""
    wait_status: int
    """The raw one of the run before."""

    def left(self, now: Instant) -> float:
        """Return the seconds until the command is to be started again."""
        return self.delay - now.held_since(self.since)


def pause_after(before: Pause | None, *, first: float, ran: float, wait_status: int, now: Instant) -> Pause:
    """Return the pause after a run of ``ran`` seconds; ``before`` is the one before that run, if there was one."""
    if before is None or ran >= STEADY_AFTER:
        return Pause(since=now, delay=first, attempt=1, wait_status=wait_status)
    delay = max(first, min(2 * before.delay, LONGEST_DELAY))
    return Pause(since=now, delay=delay, attempt=before.attempt + 1, wait_status=wait_status)
