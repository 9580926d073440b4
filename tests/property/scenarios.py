"""What Hypothesis chooses: scenarios of anything that the promise covers, and of what has to be ridden out.

Faults that strike independently of each other find little.  What breaks a lease is one fault at the very moment when
another ends, or a second blow to the same host; so each fault is placed by the one before it.
"""

from dataclasses import replace

from hypothesis import strategies as st
from simulation import Fault, Kind, Scenario, Target

from zkleader.core.lease import Timing

TIMINGS = (
    Timing(lease=4.0, grace=1.0, stop_timeout=2.0),
    Timing(lease=10.0, grace=3.0, stop_timeout=5.0),
    Timing(lease=2.0, grace=0.4, stop_timeout=1.0),
)
RATES = (0.0, -0.005, 0.005, -0.002, 0.003)
SLEWS = (0.0, -0.08, 0.08)
SESSIONS = (1.0, 0.5, 0.25)
GAPS = (0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 1.5)
"""Leases from the start or the end of one fault to the start of the next."""
LASTING = (0.05, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0, 1.1, 1.5, 2.5)
ROLES = (Target.SAME,) * 5 + (Target.LEADER,) * 5 + (Target.STANDBY,) * 3 + tuple(Target)
KINDS = (*Kind, Kind.PARTITION, Kind.CUT_OFF, Kind.AMBUSH, Kind.FREEZE, Kind.KILL_SUPERVISOR)


@st.composite
def scenarios(
    draw: st.DrawFn,
    *,
    kinds: tuple[Kind, ...] = KINDS,
    lasting: tuple[float, ...] = LASTING,
    timings: tuple[Timing, ...] = TIMINGS,
    sessions: tuple[float, ...] = SESSIONS,
    gaps: tuple[float, ...] = GAPS,
    most: int = 10,
) -> Scenario:
    """Draw a scenario of at most so many faults."""
    hosts = draw(st.integers(2, 4))
    fault = st.builds(
        Fault,
        at=st.sampled_from(gaps),
        kind=st.sampled_from(kinds),
        target=st.sampled_from(ROLES),
        lasts=st.sampled_from(lasting),
        spice=st.integers(0, 11),
    )
    placed: list[Fault] = []
    start = end = draw(st.sampled_from((0.0, 0.5, 1.0)))
    for one, after_end in draw(st.lists(st.tuples(fault, st.booleans()), min_size=1, max_size=most)):
        start = (end if after_end else start) + one.at
        end = start + one.lasts
        placed.append(replace(one, at=start))
    return Scenario(
        seed=draw(st.integers(0, 2**20)),
        timing=draw(st.sampled_from(timings)),
        rates=tuple(draw(st.sampled_from(RATES)) for _ in range(hosts)),
        slews=tuple(draw(st.sampled_from(SLEWS)) for _ in range(hosts)),
        session=draw(st.sampled_from(sessions)),
        rejoins=draw(st.booleans()),
        faults=tuple(placed),
    )
