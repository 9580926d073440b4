"""When the guard takes its supervisor for silent, on a clock that the test turns."""

import os

import pytest

from zkleader.core.lease import Timing
from zkleader.guard import watch
from zkleader.guard.system import ProcessStatus
from zkleader.guard.watch import SILENCE_DOUBT, SupervisorWatch


class Clock:
    """The monotonic clock, and the supervisor's state, as the watch sees them."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.state = "S"

    def monotonic(self) -> float:
        return self.now

    def process_status(self, _: int) -> ProcessStatus:
        return ProcessStatus(state=self.state, parent=1, group=1, start=1)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock of the test's own under the watch."""
    clock = Clock()
    monkeypatch.setattr(watch, "time", clock)
    monkeypatch.setattr(watch.system, "process_status", clock.process_status)
    return clock


@pytest.fixture
def supervisor(clock: Clock) -> SupervisorWatch:
    """Return the watch over a supervisor that has just spoken; its lease, and so its longest silence, is 10 s."""
    assert clock.now
    watched = SupervisorWatch(1, -1, Timing(lease=10.0, grace=1.0, stop_timeout=1.0))
    watched.heard(is_beat=True)
    return watched


def test_silence_counts_only_when_it_lasts_beyond_its_discovery(supervisor: SupervisorWatch, clock: Clock) -> None:
    """After a freeze of the whole host the guard may be the first of the two that runs again."""
    clock.now += 3600
    assert not supervisor.is_silent()
    clock.now += SILENCE_DOUBT / 2
    assert not supervisor.is_silent()
    clock.now += SILENCE_DOUBT
    assert supervisor.is_silent()


def test_a_word_within_the_doubt_ends_it(supervisor: SupervisorWatch, clock: Clock) -> None:
    """And the next silence is doubted anew."""
    clock.now += 3600
    assert not supervisor.is_silent()
    supervisor.heard(is_beat=True)
    clock.now += SILENCE_DOUBT * 2
    assert not supervisor.is_silent()
    clock.now += 3600
    assert not supervisor.is_silent()


@pytest.mark.parametrize("state", ["T", "t"])
def test_a_stopped_supervisor_is_absent_and_never_silent(supervisor: SupervisorWatch, clock: Clock, state: str) -> None:
    """Ctrl-Z and a debugger are no reason to kill; a command that was lost meanwhile is released for it at once."""
    clock.state = state
    assert supervisor.is_absent()
    clock.now += 3600
    assert not supervisor.is_silent()
    clock.now += 3600
    assert not supervisor.is_silent()


def test_a_supervisor_that_was_continued_is_given_time_to_speak(supervisor: SupervisorWatch, clock: Clock) -> None:
    """The race: the guard may look between `fg` and the first beat; the user would be told "Killed" instead of 79."""
    clock.state = "T"
    for _ in range(3):
        clock.now += 3600
        assert not supervisor.is_silent()
    clock.state = "S"
    assert not supervisor.is_silent()
    clock.now += SILENCE_DOUBT * 1.1
    assert supervisor.is_silent()


def test_a_supervisor_that_misses_its_beats_is_absent(supervisor: SupervisorWatch, clock: Clock) -> None:
    """Two renewal intervals: the lease is lost then anyway, and others wait."""
    clock.now += 1.9
    assert not supervisor.is_absent()
    clock.now += 0.2
    assert supervisor.is_absent()


def test_a_supervisor_that_was_reaped_before_it_is_killed_is_no_fault() -> None:
    """The race: it may end, and its parent take its status, after it was last looked at."""
    pid = os.posix_spawn("/bin/sleep", ("sleep", "60"), os.environ)
    pidfd = os.pidfd_open(pid)
    try:
        supervisor = SupervisorWatch(pid, pidfd, Timing(lease=10.0, grace=1.0, stop_timeout=1.0))
        supervisor.kill()
        os.waitpid(pid, 0)
        supervisor.kill()
        assert supervisor.is_dead()
    finally:
        os.close(pidfd)


def test_a_supervisor_that_has_not_beaten_yet_is_given_time_to_start(clock: Clock) -> None:
    """Between its first word and its loop it imports; with a lease of 2 s a busy host would have it killed for that."""
    short = Timing(lease=2.0, grace=0.1, stop_timeout=1.0)
    for has_beaten, is_silent in ((False, False), (True, True)):
        watched = SupervisorWatch(1, -1, short)
        watched.heard(is_beat=has_beaten)
        clock.now += 3
        watched.is_silent()
        clock.now += SILENCE_DOUBT
        assert watched.is_silent() is is_silent
