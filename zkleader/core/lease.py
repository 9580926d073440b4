"""Everything about *when*: instants on pairs of clocks, and the timing of a lease.

A lease is a promise that two hosts measure on their own clocks.  The holder must never believe that less time has
passed than really did, the claimant never that more has.  So each reads two clocks and takes the one that errs to its
safe side.  This module reads no clock; it is handed instants.  It does not promise anything about clocks whose
*rates* differ by more than the margin allows for (1 %), nor about a host that is suspended: boot time tells of that
only after resuming.
"""

from __future__ import annotations

from typing import NamedTuple

from zkleader.core.disconnect import OnDisconnect
from zkleader.core.value import Value

DRIFT_ALLOWED = 0.01
"""Clock rates of two hosts differ by at most this fraction (the assumption behind the margin)."""

MARGIN_FLOOR = 0.25
"""Seconds of margin at any lease: scheduling of a runnable process, and the resolution of everything."""

SLEW_ALLOWED = 0.11
"""CLOCK_MONOTONIC runs at most by this fraction slower or faster than CLOCK_MONOTONIC_RAW: the kernel slews it by 10 %
and a thousandth at the most."""

LONGEST_LEASE = 60.0
"""Seconds; the greatest lease a contender may use.  What cannot be read is waited out as if it said this."""

SHORTEST_LEASE = 2.0
"""Seconds; below this the floors of margin and kill allowance leave no room to renew."""


MOST_PATIENT_CONNECT = 4.0
"""Seconds for one server to accept a connection, at the most; what takes longer is no network to lead over."""

LONGEST_LEAVING = 2.0
"""Seconds.  Enough to give up two servers and to reach a third; what is bought is only that our candidate goes at once,
and not with its session."""

LONGEST_RECONNECT_DELAY = 1.0
"""Seconds.  Pauses are for the servers' sake; longer ones would only have the end of an outage noticed later."""

ASKED_AGAIN_AFTER = 1.0
"""Seconds after which Linux sends a packet once more that asks for a connection, then twice as many, and so on."""

DEFAULT_TICK = 2.0
"""Seconds of ZooKeeper's tick unless configured; a session may expire that much later than it says, or, seen from a
client whose last touch was a reply to a tick, earlier.  Only the figure that is told uses it."""


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

    def is_after(self, other: Instant) -> bool:
        """Say whether a renewal sent now moves a lease, or ends a doubt, that began at the other instant.

        Both only ever move forwards, and on both of a holder's clocks: taking what is later on one of them alone would
        shorten what the other has promised.
        """
        return self.raw > other.raw and self.boottime > other.boottime

    def monotonic_in(self, seconds: float) -> float:
        """Return a reading of CLOCK_MONOTONIC that is there before a *holder* has counted so many seconds from here.

        For whoever can look at that clock only.  However it is slewed meanwhile, this is not too late; but during
        suspend that clock stands still, and the holder's does not.
        """
        return self.monotonic + seconds * (1 - SLEW_ALLOWED if seconds > 0 else 1)


def margin_of(lease: float) -> float:
    """Return the margin, in seconds, that belongs to a lease of so many seconds."""
    return DRIFT_ALLOWED * lease + MARGIN_FLOOR


def waited_out_in(lease: float, first_seen: Instant, now: Instant) -> float:
    """Return the seconds until whoever wrote a record with this lease, first seen then, cannot act any more.

    They count only if the record still stands as it was seen, which only a write of the ensemble's proves.
    """
    return max(0.0, lease + margin_of(lease) - now.waited_since(first_seen))


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

    def stop_after_with(self, on_disconnect: OnDisconnect) -> float:
        """Then the stop signal goes out for want of a renewal, under this policy."""
        return self.overdue_after if on_disconnect is OnDisconnect.STOP else self.stop_after

    @property
    def renewal_interval(self) -> float:
        """From the sending of one renewal to that of the next; also of the beats between the processes, in a tenure."""
        return self.lease / 10

    @property
    def request_timeout(self) -> float:
        """How long an answer may take before the connection is dropped for another server's."""
        return self.lease / 5

    @property
    def overdue_after(self) -> float:
        """Since the sending of the last confirmed renewal: then the next one is overdue.

        It was due an interval later, and has had the time that every answer has.  By then a supervisor that runs has
        had an answer, or has dropped the connection and said so.  It is never later than ``stop_after``, because three
        intervals must fit in before that.
        """
        return self.renewal_interval + self.request_timeout

    @property
    def leave_timeout(self) -> float:
        """How long to wait for a connection, being without one, that the session may be closed in order."""
        return min(self.request_timeout, LONGEST_LEAVING)

    @property
    def release_timeout(self) -> float:
        """How long to try to release: enough to give up a silent server and ask another one."""
        return self.lease / 2

    @property
    def connect_cap(self) -> float:
        """How long one server may take to accept a connection, and then to answer the handshake."""
        return min(0.8, self.lease / 20)

    @property
    def most_patient_connect(self) -> float:
        """What that limit may grow to while no server is reached at all, so that a slow network is not locked out."""
        return min(self.request_timeout, MOST_PATIENT_CONNECT)

    @property
    def reconnect_delay(self) -> float:
        """The longest pause between two rounds through the servers."""
        return min(self.lease / 20, LONGEST_RECONNECT_DELAY)

    @property
    def unasked(self) -> float:
        """The longest time in an outage that passes between two packets that ask for a connection.

        So much later than it is over an outage may be noticed to be over.
        """
        pause, asked_at, longest = ASKED_AGAIN_AFTER, 0.0, 0.0
        while asked_at + pause < self.most_patient_connect:
            longest, asked_at, pause = pause, asked_at + pause, 2 * pause
        return max(longest, self.most_patient_connect - asked_at + self.reconnect_delay)

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
        return max(0.0, self.stop_after - self.renewal_interval - self.unasked)

    def ridden_out_with(self, session_timeout: float) -> float:
        """The same where ZooKeeper has granted a session timeout of so many seconds."""
        return max(0.0, min(self.ridden_out, session_timeout - DEFAULT_TICK - self.unasked))
