"""Whether lease and grace fit each other, the ensemble and its session timeout, and what outage that rides out.

It owns the words; the inequalities are ``config``'s.  It must not know how a session timeout is granted.
"""

from __future__ import annotations

from zkleader.check.finding import Finding, fail, ok, warn
from zkleader.config import ConfigurationProblem, check_timing, show, tightness
from zkleader.core.lease import Timing
from zkleader.exit_status import ExitStatus

_TOPIC = "timing"


def judge_session(granted: list[float | None], timing: Timing) -> Finding:
    """Return what the servers have granted, of which the least counts."""
    known = [seconds for seconds in granted if seconds is not None]
    if not known:
        return ok("session", "granted")
    if min(known) < timing.lease:
        return warn("session", f"{show(min(known))} granted, less than --lease {show(timing.lease)}")
    more = f"; --lease is {show(timing.lease)}" if min(known) > timing.lease else ", as --lease wants"
    return ok("session", f"{show(min(known))} granted{more}")


def judge_timing(timing: Timing, servers: int, granted: list[float | None]) -> list[Finding]:
    """Return whether the timing can work, and how long an outage it rides out."""
    try:
        check_timing(timing)
    except ConfigurationProblem as problem:
        return [fail(_TOPIC, str(problem).partition(": ")[2], ExitStatus.CONFIGURATION)]
    session = min((seconds for seconds in granted if seconds is not None), default=timing.lease)
    ridden_out = timing.ridden_out_with(session)
    limit = " (the session is the limit)" if ridden_out < timing.ridden_out else ""
    found = [ok(_TOPIC, f"an outage shorter than {show(ridden_out)} is ridden out{limit}")]
    if tight := tightness(timing, servers):
        found.append(warn(_TOPIC, tight))
    return found
