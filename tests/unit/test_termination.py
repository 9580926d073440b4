"""The guard's decisions, as scripts of event -> expected actions.

Each script names one promise of the design; the figures are chosen so that every deadline is a different round number:
stop at 5 s, SIGKILL at 7 s, gone by 8 s of a lease of 10 s (margin 2, allowance 1, grace 2), stop timeout 4 s.
"""

import pytest

from zkleader.core import wire
from zkleader.core.deadlines import KILL_REPEAT_LONGEST, due_in
from zkleader.core.guard_actions import (
    AbandonRelease,
    Action,
    ContinueCommand,
    Exit,
    ForwardSignal,
    Kill,
    KillSupervisor,
    LookForStop,
    ReleaseForSupervisor,
    Report,
    SendStopSignal,
    Spawn,
)
from zkleader.core.guard_events import (
    Event,
    Executed,
    FirstReaped,
    FirstStopped,
    NotExecuted,
    ReleaseEnded,
    SupervisorAbsent,
    SupervisorGone,
    SupervisorSilent,
    Tick,
    TreeGone,
)
from zkleader.core.guard_state import Phase, State
from zkleader.core.lease import Instant, Timing
from zkleader.core.termination import (
    RELEASE_AT_LEAST,
    RELEASE_AT_MOST,
    step,
    under_latest_lease,
)
from zkleader.core.wire import Cause


class RoundTiming(Timing):
    """A timing whose deadlines are easy to read in a script; the true formulas are tested with the lease."""

    margin = 2.0
    kill_allowance = 1.0


def timing(*, grace: float = 2.0, stop_timeout: float = 4.0) -> RoundTiming:
    return RoundTiming(lease=10.0, grace=grace, stop_timeout=stop_timeout)


def at(seconds: float) -> Instant:
    """Return an instant at which all clocks agree."""
    return Instant(monotonic=100.0 + seconds, raw=200.0 + seconds, boottime=300.0 + seconds)


class Script:
    """One guard's state, and the events that happen to it."""

    def __init__(self, *, grace: float = 2.0, stop_timeout: float = 4.0) -> None:
        self.state = State(timing=timing(grace=grace, stop_timeout=stop_timeout))

    def do(self, seconds: float, event: Event) -> tuple[Action, ...]:
        self.state, actions = step(self.state, event, at(seconds))
        return actions

    def tick(self, seconds: float) -> tuple[Action, ...]:
        return self.do(seconds, Tick())

    def due(self, seconds: float) -> float | None:
        return due_in(self.state, at(seconds))

    @property
    def phase(self) -> Phase:
        return self.state.phase


START = wire.Start(lease_start=at(0), environment={"ZKLEADER_TOKEN": "7"})


def running(**timings: float) -> Script:
    """Return a guard whose command has been executed under a lease that began at 0."""
    script = Script(**timings)
    script.do(0, wire.Candidacy(guid="guid"))
    script.do(0, START)
    script.do(0, Executed(pid=42))
    return script


def told(message: wire.Message) -> Report:
    return Report(message=message)


def stopping(cause: Cause) -> Report:
    return told(wire.Stopping(cause=cause))


def gone_of(actions: tuple[Action, ...]) -> wire.Gone:
    """Return the one report of the end among the actions."""
    found = [a.message for a in actions if isinstance(a, Report) and isinstance(a.message, wire.Gone)]
    assert len(found) == 1
    return found[0]


# ---- starting


def test_a_start_under_a_healthy_lease_spawns_with_its_environment() -> None:
    """The whole purpose."""
    script = Script()
    assert script.do(1, START) == (Spawn(lease_start=at(0), environment={"ZKLEADER_TOKEN": "7"}),)
    assert script.do(1, Executed(pid=42)) == (told(wire.Started(pid=42)),)
    assert script.phase is Phase.RUNNING


