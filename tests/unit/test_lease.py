"""Clocks and durations: each side errs to its safe side, and the order of the deadlines holds for every lease."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkleader.core.lease import (
    DRIFT_ALLOWED,
    LONGEST_LEASE,
    MARGIN_FLOOR,
    SHORTEST_LEASE,
    SLEW_ALLOWED,
    Instant,
    Timing,
    margin_of,
)

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


@given(st.floats(0, 60), st.floats(-SLEW_ALLOWED, SLEW_ALLOWED), st.floats(0, 60))
def test_an_instant_told_to_others_is_never_too_late(left: float, slew: float, seconds: float) -> None:
    """When CLOCK_MONOTONIC gets there, a holder that counts has not passed the end."""
    began = Instant(monotonic=10, raw=20, boottime=30)
    slewed = seconds * (1 + slew)
    now = Instant(monotonic=10 + slewed, raw=20 + seconds, boottime=30 + slewed)
    if now.monotonic < began.monotonic_in(left):
        assert now.held_since(began) <= left + 1e-9


def test_an_instant_that_has_passed_is_not_moved_up() -> None:
    """Shortened like what is left, it would lie nearer than it does."""
    assert Instant(monotonic=10, raw=20, boottime=30).monotonic_in(-5) == 5


def test_the_figures_of_the_default_lease() -> None:
    """As the manual tells them: margin 1 % and 0.25 s, SIGKILL a second before the end of what is left."""
    timing = Timing(lease=20, grace=5, stop_timeout=25)
    assert timing.margin == pytest.approx(0.45)
    assert timing.gone_after == pytest.approx(19.55)
    assert timing.kill_after == pytest.approx(18.55)
    assert timing.stop_after == pytest.approx(13.55)
    assert timing.renewal_interval == pytest.approx(2.0)
    assert timing.request_timeout == pytest.approx(4.0)
    assert timing.leave_timeout == pytest.approx(2.0)
    assert timing.unasked == pytest.approx(2.0)
    assert timing.ridden_out == pytest.approx(9.55)
    assert timing.ridden_out_with(10) == pytest.approx(6.0)


def test_leaving_without_a_connection_takes_two_seconds_at_the_most() -> None:
    """Whatever the lease: somebody waits for the program to end, and nobody can act on its leaving meanwhile."""
    assert Timing(lease=60, grace=5, stop_timeout=25).leave_timeout == 2
    assert Timing(lease=2, grace=0, stop_timeout=25).leave_timeout == pytest.approx(0.4)


@given(LEASES)
def test_in_an_outage_some_server_is_asked_again_and_again(lease: float) -> None:
    """That is when its end is noticed: one that ends just after a packet was lost goes on until the next is sent.

    Counted here from the packets themselves, over two rounds in which a server takes as long as it may: the first one,
    the kernel's repetitions of it, and the first of the next round, after the pause.
    """
    timing = Timing(lease=lease, grace=0, stop_timeout=1)
    period = timing.most_patient_connect + timing.reconnect_delay
    within = [2**number - 1.0 for number in range(10) if 2**number - 1 < timing.most_patient_connect]
    sent = [*within, *(period + at for at in within)]
    assert timing.unasked == pytest.approx(max(later - earlier for earlier, later in pairwise(sent)))


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
