"""Clocks and durations: each side errs to its safe side, and the order of the deadlines holds for every lease."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkleader.core.lease import DRIFT_ALLOWED, LONGEST_LEASE, MARGIN_FLOOR, SHORTEST_LEASE, Instant, Timing, margin_of

CLOCK = st.floats(0, 1e7)
LEASES = st.floats(SHORTEST_LEASE, LONGEST_LEASE)


def test_a_holder_counts_the_clock_that_has_gone_further() -> None:
    """Boot time goes on during suspend; slewed, it may also be the slower one."""
    began = Instant(monotonic=10, raw=20, boottime=30)
    assert Instant(monotonic=11, raw=21, boottime=35).held_since(began) == 5
    assert Instant(monotonic=11, raw=22, boottime=31).held_since(began) == 2


def test_a_claimant_counts_the_clock_that_has_gone_less_far() -> None:
    """What one clock has waited too fast, the other has not."""
    began = Instant(monotonic=10, raw=20, boottime=30)
    assert Instant(monotonic=11, raw=22, boottime=40).waited_since(began) == 1
    assert Instant(monotonic=15, raw=22, boottime=40).waited_since(began) == 2


@given(st.tuples(CLOCK, CLOCK, CLOCK), st.floats(0, 1e5), st.floats(0, 1e5), st.floats(0, 1e4))
def test_a_holder_never_counts_less_than_a_claimant_on_the_same_clocks(
    start: tuple[float, float, float], slewed: float, raw: float, suspended: float
) -> None:
    """Else two processes of one host could both believe that the lease is theirs."""
    began = Instant(*start)
    now = Instant(monotonic=began.monotonic + slewed, raw=began.raw + raw, boottime=began.boottime + slewed + suspended)
    assert now.held_since(began) >= now.waited_since(began) - 1e-6


def test_the_figures_of_the_default_lease() -> None:
    """As the manual tells them: margin 1 % and 0.25 s, SIGKILL a second before the end of what is left."""
    timing = Timing(lease=20, grace=5, stop_timeout=25)
    assert timing.margin == pytest.approx(0.45)
    assert timing.gone_after == pytest.approx(19.55)
    assert timing.kill_after == pytest.approx(18.55)
    assert timing.stop_after == pytest.approx(13.55)
    assert timing.renewal_interval == pytest.approx(2.0)
    assert timing.request_timeout == pytest.approx(4.0)
    assert timing.ridden_out == pytest.approx(11.55)


@given(LEASES, st.floats(0, 60))
def test_deadlines_follow_each_other(lease: float, grace: float) -> None:
    """The stop signal, then SIGKILL, then nothing of the command, then the end of the lease."""
    timing = Timing(lease=lease, grace=grace, stop_timeout=1)
    assert timing.stop_after <= timing.kill_after < timing.gone_after < timing.lease
    assert timing.kill_after - timing.stop_after == pytest.approx(grace)
    assert timing.gone_after - timing.kill_after == pytest.approx(timing.kill_allowance)
    assert timing.connect_cap <= timing.request_timeout < timing.guard_silence < timing.supervisor_silence


@given(LEASES, st.floats(-DRIFT_ALLOWED / 2, DRIFT_ALLOWED / 2), st.floats(-DRIFT_ALLOWED / 2, DRIFT_ALLOWED / 2))
def test_the_margin_covers_the_drift_that_is_allowed(lease: float, holder: float, claimant: float) -> None:
    """In true time the slowest holder is gone before the fastest claimant begins, with the floor to spare."""
    gone = (lease - margin_of(lease)) / (1 + holder)
    begins = (lease + margin_of(lease)) / (1 + claimant)
    assert begins - gone >= MARGIN_FLOOR