def test_a_start_is_under_the_latest_renewal_that_was_said_behind_it() -> None:
    """A guard that is late finds both at once, and the lease in force is the renewed one."""
    earlier, later = wire.Extend(lease_start=at(-1)), wire.Extend(lease_start=at(4))
    beat = wire.Beat(number=1)
    renewed = START.but(lease_start=at(4))
    assert under_latest_lease([START, beat, earlier, later]) == [renewed, beat, earlier, later]
    script = Script()
    assert script.do(8, renewed) == (Spawn(lease_start=at(4), environment=START.environment),)
    # Later on one clock only would shorten what the other has promised.
    mixed = wire.Extend(lease_start=at(4)._replace(raw=at(-1).raw))
    assert under_latest_lease([START, mixed]) == [START, mixed]


@pytest.mark.parametrize("message", [wire.Stop(cause=Cause.LOSS), wire.Stop(cause=Cause.ASKED), wire.KillNow()])
def test_a_renewal_that_was_said_behind_the_end_moves_no_start(message: wire.Message) -> None:
    """What was lost stays lost, in whichever order it is found."""
    said = [START, message, wire.Extend(lease_start=at(4))]
    assert under_latest_lease(said) == said


def test_a_start_whose_stop_is_due_is_refused() -> None:
    """A command that would be stopped at once must not begin: a guard that was frozen gets its start late."""
    script = Script()
    assert script.do(4.999, START) != (told(wire.TooLate()),)
    script = Script()
    assert script.do(5, START) == (told(wire.TooLate()),)
    assert script.do(5, wire.Start(lease_start=at(5), environment={})) == (told(wire.TooLate()),)


def test_a_second_start_is_obeyed_only_when_nothing_of_the_first_is_left() -> None:
    """`--restart`: the same guard, under the lease as it is then."""
    script = running()
    assert script.do(1, START) == ()
    script.do(2, FirstReaped(wait_status=3 << 8, alone=True))
    script.do(2, TreeGone(signalled=0, killed=0))
    again = wire.Start(lease_start=at(2), environment={"ZKLEADER_TOKEN": "7"})
    assert script.do(3, again) == (Spawn(lease_start=at(2), environment={"ZKLEADER_TOKEN": "7"}),)
    assert script.do(3, Executed(pid=43)) == (told(wire.Started(pid=43)),)
    # Nothing of the first run is taken for the second one's.
    script.do(4, FirstReaped(wait_status=0, alone=True))
    gone = gone_of(script.do(4, TreeGone(signalled=0, killed=0)))
    assert (gone.wait_status, gone.cause, gone.kill_began_after) == (0, Cause.ENDED, 0.0)


@pytest.mark.parametrize("loss", [wire.Stop(cause=Cause.LOSS), SupervisorGone()])
def test_after_a_loss_nothing_is_started_again(loss: Event) -> None:
    """The finality on which a release for a frozen supervisor rests; also when the loss is told between two runs."""
    script = running()
    script.do(2, FirstReaped(wait_status=3 << 8, alone=True))
    script.do(2, TreeGone(signalled=0, killed=0))
    script.do(2.5, loss)
    assert Spawn not in map(type, script.do(3, wire.Start(lease_start=at(3), environment={})))


def test_a_second_start_that_comes_too_late_uses_the_guard_up() -> None:
    """As the first one does."""
    script = running()
    script.do(2, FirstReaped(wait_status=3 << 8, alone=True))
    script.do(2, TreeGone(signalled=0, killed=0))
    assert script.do(5, wire.Start(lease_start=at(0), environment={})) == (told(wire.TooLate()),)
    assert script.phase is Phase.GONE


def test_a_start_after_a_loss_is_refused() -> None:
    """A loss told before the start that it makes void."""
    script = Script()
    assert script.do(0, wire.Stop(cause=Cause.LOSS)) == ()
    assert script.do(0, START) == (told(wire.TooLate()),)


def test_a_start_left_behind_by_a_dead_supervisor_is_refused() -> None:
    """The socket still holds what a supervisor said before it died."""
    script = Script()
    script.do(0, wire.Candidacy(guid="guid"))
    script.do(0, SupervisorGone())
    assert Spawn not in map(type, script.do(0, START))


def test_a_command_that_cannot_be_executed_is_told_once_its_process_is_gone() -> None:
    """`ExecFailed` promises that nothing exists; that takes the same proof as any end."""
    script = Script()
    script.do(0, START)
    refusal = wire.ExecFailed(errno=2)
    assert script.do(0, NotExecuted(refusal=refusal)) == (Kill(),)
    assert script.do(0, FirstReaped(wait_status=127 << 8, alone=True)) == ()
    assert script.do(0, TreeGone(signalled=0, killed=1)) == (told(refusal),)
    assert script.phase is Phase.VACANT


