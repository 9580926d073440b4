"""What the promise rests on here: clocks that run evenly, a kernel that runs us in time, a way to kill everything.

It owns the measuring, which takes a second, and the judgement of it.  It must not know ZooKeeper; that the clock of the
ensemble runs as ours does is measured with stamps that are handed in.  What a second shows is how things are now: it
does not promise that they stay so, nor can anything here tell of a virtual machine that will be paused.
"""

from __future__ import annotations

import time

from zkleader.check.finding import Finding, in_words, ok, warn
from zkleader.core.lease import DRIFT_ALLOWED, Instant, Timing
from zkleader.core.value import Value
from zkleader.guard import cgroup, system

MEASURED_FOR = 1.0
"""Seconds: a rate of 1 % is then ten milliseconds, far more than reading clocks takes."""

_NAP = 0.005
"""Seconds of one sleep; the lateness of many is what the kernel does to a process that is runnable."""

_SUSPENDED = 1.0
"""Seconds by which CLOCK_BOOTTIME may be ahead of CLOCK_MONOTONIC without the host ever having been suspended."""


class Measured(Value):
    """What the host did in a while."""

    began: Instant
    ended: Instant
    lateness: float
    """Seconds, the greatest, by which a sleep was too long."""


class Stamp(Value):
    """A write: our instants around it, its time in ms of the ensemble's clock, and its zxid."""

    sent: Instant
    answered: Instant
    time: int
    zxid: int


def measure() -> Measured:
    """Look at the clocks for a while."""
    began = now = system.now()
    lateness = 0.0
    while now.raw - began.raw < MEASURED_FOR:
        time.sleep(_NAP)
        before, now = now, system.now()
        lateness = max(lateness, now.raw - before.raw - _NAP)
    return Measured(began=began, ended=now, lateness=lateness)


def judge(measured: Measured, timing: Timing) -> list[Finding]:
    """Return what the measuring says of this host."""
    return [_judge_clocks(measured), _judge_suspension(measured.ended), _judge_lateness(measured.lateness, timing)]


def _judge_clocks(measured: Measured) -> Finding:
    raw = measured.ended.raw - measured.began.raw
    slew = (measured.ended.monotonic - measured.began.monotonic) / raw - 1
    if abs(slew) > DRIFT_ALLOWED:
        # Safe, because the worse of the two is counted by; but a lease is shorter then, or a wait longer.
        how = f"{abs(slew):.1%} {'faster' if slew > 0 else 'slower'} than the raw clock"
        text = f"CLOCK_MONOTONIC is being slewed, and runs {how}: so much less of an outage is ridden out"
        return warn("clocks", text)
    return ok("clocks", f"CLOCK_MONOTONIC runs as the raw clock within {abs(slew):.3%}")


def _judge_suspension(now: Instant) -> Finding:
    asleep = now.boottime - now.monotonic
    if asleep > _SUSPENDED:
        text = f"this host was suspended for {in_words(asleep)} since its start: a suspended leader is not covered"
        return warn("suspension", text)
    return ok("suspension", "this host was not suspended since its start")


def _judge_lateness(lateness: float, timing: Timing) -> Finding:
    text = f"a process was run {in_words(max(0.0, lateness))} late at the most in {in_words(MEASURED_FOR)}"
    if lateness > timing.margin:
        return warn("scheduling", f"{text}, more than the margin of {in_words(timing.margin)}")
    return ok("scheduling", f"{text} (margin {in_words(timing.margin)})")


def judge_rate(first: Stamp, last: Stamp) -> Finding:
    """Return whether our clock and the ensemble's run at the same rate, as far as two writes tell.

    The stamp of a write lies somewhere between its sending and its answer, and is a whole millisecond: so only bounds
    follow.
    """
    topic = "rate"
    if first.zxid >> 32 != last.zxid >> 32:  # stamped by another server's clock since
        return ok(topic, "cannot be told: the ensemble has changed its leader meanwhile")
    theirs = (last.time - first.time) / 1000
    least = (theirs - 0.001) / (last.answered.raw - first.sent.raw) - 1
    most = (theirs + 0.001) / (last.sent.raw - first.answered.raw) - 1
    if least > DRIFT_ALLOWED or most < -DRIFT_ALLOWED:
        difference = least if least > 0 else -most
        how = f"{difference:.1%} or more {'slower' if least > 0 else 'faster'} than ZooKeeper's"
        return warn(topic, f"our clock runs {how}: one of the two is wrong, or is being set; 1 % is allowed for")
    bound = max(abs(least), abs(most))
    doubt = "; answers take too long to tell more in a second" if bound > DRIFT_ALLOWED else ""
    return ok(topic, f"our clock runs as ZooKeeper's within {bound:.1%}{doubt}")


def judge_killing() -> Finding:
    """Return how all of a command would be found, killed and paused, started from where we are."""
    try:
        own = cgroup.rehearse(freezes=True)
    except cgroup.NoControlGroupError as error:
        return ok("killing", f"the command's descendants are searched for, and cannot be paused: {error}")
    return ok("killing", f"by a control group below {own}")
