"""Everything about *when*: instants on pairs of clocks, and the timing of a lease.

A lease is a promise that two hosts measure on their own clocks.  The holder must never believe that less time has
passed than really did, the claimant never that more has.  So each reads two clocks and takes the one that errs to its
safe side.  This module reads no clock; it is handed instants.  It does not promise anything about clocks whose
*rates* differ by more than the margin allows for (1 %), nor about a host that is suspended: boot time tells of that
only after resuming.
"""

from __future__ import annotations

from typing import NamedTuple

from zkleader.core.value import Value

DRIFT_ALLOWED = 0.01
"""Clock rates of two hosts differ by at most this fraction (the assumption behind the margin)."""

MARGIN_FLOOR = 0.25
"""Seconds of margin at any lease: scheduling of a runnable process, and the resolution of everything."""

LONGEST_LEASE = 60.0
"""Seconds; the greatest lease a contender may use.  What cannot be read is waited out as if it said this."""

SHORTEST_LEASE = 2.0
"""Seconds; below this the floors of margin and kill allowance leave no room to renew."""


class Instant(NamedTuple):
    """One moment as three clocks of one host show it, each in seconds since that clock's own start."""

    monotonic: float
    """CLOCK_MONOTONIC: stands still during suspend; chrony may slew it by up to 8 %."""
    raw: float
    """CLOCK_MONOTONIC_RAW: stands still during suspend; never slewed."""
    boottime: float
    """CLOCK_BOOTTIME: goes on during suspend; slewed like CLOCK_MONOTONIC."""

    def held_since(self, earlier: Instant) -> float:
        """Seconds since ``earlier`` as a *holder* must count them: the greater of what its clocks say."""
        return max(self.boottime - earlier.boottime, self.raw - earlier.raw)

    def waited_since(self, earlier: Instant) -> float:
        """Seconds since ``earlier`` as a *claimant* may count them: the lesser of what its clocks say."""
        return min(self.monotonic - earlier.monotonic, self.raw - earlier.raw)


def margin_of(lease: float) -> float:
    """Return the margin, in seconds, that belongs to a lease of so many seconds."""
    return DRIFT_ALLOWED * lease + MARGIN_FLOOR


class Timing(Value):
    """A contender's durations, all in seconds.  ``after`` means: since the sending of the last confirmed renewal."""

    lease: float
    grace: float
    stop_timeout: float

    @property
    def margin(self) -> float:
        """What clock drift and scheduling may cost."""
        return margin_of(self.lease)

    @property
    def kill_allowance(self) -> float:
        """What killing a tree of processes may cost."""
        return max(0.5, 0.05 * self.lease)

    @property
    def gone_after(self) -> float:
        """By then everything of the command must be gone."""
        return self.lease - self.margin

    @property
    def kill_after(self) -> float:
        """Then SIGKILL begins."""
        return self.gone_after - self.kill_allowance

    @property
    def stop_after(self) -> float:
        """Then the stop signal goes out."""
        return self.kill_after - self.grace

    @property
    def renewal_interval(self) -> float:
        """From the sending of one renewal to that of the next; also the interval of the beats between the processes."""
        return self.lease / 10

    @property
    def request_timeout(self) -> float:
        """How long an answer may take before the connection is dropped for another server's."""
        return self.lease / 5

    @property
    def release_timeout(self) -> float:
        """How long to try to release: enough to give up a silent server and ask another one."""
        return self.lease / 2

    @property
    def connect_cap(self) -> float:
        """How long one server may take to accept a connection, and then to answer the handshake."""
        return min(0.8, self.lease / 20)

    @property
    def reconnect_delay(self) -> float:
        """The longest pause between two rounds through the servers."""
        return self.lease / 20

    @property
    def guard_silence(self) -> float:
        """How long the guard may be silent before the supervisor replaces its judgement by SIGKILL."""
        return self.lease / 2

    @property
    def supervisor_silence(self) -> float:
        """How long the supervisor may be silent before the guard does the same."""
        return self.lease

    @property
    def ridden_out(self) -> float:
        """The longest outage, as far as the lease goes, in which the command is not disturbed."""
        return self.stop_after - self.renewal_interval