def test_a_loss_before_the_command_is_executed_kills_at_once() -> None:
    """A stop signal might meet the child between two dispositions and be lost."""
    script = Script()
    script.do(0, START)
    assert script.do(1, wire.Stop(cause=Cause.LOSS)) == (stopping(Cause.LOSS), Kill())
    # What the child says after that no longer matters: an end was announced, so an end is told.
    assert script.do(1, NotExecuted(refusal=wire.TooLate())) == ()
    script.do(1, FirstReaped(wait_status=9, alone=True))
    assert gone_of(script.do(1, TreeGone(signalled=0, killed=1))).cause is Cause.LOSS


def test_a_stop_asked_before_the_command_is_executed_waits_for_that() -> None:
    """The lease is healthy, so the command gets the stop signal that it can answer, not SIGKILL."""
    script = Script()
    script.do(0, START)
    assert script.do(1, wire.Stop(cause=Cause.ASKED)) == (stopping(Cause.ASKED),)
    assert script.do(1.1, Executed(pid=7)) == (told(wire.Started(pid=7)), SendStopSignal())
    assert script.phase is Phase.STOPPING


def test_a_stop_asked_while_starting_is_still_bounded() -> None:
    """An executable on a file system that hangs: SIGKILL comes when the patience ends, or at once when asked twice."""
    script = Script()
    script.do(0, START)
    script.do(1, wire.Stop(cause=Cause.ASKED))
    assert script.do(1.1, wire.KillNow()) == (Kill(),)
    script = Script()
    script.do(0, START)
    script.do(1, wire.Stop(cause=Cause.ASKED))
    assert Kill() in script.do(1.1, wire.Stop(cause=Cause.LOSS))


# ---- deadline


def test_without_renewals_stop_and_kill_come_at_their_deadlines() -> None:
    """Silence goes: the guard's own deadline, with nobody's help."""
    script = running()
    assert script.due(1) == pytest.approx(4)
    assert script.tick(4.999) == ()
    assert script.tick(5) == (stopping(Cause.DEADLINE), SendStopSignal())
    assert script.due(5) == pytest.approx(2)
    assert script.tick(6.999) == ()
    assert script.tick(7) == (Kill(),)
    script.do(7.5, FirstReaped(wait_status=9, alone=True))
    gone = gone_of(script.do(7.5, TreeGone(signalled=3, killed=2)))
    assert gone == wire.Gone(
        cause=Cause.DEADLINE,
        wait_status=9,
        in_time=True,
        signalled=3,
        killed=2,
        kill_began_after=pytest.approx(2),
        gone_after=pytest.approx(2.5),
        lost=True,
    )


def test_a_loss_behind_another_cause_is_told() -> None:
    """A command that has ended by itself must not be started again by a supervisor that we may have released for."""
    script = running()
    script.do(1, FirstReaped(wait_status=0, alone=False))
    script.tick(5)
    gone = gone_of(script.do(5.1, TreeGone(signalled=1, killed=0)))
    assert (gone.cause, gone.lost) == (Cause.ENDED, True)
    script = running()
    script.do(1, FirstReaped(wait_status=0, alone=False))
    gone = gone_of(script.do(1.1, TreeGone(signalled=1, killed=0)))
    assert (gone.cause, gone.lost) == (Cause.ENDED, False)


@pytest.mark.parametrize(("seconds", "in_time"), [(7.9, True), (8.1, False)])
def test_gone_is_in_time_until_the_lease_less_the_margin(seconds: float, *, in_time: bool) -> None:
    """The supervisor releases only what was gone in time; the exit status is another too."""
    script = running()
    script.tick(7)
    script.do(seconds, FirstReaped(wait_status=9, alone=True))
    assert gone_of(script.do(seconds, TreeGone(signalled=1, killed=1))).in_time is in_time


