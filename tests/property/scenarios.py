"""What Hypothesis chooses: scenarios of anything that the promise covers, and of what has to be ridden out."""

from hypothesis import strategies as st
from simulation import Fault, Kind, Scenario, Target

from zkleader.core.lease import Timing

TIMINGS = (
    Timing(lease=4.0, grace=1.0, stop_timeout=2.0),
    Timing(lease=10.0, grace=3.0, stop_timeout=5.0),
    Timing(lease=2.0, grace=0.4, stop_timeout=1.0),
)
_RATES = st.sampled_from((0.0, -0.005, 0.005, -0.002, 0.003))
_SLEWS = st.sampled_from((0.0, -0.08, 0.08))
_HUNDREDTHS = st.integers(0, 600).map(lambda number: number / 100)
_ROLES = (Target.LEADER,) * 5 + (Target.STANDBY,) * 3 + tuple(Target)
_KINDS = (*Kind, Kind.PARTITION, Kind.CUT_OFF, Kind.AMBUSH, Kind.FREEZE, Kind.KILL_SUPERVISOR)

FAULTS = st.builds(
    Fault,
    at=_HUNDREDTHS,
    kind=st.sampled_from(_KINDS),
    target=st.sampled_from(_ROLES),
    lasts=st.sampled_from((0.05, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0, 1.1, 1.5, 2.5)),
    spice=st.integers(0, 11),
)


@st.composite
def scenarios(draw: st.DrawFn, faults: st.SearchStrategy[Fault] = FAULTS, least: int = 0, most: int = 10) -> Scenario:
    """Draw a scenario with so many faults."""
    hosts = draw(st.integers(2, 4))
    return Scenario(
        seed=draw(st.integers(0, 2**20)),
        timing=draw(st.sampled_from(TIMINGS)),
        rates=tuple(draw(st.lists(_RATES, min_size=hosts, max_size=hosts))),
        slews=tuple(draw(st.lists(_SLEWS, min_size=hosts, max_size=hosts))),
        rejoins=draw(st.booleans()),
        faults=tuple(sorted(draw(st.lists(faults, min_size=least, max_size=most)), key=lambda fault: fault.at)),
    )
