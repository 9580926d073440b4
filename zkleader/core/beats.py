"""The supervisor's beats to its guard: when one is due, and when silence means that the guard has failed.

A guard that was killed is told by its socket; one that is frozen only by beats that nobody answers.  The command lives
as long as that guard does, so by the end of the kill allowance the supervisor must have noticed and have killed it.
This module reads no clock and sends nothing.  It does not promise that a guard that answers does its work.
"""

from __future__ import annotations

from zkleader.core.lease import Instant, Timing
from zkleader.core.value import Value

START_PATIENCE = 10.0
"""Seconds of silence that a process is allowed before its first word: a busy host may take that long to start it."""

WAITING_INTERVAL = 1 / 4
"""Of the lease, from one beat to the next without a command: half of what the guard, and a quarter of what the
supervisor may be silent for."""


class Beats(Value):
    """What the supervisor knows of one guard's signs of life.

    ``lease_start`` below is that of the lease as last confirmed, None when there is none.
    """

    timing: Timing
    sign_interval: float | None = None
    """Somebody else (systemd's watchdog) wants to hear this often, in seconds, that the guard answers."""
    count: int = 0
    sent_at: float | None = None
    """CLOCK_MONOTONIC, as are the other instants here: while the host is suspended nobody can answer."""
    unanswered_at: float | None = None
    """When the first beat was sent that nothing has come after."""
    has_spoken: bool = False
    has_command: bool = False
    """It was told to start the command."""

    def sent(self, now: Instant) -> Beats:
        """Note that a beat is sent; it bears the new count as its number."""
        since = now.monotonic if self.unanswered_at is None else self.unanswered_at
        return self.but(count=self.count + 1, sent_at=now.monotonic, unanswered_at=since)

    def heard(self) -> Beats:
        """Note that the guard has said something, whatever it is."""
        return self.but(unanswered_at=None, has_spoken=True)

    def due_in(self, now: Instant, lease_start: Instant | None) -> float:
        """Return the seconds until the next beat is to be sent: often when SIGKILL is near, so that a freeze shows."""
        since = now.monotonic - self.sent_at if self.sent_at is not None else self.interval
        left = self.interval - since
        if not self.has_command or lease_start is None:
            return left
        # The race: a guard that freezes after its last answer.  With a grace of zero nothing else would wake the
        # supervisor near SIGKILL, and a whole interval is longer than the kill allowance.
        until_near = self._near_after - now.held_since(lease_start)
        return min(left, max(until_near, self.timing.kill_allowance / 8 - since))

    @property
    def interval(self) -> float:
        """The seconds from one beat to the next while SIGKILL is not near."""
        # Without a command nobody acts whom a guard would have to stop, and both may wait for days: seldom then.  Told
        # to start it, whoever has not beaten for a renewal interval beats at once.
        regular = self.timing.renewal_interval if self.has_command else self.timing.lease * WAITING_INTERVAL
        return regular if self.sign_interval is None else min(regular, self.sign_interval)

    def is_silent(self, asked_at: float, now: Instant, lease_start: Instant | None) -> bool:
        """Judge the guard by an instant (CLOCK_MONOTONIC) that was read before the last look for its answers.

        The race: the supervisor itself may have been frozen with the answer in its socket.  What was read before that
        look, and is judged after it, cannot count the freeze.
        """
        if self.unanswered_at is None:
            return False
        silent = asked_at - self.unanswered_at
        if self.has_command and lease_start is not None and now.held_since(lease_start) >= self.timing.kill_after:
            return silent >= self.timing.kill_allowance / 4
        longest = self.timing.guard_silence
        return silent >= (longest if self.has_spoken else max(START_PATIENCE, longest))

    @property
    def _near_after(self) -> float:
        return min(self.timing.stop_after, self.timing.kill_after - self.timing.kill_allowance / 2)