def test_a_renewal_moves_the_deadlines() -> None:
    """A leader is not disturbed without need."""
    script = running()
    assert script.do(4, wire.Extend(lease_start=at(3))) == ()
    assert script.tick(7.999) == ()
    assert script.tick(8) == (stopping(Cause.DEADLINE), SendStopSignal())
    assert script.tick(10) == (Kill(),)


def test_a_renewal_never_moves_the_lease_backwards() -> None:
    """An attempt in doubt may be confirmed after a later one; its own instant must not shorten what was promised."""
    script = running()
    script.do(4, wire.Extend(lease_start=at(3)))
    script.do(4, wire.Extend(lease_start=at(2)))
    assert script.due(4) == pytest.approx(4)


def test_a_renewal_after_the_stop_for_a_deadline_changes_nothing() -> None:
    """Finality: somebody may have released for us already."""
    script = running()
    script.tick(5)
    script.do(5, wire.Extend(lease_start=at(4.9)))
    assert script.tick(7) == (Kill(),)
    script.do(8.1, FirstReaped(wait_status=9, alone=True))
    assert not gone_of(script.do(8.1, TreeGone(signalled=1, killed=1))).in_time


def test_a_suspended_host_kills_on_resuming_without_a_stop_signal() -> None:
    """CLOCK_BOOTTIME alone shows the sleep.  There is no time left to be polite."""
    script = running()
    slept = Instant(monotonic=at(1).monotonic, raw=at(1).raw, boottime=at(3600).boottime)
    script.state, actions = step(script.state, Tick(), slept)
    assert actions == (stopping(Cause.DEADLINE), Kill())


def test_kill_is_repeated_until_there_is_proof_and_less_often_with_time() -> None:
    """A tree that forks meanwhile is met again; a process stuck in the kernel does not cost a processor."""
    script = running()
    script.do(0, wire.KillNow())
    assert script.tick(0.01) == (Kill(),)
    early, late = script.due(0.01), script.due(4)
    assert early is not None
    assert late is not None
    assert early <= 0.002
    assert 0.1 < late <= 0.25
    assert script.tick(30) == (Kill(),)
    assert script.phase is Phase.KILLING


# ---- loss, and the supervisor's death


@pytest.mark.parametrize(
    ("event", "cause"),
    [(wire.Stop(cause=Cause.LOSS), Cause.LOSS), (SupervisorGone(), Cause.SUPERVISOR_GONE)],
)
def test_a_confirmed_loss_stops_at_once_and_kills_after_grace(event: Event, cause: Cause) -> None:
    """There is nothing to wait for; grace is all that the command gets."""
    script = running()
    assert script.do(1, event) == (stopping(cause), SendStopSignal())
    assert script.tick(2.999) == ()
    assert script.tick(3) == (Kill(),)


def test_a_loss_late_in_the_lease_kills_at_the_leases_own_time() -> None:
    """Grace never reaches past kill_at."""
    script = running(stop_timeout=20.0)
    script.do(1, wire.Stop(cause=Cause.ASKED))
    script.do(6, wire.Stop(cause=Cause.LOSS))
    assert script.tick(6.999) == ()
    assert script.tick(7) == (Kill(),)


def test_a_renewal_after_a_loss_changes_nothing() -> None:
    """An answer that was under way when the loss was told."""
    script = running(stop_timeout=20.0)
    script.do(1, wire.Stop(cause=Cause.ASKED))
    script.do(6, wire.Stop(cause=Cause.LOSS))
    script.do(6.1, wire.Extend(lease_start=at(5.9)))
    assert script.tick(7) == (Kill(),)


def test_grace_zero_kills_at_once() -> None:
    """`-g 0` says so."""
    script = running(grace=0.0)
    assert script.do(1, wire.Stop(cause=Cause.LOSS)) == (stopping(Cause.LOSS), Kill())


# ---- asked


def test_an_orderly_stop_waits_its_own_time_while_renewals_go_on() -> None:
    """A healthy lease is no reason to hurry: the stop timeout may be longer than the lease."""
    script = running(stop_timeout=20.0)
    assert script.do(1, wire.Stop(cause=Cause.ASKED)) == (stopping(Cause.ASKED), SendStopSignal())
    for second in range(1, 21):
        assert script.do(second, wire.Extend(lease_start=at(second))) == ()
        assert script.tick(second) == ()
    assert script.tick(20.999) == ()
    assert script.tick(21) == (Kill(),)


