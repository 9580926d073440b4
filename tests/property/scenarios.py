"""What Hypothesis chooses: scenarios of anything that the promise covers, and of what has to be ridden out.

Faults that strike independently of each other find little.  What breaks a lease is one fault at the very moment when
another ends, or a second blow to the same host; so each fault is placed by the one before it.
"""

import os
from dataclasses import replace

from faults import Fault, Kind, Target
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from simulation import Scenario
from world import NO_HOOKS

from zkleader.core.acts import Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import Timing
from zkleader.core.restart import Restart

_USUAL = 100
EXAMPLES = int(os.environ.get("ZKLEADER_PROPERTY_EXAMPLES", _USUAL))
"""Scenarios for each property; the default is for every run, thousands are for a night."""

PROFILE = settings(
    max_examples=EXAMPLES,
    deadline=None,  # a scenario takes as long as its history is
    derandomize=EXAMPLES == _USUAL,  # the same for everybody by default; more examples are meant to be new ones
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

LONG = Timing(lease=20.0, grace=5.0, stop_timeout=10.0)
"""The default lease."""

TIMINGS = (
    LONG,
    Timing(lease=60.0, grace=10.0, stop_timeout=10.0),
    Timing(lease=4.0, grace=1.0, stop_timeout=2.0),
    Timing(lease=10.0, grace=3.0, stop_timeout=5.0),
    Timing(lease=2.0, grace=0.4, stop_timeout=1.0),
    # No grace: nothing but a beat wakes the supervisor between the stop signal's instant and SIGKILL's.
    Timing(lease=20.0, grace=0.0, stop_timeout=10.0),
)
RATES = (0.0, -0.005, 0.005, -0.002, 0.003)
SLEWS = (0.0, -0.08, 0.08)
SESSIONS = (1.0, 0.5, 0.25)
GAPS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 0.85, 1.0, 1.5)
"""Leases from the start or the end of one fault to the start of the next."""
LASTING = (0.05, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0, 1.1, 1.5, 2.5)
ROLES = (Target.SAME,) * 5 + (Target.LEADER,) * 5 + (Target.STANDBY,) * 3 + tuple(Target)
KINDS = (*Kind, Kind.PARTITION, Kind.CUT_OFF, Kind.AMBUSH, Kind.FREEZE, Kind.KILL_SUPERVISOR)


def fault(
    *kinds: Kind,
    targets: tuple[Target, ...] = ROLES,
    lasting: tuple[float, ...] = LASTING,
    spices: tuple[int, ...] = tuple(range(12)),
    gaps: tuple[float, ...] = GAPS,
) -> st.SearchStrategy[Fault]:
    """Choose a fault; its ``at`` is the gap to the one before."""
    return st.builds(
        Fault,
        at=st.sampled_from(gaps),
        kind=st.sampled_from(kinds),
        target=st.sampled_from(targets),
        lasts=st.sampled_from(lasting),
        spice=st.sampled_from(spices),
    )


HOOKS = st.builds(
    Hooks,
    on_elected=st.booleans(),
    on_lost=st.sampled_from((True, True, False)),
    timeout=st.sampled_from((0.05, 0.3, 0.8, 1.5)),  # leases
)


