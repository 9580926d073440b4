"""When the supervisor asks its guard for a sign of life, and when it takes silence for failure.

The guard is all that stops a command while the supervisor looks elsewhere; the supervisor is all that stops it when the
guard is frozen.  So a freeze at any instant must be noticed before the kill allowance is used up.
"""

import pytest
from candidacy_script import at

from zkleader.core.beats import START_PATIENCE, Beats
from zkleader.core.lease import Timing

TIMING = Timing(lease=20, grace=5, stop_timeout=25)
POLL_LATENESS = 0.002


def test_beats_are_due_at_once_and_then_every_renewal_interval() -> None:
    """The first tells whether the guard came up at all."""
    beats = Beats(timing=TIMING, has_command=True)
    assert beats.due_in(at(100), None) == 0
    assert beats.sent(at(100)).due_in(at(100.5), None) == pytest.approx(1.5)


def test_beats_are_seldom_while_there_is_no_command() -> None:
    """A standby waits for days; nobody acts whom its guard would have to stop, and its host has better to do."""
    beats = Beats(timing=TIMING)
    assert beats.due_in(at(100), None) == 0
    assert beats.sent(at(100)).due_in(at(100.5), None) == pytest.approx(4.5)


def test_a_beat_is_due_at_once_when_the_command_is_to_start_after_a_long_silence() -> None:
    """The guard may have frozen while nobody asked: that must show as early as it always did."""
    waited = Beats(timing=TIMING).sent(at(100)).heard()
    assert waited.but(has_command=True).due_in(at(104), at(104)) <= 0


@pytest.mark.parametrize("lease", [2.0, 20.0, 60.0])
def test_a_supervisor_that_waits_is_heard_of_long_before_its_silence_counts(lease: float) -> None:
    """One lost beat must not look like a supervisor that is stuck, nor one late answer like a guard that is."""
    timing = Timing(lease=lease, grace=0.1, stop_timeout=25)
    assert 3 * Beats(timing=timing).interval < timing.supervisor_silence
    assert 2 * Beats(timing=timing).interval <= timing.guard_silence


def test_beats_are_due_as_often_as_a_watchdog_wants_to_hear_of_them() -> None:
    """But never less often than without it."""
    assert Beats(timing=TIMING, sign_interval=0.2).sent(at(100)).due_in(at(100.1), None) == pytest.approx(0.1)
    assert Beats(timing=TIMING, sign_interval=60).sent(at(100)).due_in(at(100.5), None) == pytest.approx(4.5)


def test_silence_counts_from_the_first_beat_that_nobody_answered() -> None:
    """Asking again does not begin it anew."""
    beats = Beats(timing=TIMING).sent(at(0)).heard().sent(at(2)).sent(at(4))
    assert not beats.is_silent(11.9, at(11.9), None)
    assert beats.is_silent(12, at(12), None)
    assert not beats.heard().is_silent(30, at(30), None)


def test_what_passed_after_the_look_for_answers_does_not_count() -> None:
    """We may have been the frozen one, with the answer in the socket."""
    beats = Beats(timing=TIMING).heard().sent(at(0))
    assert not beats.is_silent(1, at(500), at(490))


def test_a_guard_that_never_spoke_is_given_time_to_start() -> None:
    """With a lease of 2 s its silence would be over after one: less than a busy host may take for an interpreter."""
    beats = Beats(timing=Timing(lease=2, grace=0.1, stop_timeout=1)).sent(at(0))
    assert not beats.is_silent(START_PATIENCE - 0.1, at(START_PATIENCE - 0.1), None)
    assert beats.is_silent(START_PATIENCE, at(START_PATIENCE), None)
    assert beats.heard().sent(at(0)).is_silent(1, at(1), None)


@pytest.mark.parametrize("grace", [0.0, 0.01, 0.3, 5.0])
@pytest.mark.parametrize("lease", [2.0, 5.0, 20.0, 60.0])
@pytest.mark.parametrize("phase", [0.0, 0.3, 0.7])
def test_a_guard_that_froze_at_any_time_is_noticed_with_time_left_to_kill(
    lease: float, grace: float, phase: float
) -> None:
    """With a third of the kill allowance left, wherever in an interval the last answer came.

    Later than ``kill_after`` it need not be: by then the guard has sent SIGKILL itself.
    """
    timing = Timing(lease=lease, grace=min(grace, lease / 8), stop_timeout=25)
    latest = timing.kill_after + timing.kill_allowance * 2 / 3
    steps = 60
    for step in range(steps):
        frozen_at = timing.kill_after * step / steps
        assert _noticed(timing, frozen_at, phase * timing.renewal_interval) <= latest, (timing, frozen_at)


def _noticed(timing: Timing, frozen_at: float, first_beat_at: float) -> float:
    """Return when a freeze is noticed by a loop that only beats wake: no renewal comes, none is waited for."""
    beats = Beats(timing=timing, has_command=True, sent_at=first_beat_at - timing.renewal_interval).heard()
    now = 0.0
    while True:
        asked_at = now
        now += max(0.0, beats.due_in(at(now), at(0))) + POLL_LATENESS
        if beats.unanswered_at is not None and beats.unanswered_at + POLL_LATENESS < frozen_at:
            beats = beats.heard()
        if beats.due_in(at(now), at(0)) <= 0:
            beats = beats.sent(at(now))
        if beats.is_silent(asked_at, at(now), at(0)):
            return now
