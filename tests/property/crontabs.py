"""What Hypothesis chooses of crontabs: skews, short and long jobs, and blows at every step."""

from cron import GREATEST_SKEW, Blow, Crontab, Errand
from faults import Kind
from hypothesis import strategies as st
from ledger import Step
from scenarios import LASTING, LONG, RATES, SESSIONS, SLEWS, TIMINGS, Target, fault

from zkleader.core.lease import Timing

LEASES = (LONG, TIMINGS[2], TIMINGS[4])
AFTER = (0.0, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.05, 0.5, 2.0)
"""Seconds from a step to a blow: what a request takes to arrive, to be committed, to be answered, and longer."""
SKEWS = (0.0, GREATEST_SKEW / 4, GREATEST_SKEW / 2, GREATEST_SKEW)
TAKES = (0.0005, 0.0005, 0.005, 0.3, 1.5, 6.6, 13.0)
"""Leases: milliseconds, and longer than half a period, and than a whole one."""
KINDS = (
    Kind.KILL_BOTH,
    Kind.KILL_SUPERVISOR,
    Kind.KILL_GUARD,
    Kind.FREEZE,
    Kind.FREEZE_GUARD,
    Kind.STICK,
    Kind.PARTITION,
    Kind.RESET,
    Kind.SLOW,
    Kind.LATE_HAND_OVER,
    Kind.LAG,
    Kind.CUT_OFF,
    Kind.QUORUM_LOSS,
    Kind.EXPIRE,
    Kind.AMBUSH,
    Kind.DELETE_CANDIDATE,
    Kind.TOUCH_RECORD,
    Kind.COMMAND_ENDS,
    Kind.LEFTOVERS,
    Kind.LEAVE,
    Kind.SLEW,
)


def blow(
    *kinds: Kind,
    strikes: tuple[int, ...] = (0, 1, 2),
    steps: tuple[Step, ...] = tuple(Step),
    counts: tuple[int, ...] = (1, 1, 1, 2, 3),
    after: tuple[float, ...] = AFTER,
    lasting: tuple[float, ...] = LASTING,
    spices: tuple[int, ...] = tuple(range(12)),
) -> st.SearchStrategy[Blow]:
    """Choose a blow."""
    return st.builds(
        Blow,
        strike=st.sampled_from(strikes),
        step=st.sampled_from(steps),
        count=st.sampled_from(counts),
        after=st.sampled_from(after),
        fault=fault(*kinds, targets=(Target.SAME,), lasting=lasting, spices=spices, gaps=(0.0,)),
    )


@st.composite
def crontabs(
    draw: st.DrawFn,
    blows: st.SearchStrategy[tuple[Blow, ...]] | None = None,
    *,
    strikes: int = 3,
    takes: tuple[float, ...] = TAKES,
    failures: tuple[int, ...] = (0, 0, 0, 1, 9),
    timings: tuple[Timing, ...] = LEASES,
    skews: tuple[float, ...] = SKEWS,
) -> Crontab:
    """Choose a crontab; with ``blows`` its faults are these."""
    hosts = draw(st.integers(2, 4))
    some = st.lists(blow(*KINDS), min_size=2, max_size=8).map(tuple)
    errand = st.builds(Errand, takes=st.sampled_from(takes), failures=st.sampled_from(failures))
    return Crontab(
        seed=draw(st.integers(0, 2**20)),
        timings=(draw(st.sampled_from(timings)),) * hosts,
        rates=tuple(draw(st.sampled_from(RATES)) for _ in range(hosts)),
        slews=tuple(draw(st.sampled_from(SLEWS)) for _ in range(hosts)),
        session=draw(st.sampled_from(SESSIONS)),
        skews=tuple(draw(st.sampled_from(skews)) for _ in range(hosts)),
        errands=tuple(draw(errand) for _ in range(strikes)),
        rejoins=draw(st.booleans()),
        retry_failed=draw(st.booleans()),
        blows=draw(some if blows is None else blows),
    )