def alike(*numbers: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Choose one of the numbers of leaders for all hosts."""
    return st.tuples(st.sampled_from(numbers), st.integers(3, 5)).map(lambda chosen: (chosen[0],) * chosen[1])


def apart(*numbers: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Choose one of the numbers of leaders for each host."""
    return st.lists(st.sampled_from(numbers), min_size=3, max_size=5).map(tuple)


@st.composite
def scenarios(
    draw: st.DrawFn,
    faults: st.SearchStrategy[Fault] | None = None,
    *,
    script: tuple[st.SearchStrategy[Fault], ...] = (),
    timings: tuple[Timing, ...] = TIMINGS,
    sessions: tuple[float, ...] = SESSIONS,
    starts: tuple[float, ...] = (0.0, 0.5, 1.0),
    least: int = 1,
    most: int = 10,
    overlapping: bool = True,
    programs: bool = False,
    mixed: bool = False,
    on_disconnect: tuple[OnDisconnect, ...] = (OnDisconnect.CONTINUE,),
    hooked: bool = False,
    leaders: st.SearchStrategy[tuple[int, ...]] | None = None,
) -> Scenario:
    """Choose a scenario of so many faults; without overlapping, each begins after the end of the one before.

    With a script its faults happen in that order instead, each placed from the start of the one before.  With programs
    some of the hosts, or all, lead by themselves.  Mixed, every third scenario has a timing for each host; else all
    have the same, as most users do.  Hooked, all hosts have hooks.  With leaders each host has its number of them.
    """
    numbers = draw(leaders) if leaders is not None else ()
    hosts = len(numbers) or draw(st.integers(2, 4))
    placed: list[Fault] = []
    start = end = draw(st.sampled_from(starts))
    one = st.tuples(faults if faults is not None else fault(*KINDS), st.booleans())
    several = st.lists(one, min_size=least, max_size=most)
    if script:
        several = st.tuples(*(st.tuples(each, st.just(False)) for each in script)).map(list)
    for chosen, after_end in draw(several):
        start = (end if after_end or not overlapping else start) + chosen.at
        end = start + chosen.lasts
        placed.append(replace(chosen, at=start))
    one = st.sampled_from(timings)
    is_mixed = mixed and draw(st.sampled_from((False, False, True)))
    return Scenario(
        seed=draw(st.integers(0, 2**20)),
        timings=tuple(draw(one) for _ in range(hosts)) if is_mixed else (draw(one),) * hosts,
        rates=tuple(draw(st.sampled_from(RATES)) for _ in range(hosts)),
        slews=tuple(draw(st.sampled_from(SLEWS)) for _ in range(hosts)),
        on_disconnect=draw(st.sampled_from(on_disconnect)) if len(on_disconnect) > 1 else on_disconnect[0],
        session=draw(st.sampled_from(sessions)),
        hooks=draw(HOOKS) if hooked else NO_HOOKS,
        rejoins=draw(st.booleans()),
        restart=draw(st.sampled_from(Restart)),
        programs=draw(st.integers(1, hosts)) if programs else 0,
        faults=tuple(placed),
        leaders=numbers,
    )


_SHORT_OUTAGE = 0.38
"""Leases: the outage that `LONG` rides out, less what reconnecting past three servers may take."""
_APART = (1.0, 1.1, 1.25)
"""Leases from the end of one to the start of the next: each by itself is ridden out, not all of them at once."""

RIDDEN_OUT = scenarios(
    st.one_of(
        # The leader: short outages of any kind, lost requests and answers, slow servers, an operator's clumsiness.
        fault(
            Kind.PARTITION,
            Kind.QUORUM_LOSS,
            targets=(Target.LEADER,),
            lasting=(0.05, 0.1, 0.2, 0.3, _SHORT_OUTAGE),
            gaps=_APART,
        ),
        fault(Kind.CUT_OFF, targets=(Target.LEADER,), lasting=(0.1, 0.2, 0.3), gaps=_APART),
        fault(Kind.LATE_HAND_OVER, targets=(Target.LEADER,), gaps=_APART),
        fault(Kind.LAG, targets=(Target.LEADER,), spices=(0, 1, 2, 3, 4, 5), gaps=_APART),
        fault(
            Kind.RESET,
            Kind.AMBUSH,
            Kind.TOUCH_RECORD,
            Kind.SLEW,
            targets=(Target.LEADER,),
            lasting=(0.1, 0.3),
            gaps=_APART,
        ),
        fault(Kind.FREEZE, Kind.STICK, targets=(Target.LEADER,), lasting=(0.05, 0.2), gaps=_APART),
        # Those who wait: anything.
        fault(
            Kind.PARTITION,
            Kind.EXPIRE,
            Kind.DELETE_CANDIDATE,
            Kind.KILL_SUPERVISOR,
            Kind.KILL_GUARD,
            Kind.KILL_BOTH,
            Kind.FREEZE,
            Kind.LEAVE,
            targets=(Target.STANDBY,),
            gaps=_APART,
        ),
        # Both: what does not concern them.
        fault(Kind.SCRIBBLE, targets=(Target.LEADER, Target.STANDBY), gaps=_APART),
    ),
    timings=(LONG,),
    sessions=(1.0,),
    starts=(1.0,),
    most=6,
    overlapping=False,
)
"""One fault after another, each of which must not disturb a leader."""