def test_an_orderly_stop_ends_with_the_lease_when_renewals_cease() -> None:
    """Two leaders at once are worse than a hurried end."""
    script = running(stop_timeout=20.0)
    script.do(1, wire.Stop(cause=Cause.ASKED))
    assert script.tick(5) == ()
    assert script.do(5.5, wire.Extend(lease_start=at(5.4))) == ()
    assert script.tick(7) == (Kill(),)
    script.do(7, FirstReaped(wait_status=9, alone=True))
    assert gone_of(script.do(7, TreeGone(signalled=1, killed=1))).cause is Cause.ASKED


@pytest.mark.parametrize("event", [wire.Stop(cause=Cause.LOSS), SupervisorGone()])
def test_a_loss_during_an_orderly_stop_brings_the_kill_forward(event: Event) -> None:
    """No later than what was set, grace from now, and the lease; the first cause is the one told."""
    script = running(stop_timeout=20.0)
    script.do(0, wire.Stop(cause=Cause.ASKED))
    assert script.do(1, event) == ()
    assert script.tick(3) == (Kill(),)
    script.do(3, FirstReaped(wait_status=9, alone=True))
    assert gone_of(script.do(3, TreeGone(signalled=1, killed=1))).cause is Cause.ASKED


def test_a_loss_during_an_orderly_stop_never_puts_the_kill_off() -> None:
    """What was set before holds when it is earlier."""
    script = running(stop_timeout=1.0)
    script.do(0, wire.Stop(cause=Cause.ASKED))
    script.do(0.5, wire.Stop(cause=Cause.LOSS))
    assert script.tick(1) == (Kill(),)


def test_stop_timeout_zero_kills_at_once() -> None:
    """`--stop-timeout 0` says so."""
    script = running(stop_timeout=0.0)
    assert script.do(1, wire.Stop(cause=Cause.ASKED)) == (stopping(Cause.ASKED), Kill())


def test_asking_twice_kills_at_once() -> None:
    """The second Ctrl-C."""
    script = running()
    script.do(1, wire.Stop(cause=Cause.ASKED))
    assert script.do(1.1, wire.KillNow()) == (Kill(),)
    assert script.do(1.2, wire.KillNow()) == ()


# ---- the first process ends by itself


def test_a_command_that_ends_alone_is_gone_without_any_stopping() -> None:
    """The everyday case: nothing is signalled, and nothing is said of stopping."""
    script = running()
    assert script.do(1, FirstReaped(wait_status=3 << 8, alone=True)) == (told(wire.FirstEnded(wait_status=3 << 8)),)
    gone = gone_of(script.do(1, TreeGone(signalled=0, killed=0)))
    assert (gone.cause, gone.wait_status, gone.in_time) == (Cause.ENDED, 3 << 8, True)


def test_what_the_first_process_leaves_is_stopped_and_killed_after_grace() -> None:
    """A daemon left behind would act beside the next leader."""
    script = running()
    first = told(wire.FirstEnded(wait_status=0))
    assert script.do(1, FirstReaped(wait_status=0, alone=False)) == (first, stopping(Cause.ENDED), SendStopSignal())
    script.do(2.5, wire.Extend(lease_start=at(2.4)))
    assert script.tick(2.999) == ()
    assert script.tick(3) == (Kill(),)


def test_a_first_process_that_ends_while_stopping_does_not_end_the_stopping() -> None:
    """Its status is kept; the tree decides."""
    script = running()
    script.do(1, wire.Stop(cause=Cause.LOSS))
    assert script.do(1.1, FirstReaped(wait_status=15, alone=False)) == (told(wire.FirstEnded(wait_status=15)),)
    assert script.tick(3) == (Kill(),)
    assert gone_of(script.do(3, TreeGone(signalled=2, killed=1))).wait_status == 15


