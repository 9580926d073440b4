"""The guard's watch over its supervisor: dead, stopped, or silent.

It owns the supervisor's pidfd and the time of its last word.  It must not know what follows from either.  It does not
promise to see a supervisor that is stuck before its silence has lasted; that is what the deadlines are for.

Silence counts on CLOCK_MONOTONIC: while the host is suspended nobody can speak.
"""

from __future__ import annotations

import contextlib
import select
import signal
import time

from zkleader.core.beats import START_PATIENCE
from zkleader.core.lease import Timing
from zkleader.guard import system

SILENCE_DOUBT = 0.25
"""Seconds more that a supervisor found silent is given: after a freeze of the whole host the guard may simply be the
first of the two that runs again."""

ABSENT_AFTER_INTERVALS = 2
"""A supervisor that let so many of its own beats pass is treated as stopped, once its lease is lost anyway."""


class SupervisorWatch:
    """What can be known of the supervisor without its help."""

    def __init__(self, pid: int, pidfd: int, timing: Timing) -> None:
        self._pid = pid
        self.pidfd = pidfd
        """Readable when it is dead.  The socket alone would not do: a descriptor that leaked keeps it open."""
        self._timing = timing
        self._heard_at = time.monotonic()
        self._has_beaten = False
        self._doubted_at: float | None = None

    def heard(self, *, is_beat: bool) -> None:
        """Note that it has spoken."""
        self._has_beaten = self._has_beaten or is_beat
        self._heard_at = time.monotonic()
        self._doubted_at = None

    def is_dead(self) -> bool:
        """Say whether it has ended."""
        return system.is_ready(self.pidfd, select.POLLIN)

    def is_stopped(self) -> bool:
        """Say whether somebody has stopped it.

        Asked only while its pidfd says that it lives; so the number is still its own.
        """
        status = system.process_status(self._pid)
        return status is not None and status.is_stopped

    def is_absent(self) -> bool:
        """Say whether it is stopped or late; it may come back."""
        late = time.monotonic() - self._heard_at > ABSENT_AFTER_INTERVALS * self._timing.renewal_interval
        return late or self.is_stopped()

    def is_silent(self) -> bool:
        """Say whether it has been silent for too long and is not merely stopped.  Call it after every poll.

        The race: this process may have been the frozen one, with beats waiting in the socket, or the supervisor may be
        waiting for a processor.  So silence counts only when it has lasted through one more poll.
        """
        now = time.monotonic()
        if now - self._heard_at <= self._longest_silence:
            return False
        if self.is_stopped():
            # The race: just continued, it has not had the time to speak; the doubt begins when it runs again.
            self._doubted_at = None
            return False
        if self._doubted_at is None:
            self._doubted_at = now
            return False
        return now - self._doubted_at >= SILENCE_DOUBT

    def seconds_to_wait(self) -> float:
        """Return how long the guard may sleep before it has to ask `is_silent` again."""
        left = self._heard_at + self._longest_silence - time.monotonic()
        # A stopped one stays silent without anything following: not to be asked in a tight loop.
        return max(left, SILENCE_DOUBT)

    @property
    def _longest_silence(self) -> float:
        # Before its loop turns it imports, for as long as a busy host lets it; it is no candidate then and holds up
        # nobody.
        silence = self._timing.supervisor_silence
        return silence if self._has_beaten else max(START_PATIENCE, silence)

    def kill(self) -> None:
        """SIGKILL it."""
        # The race: it may have ended, and been reaped, since it was last looked at.
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