def test_signals_that_come_while_the_command_starts_are_forwarded_once_it_is_there() -> None:
    """Before that its process is still ours, and the user's signal would be lost."""
    script = Script()
    script.do(0, wire.Start(lease_start=at(0), environment={}))
    assert script.do(0, wire.Forward(signal=10, to_group=False)) == ()
    assert script.do(0, wire.Forward(signal=3, to_group=True)) == ()
    assert script.do(0, Executed(pid=7)) == (
        told(wire.Started(pid=7)),
        ForwardSignal(signal=10, to_group=False),
        ForwardSignal(signal=3, to_group=True),
    )


def test_signals_are_forwarded_only_to_a_command_that_is_there() -> None:
    """A pid that is gone may be a stranger's."""
    forward = wire.Forward(signal=10, to_group=False)
    script = Script()
    assert script.do(0, forward) == ()
    script = running()
    assert script.do(1, forward) == (ForwardSignal(signal=10, to_group=False),)
    script.do(1, wire.KillNow())
    assert script.do(1, forward) == ()


# ---- releasing for the supervisor


def ended_by(script: Script, seconds: float) -> tuple[Action, ...]:
    """Bring the proof of the command's end."""
    script.do(seconds, FirstReaped(wait_status=15, alone=True))
    return script.do(seconds, TreeGone(signalled=1, killed=0))


def test_a_dead_supervisors_lease_is_released_only_when_the_command_is_gone() -> None:
    """Released any earlier, the next leader would start beside it."""
    script = running()
    assert ReleaseForSupervisor not in map(type, script.do(1, SupervisorGone()))
    assert script.do(1.1, FirstReaped(wait_status=15, alone=True)) == (told(wire.FirstEnded(wait_status=15)),)
    assert script.do(1.1, TreeGone(signalled=1, killed=0))[-1] == ReleaseForSupervisor(guid="guid")
    assert script.do(1.5, ReleaseEnded()) == (Exit(),)


def test_a_supervisor_that_dies_while_waiting_has_its_candidate_deleted() -> None:
    """Else everybody behind it would wait for its session to expire."""
    script = Script()
    script.do(0, wire.Candidacy(guid="guid"))
    assert script.do(1, SupervisorGone()) == (ReleaseForSupervisor(guid="guid"),)
    assert script.do(2, ReleaseEnded()) == (Exit(),)


def test_without_a_candidacy_there_is_nothing_to_release() -> None:
    """A supervisor that died before it reached ZooKeeper."""
    assert Script().do(1, SupervisorGone()) == (Exit(),)


def test_the_release_for_a_frozen_supervisor_waits_for_a_loss_and_the_proof() -> None:
    """Only finality makes it safe; and the guard stays, so that the supervisor finds out when it is continued."""
    script = running()
    assert script.do(1, SupervisorAbsent()) == ()
    script.tick(5)
    script.do(5.1, FirstReaped(wait_status=15, alone=True))
    actions = script.do(5.1, TreeGone(signalled=1, killed=0))
    assert actions[-1] == ReleaseForSupervisor(guid="guid")
    assert script.do(6, ReleaseEnded()) == ()
    assert script.do(60, wire.Beat(number=9)) == (told(wire.BeatAnswer(number=9)),)
    assert script.do(60, wire.Start(lease_start=at(60), environment={})) == (told(wire.TooLate()),)
    assert script.do(61, wire.Dismiss()) == (Exit(),)


def test_a_supervisor_found_absent_after_the_end_is_released_for() -> None:
    """The same, in the other order."""
    script = running()
    script.tick(5)
    assert ReleaseForSupervisor not in map(type, ended_by(script, 5.1))
    assert script.do(5.5, SupervisorAbsent()) == (ReleaseForSupervisor(guid="guid"),)


def test_a_supervisor_that_answers_releases_itself() -> None:
    """It has the session, and reasons of its own for the order of things."""
    script = running()
    script.tick(5)
    script.do(5, SupervisorAbsent())
    script.do(5, wire.Beat(number=1))
    assert ReleaseForSupervisor not in map(type, ended_by(script, 5.1))


def test_an_end_without_a_loss_is_not_released_for_an_absent_supervisor() -> None:
    """It may still want to lead, or to write how the run ended."""
    script = running()
    assert ReleaseForSupervisor not in map(type, ended_by(script, 1))
    assert script.do(1, SupervisorAbsent()) == ()


def test_a_release_has_what_is_left_of_the_lease_within_bounds() -> None:
    """A release after the lease's end gains nothing, and one that hangs must not keep the guard."""
    for ended_at, seconds in ((1.0, 9.0), (9.5, RELEASE_AT_LEAST)):
        script = running()
        script.do(ended_at, SupervisorGone())
        ended_by(script, ended_at)
        assert script.due(ended_at) == pytest.approx(seconds)
        assert script.tick(ended_at + seconds - 0.001) == ()
        assert script.tick(ended_at + seconds) == (AbandonRelease(),)
        # One that does not end at once sits in the kernel; asking without a pause would take a processor.
        assert script.due(ended_at + seconds) == KILL_REPEAT_LONGEST
        assert script.do(ended_at + seconds, ReleaseEnded()) == (Exit(),)
    script = Script()
    script.do(0, wire.Candidacy(guid="guid"))
    script.do(0, SupervisorGone())
    assert script.due(0) == pytest.approx(RELEASE_AT_MOST)


def test_a_silent_supervisor_is_killed_and_then_released_for() -> None:
    """Its kazoo threads would ping on and block the queue for ever."""
    script = Script()
    script.do(0, wire.Candidacy(guid="guid"))
    assert script.do(20, SupervisorSilent()) == (KillSupervisor(),)
    assert script.do(20.1, SupervisorGone()) == (ReleaseForSupervisor(guid="guid"),)


def test_a_supervisor_killed_for_its_silence_takes_a_running_command_with_it() -> None:
    """Nobody is left to renew."""
    script = running()
    actions = script.do(1, SupervisorSilent())
    assert actions == (KillSupervisor(), stopping(Cause.SUPERVISOR_GONE), SendStopSignal())


def test_a_dismissed_guard_exits_and_releases_nothing() -> None:
    """The supervisor has released, or hands its candidacy to nobody."""
    script = Script()
    script.do(0, wire.Candidacy(guid="guid"))
    assert script.do(1, wire.Dismiss()) == (Exit(),)
    script = running()
    ended_by(script, 1)
    assert script.do(2, wire.Dismiss()) == (Exit(),)


def test_a_guard_dismissed_from_a_running_command_stops_it_first() -> None:
    """Against all expectation, and still never a command without a guard."""
    script = running()
    assert script.do(1, wire.Dismiss()) == (stopping(Cause.SUPERVISOR_GONE), SendStopSignal())
    assert script.do(1, SupervisorGone()) == ()
    assert ended_by(script, 1.5)[-1] == Exit()


def test_what_only_the_guard_says_is_refused_from_the_other_side() -> None:
    """A socket that speaks so is not the supervisor's; the loop ends the command on it."""
    with pytest.raises(wire.MalformedMessageError):
        Script().do(0, wire.Started(pid=1))


def test_an_idle_guard_sleeps() -> None:
    """While waiting for the election nothing is due."""
    assert Script().due(0) is None


# ---- job control


def test_a_stop_of_the_first_process_is_told_and_moves_no_deadline() -> None:
    """Ctrl-Z is between the user and the shell; the lease runs on, and a stopped command is killed in time."""
    script = running()
    stop = FirstStopped(pid=42, signal=20, wants_terminal=False)
    before = script.state
    assert script.do(1, stop) == (told(wire.FirstStopped(pid=42, signal=20, wants_terminal=False)),)
    assert script.state == before
    assert script.tick(5) == (stopping(Cause.DEADLINE), SendStopSignal())
    assert script.tick(7) == (Kill(),)


def test_a_continue_is_performed_and_answered_and_a_stop_that_lasts_is_told_behind_that() -> None:
    """What is told of a stop before the answer may be old; it moves no deadline either."""
    script = running()
    before = script.state
    answer = (told(wire.Continued()), LookForStop())
    assert script.do(4, wire.Continue(is_continued=False)) == (ContinueCommand(), *answer)
    # The user may have stopped it again since it was continued.
    assert script.do(4, wire.Continue(is_continued=True)) == answer
    assert script.state == before
    script.tick(5)
    assert script.do(6, wire.Continue(is_continued=False)) == (ContinueCommand(), *answer)
    assert script.tick(7) == (Kill(),)
