"""Hooks as the guard decides about them: scripts of event -> expected actions.

The figures are those of `test_termination`: stop at 5 s, SIGKILL at 7 s, gone by 8 s of a lease of 10 s, stop timeout
4 s; a hook may take 3 s.
"""

import pytest
from test_termination import START, at, gone_of, stopping, timing, told

from zkleader.core import wire
from zkleader.core.acts import Act, Hooks
from zkleader.core.deadlines import due_in
from zkleader.core.guard_actions import (
    Action,
    Exit,
    ForwardSignal,
    Kill,
    KillSupervisor,
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
    SupervisorGone,
    SupervisorSilent,
    Tick,
    TreeGone,
)
from zkleader.core.guard_state import Phase, State
from zkleader.core.termination import step
from zkleader.core.wire import Cause

BOTH = Hooks(on_elected=True, on_lost=True, timeout=3.0)
TREE_GONE = TreeGone(signalled=1, killed=0)
DONE, FAILED = FirstReaped(wait_status=0, alone=True), FirstReaped(wait_status=3 << 8, alone=True)
OVER = wire.TenureOver(in_time=True, lost=False)


class Script:
    """One guard's state, and the events that happen to it."""

    def __init__(self, hooks: Hooks = BOTH, grace: float = 2.0) -> None:
        self.state = State(timing=timing(grace=grace), hooks=hooks)
        self.do(0, wire.Candidacy(guid="guid"))

    def do(self, seconds: float, *events: Event) -> tuple[Action, ...]:
        """Hand in events; return what the last one calls for, notes for the log apart."""
        for event in events:
            self.state, actions = step(self.state, event, at(seconds))
            reports = [action.message for action in actions if isinstance(action, Report)]
            self.notes = [message for message in reports if isinstance(message, wire.Note)]
            kept = tuple(a for a in actions if not isinstance(a, Report) or not isinstance(a.message, wire.Note))
        return kept

    def tick(self, seconds: float) -> tuple[Action, ...]:
        return self.do(seconds, Tick())

    def told(self) -> list[tuple[str, str]]:
        """Return the names of the log events of the last step, and of their hooks."""
        return [(note.event, note.facts["hook"]) for note in self.notes]


def hook(act: Act, reason: str, lease_start: float = 0) -> Spawn:
    environment = {"ZKLEADER_TOKEN": "7", "ZKLEADER_REASON": reason}
    return Spawn(act=act, lease_start=at(lease_start), environment=environment)


def on_lost(reason: str, lease_start: float = 0) -> Spawn:
    return hook(Act.ON_LOST, reason, lease_start)


def electing(hooks: Hooks = BOTH, grace: float = 2.0) -> Script:
    """Return a guard whose on-elected runs since 0."""
    script = Script(hooks, grace)
    assert script.do(0, START) == (hook(Act.ON_ELECTED, "elected"),)
    assert script.do(0, Executed(pid=41)) == ()
    assert script.told() == [("hook_started", "on_elected")]
    return script


def running(hooks: Hooks = BOTH, grace: float = 2.0) -> Script:
    """Return a guard whose command runs since 0, after its on-elected."""
    script = electing(hooks, grace)
    script.do(0, DONE, TREE_GONE, Executed(pid=42))
    assert script.state.phase is Phase.RUNNING
    return script


def handing_over(seconds: float = 1) -> Script:
    """Return a guard whose command has ended by itself, and whose on-lost runs since that instant."""
    script = running()
    script.do(seconds, DONE, TREE_GONE)
    assert script.do(seconds, wire.EndTenure(reason="ended")) == (on_lost("ended"),)
    script.do(seconds, Executed(pid=43))
    return script


# ---- on-elected


def test_the_command_starts_when_all_of_on_elected_is_gone() -> None:
    """That its first process has ended proves nothing."""
    script = electing()
    assert script.do(1, DONE) == ()
    assert script.told() == [("hook_ended", "on_elected")]
    assert script.do(1.1, TREE_GONE) == (Spawn(lease_start=at(0), environment={"ZKLEADER_TOKEN": "7"}),)
    assert script.do(1.1, Executed(pid=42)) == (told(wire.Started(pid=42)),)


def test_what_on_elected_leaves_behind_is_killed_before_the_command_starts() -> None:
    """As systemd does with what ExecStartPre= has forked: two of a kind side by side would be nobody's wish."""
    script = electing()
    assert script.do(1, FirstReaped(wait_status=0, alone=False)) == (Kill(),)
    assert script.do(1.1, TREE_GONE)[0] == Spawn(lease_start=at(0), environment={"ZKLEADER_TOKEN": "7"})


@pytest.mark.parametrize("status", [3 << 8, 15])
def test_an_on_elected_that_fails_keeps_the_command_from_starting(status: int) -> None:
    """The supervisor then says for what reason on-lost is run."""
    script = electing()
    script.do(1, FirstReaped(wait_status=status, alone=True))
    gone = gone_of(script.do(1, TREE_GONE))
    assert (gone.cause, gone.ran, gone.wait_status, gone.in_time) == (Cause.HOOK_FAILED, False, status, True)
    assert script.do(1, wire.EndTenure(reason="on_elected_failed")) == (on_lost("on_elected_failed"),)


def test_an_on_elected_that_takes_too_long_is_killed_and_has_failed() -> None:
    """While the lease is healthy, too."""
    script = electing()
    script.do(2, wire.Extend(lease_start=at(2)))
    assert due_in(script.state, at(2)) == pytest.approx(1)
    assert script.tick(2.9) == ()
    assert script.tick(3) == (Kill(),)
    assert script.told() == [("hook_killed", "on_elected")]
    assert script.notes[0].facts["reason"] == "timeout"
    script.do(3.1, FirstReaped(wait_status=9, alone=True))
    assert gone_of(script.do(3.1, TREE_GONE)).cause is Cause.HOOK_FAILED


def test_an_on_elected_that_cannot_be_executed_has_failed() -> None:
    """A host without a shell, or without a process to spare."""
    script = Script()
    script.do(0, START)
    assert script.do(0, NotExecuted(refusal=wire.ExecFailed(errno=2))) == (Kill(),)
    assert script.told() == [("hook_not_executed", "on_elected")]
    gone = gone_of(script.do(0, FirstReaped(wait_status=127 << 8, alone=True), TREE_GONE))
    assert (gone.cause, gone.ran) == (Cause.HOOK_FAILED, False)


def test_asked_to_stop_on_elected_is_stopped_as_the_command_would_be() -> None:
    """And asked twice it is killed; the command never starts, whatever the hook's status is."""
    script = electing()
    assert script.do(1, wire.Stop(cause=Cause.ASKED)) == (stopping(Cause.ASKED), SendStopSignal())
    assert script.do(1.5, wire.KillNow()) == (Kill(),)
    gone = gone_of(script.do(1.6, DONE, TREE_GONE))
    assert (gone.cause, gone.ran) == (Cause.ASKED, False)
    assert script.state.phase is Phase.VACANT


@pytest.mark.parametrize("cause", [Cause.ASKED, Cause.LOSS])
def test_asked_while_leftovers_of_a_good_on_elected_are_killed_the_command_does_not_start(cause: Cause) -> None:
    """The race between its success and the request."""
    script = electing()
    script.do(1, FirstReaped(wait_status=0, alone=False))
    assert script.do(1, wire.Stop(cause=cause)) == (stopping(cause),)
    assert gone_of(script.do(1.1, TREE_GONE)).ran is False
    assert script.state.act is not Act.COMMAND


def test_on_elected_is_stopped_and_killed_for_the_lease_as_the_command_is() -> None:
    """It delays no deadline; a time-out that is longer than the lease's end changes nothing."""
    script = electing(Hooks(on_elected=True, on_lost=True, timeout=60.0))
    assert script.tick(4.9) == ()
    assert script.tick(5) == (stopping(Cause.DEADLINE), SendStopSignal())
    assert script.tick(7) == (Kill(),)
    gone = gone_of(script.do(7.5, FirstReaped(wait_status=9, alone=True), TREE_GONE))
    assert (gone.cause, gone.ran, gone.lost) == (Cause.DEADLINE, False, True)


def test_an_on_elected_that_ends_after_the_stop_was_due_is_not_followed_by_the_command() -> None:
    """Its end and the deadline are met in one round of the loop."""
    script = electing(Hooks(on_elected=True, timeout=60.0))
    assert script.do(5.1, DONE, TREE_GONE) == (told(wire.TooLate()),)
    assert script.state.phase is Phase.GONE


def test_signals_for_the_command_wait_for_its_start_and_a_hook_gets_none() -> None:
    """A HUP that comes while on-elected runs is dropped: kept, it would come before that has a handler, and kill it."""
    script = electing()
    assert script.do(0.5, wire.Forward(signal=1, to_group=False)) == ()
    script.do(1, DONE, TREE_GONE)
    assert script.do(1, wire.Forward(signal=10, to_group=False)) == ()
    actions = script.do(1, Executed(pid=42))
    assert actions == (told(wire.Started(pid=42)), ForwardSignal(signal=10, to_group=False))


def test_a_hook_that_is_stopped_is_no_stopped_job() -> None:
    """It has no terminal; its time-out is for that."""
    assert electing().do(1, FirstStopped(pid=41, signal=19, wants_terminal=False)) == ()


def test_on_elected_runs_once_per_tenure() -> None:
    """Not before the second run of the command; and on-lost not between the two."""
    script = running()
    assert gone_of(script.do(1, FAILED, TREE_GONE)).ran
    again = wire.Start(lease_start=at(1), environment={"ZKLEADER_TOKEN": "7"})
    assert script.do(1.5, again) == (Spawn(lease_start=at(1), environment={"ZKLEADER_TOKEN": "7"}),)


# ---- on-lost


def test_on_lost_runs_when_all_of_the_command_is_gone_and_the_end_is_told_when_all_of_it_is() -> None:
    """A daemon that it leaves is killed: after the release it would act beside the successor."""
    script = handing_over()
    assert script.do(1.5, FirstReaped(wait_status=0, alone=False)) == (Kill(),)
    assert script.told() == [("hook_ended", "on_lost")]
    assert script.do(1.6, TREE_GONE) == (told(OVER),)
    assert script.state.phase is Phase.GONE
    assert script.do(1.7, wire.Dismiss()) == (Exit(),)


def test_renewals_count_while_on_lost_runs_and_its_time_out_holds() -> None:
    """While the lease is healthy it has all of its time."""
    script = handing_over(1)
    script.do(3, wire.Extend(lease_start=at(3)))
    assert script.state.lease_start == at(3)
    assert script.tick(3.9) == ()
    assert script.tick(4) == (Kill(),)
    assert script.notes[0].facts == {"hook": "on_lost", "reason": "timeout", "took": 3.0}
    assert script.do(4.1, FirstReaped(wait_status=9, alone=True), TREE_GONE) == (told(OVER),)


def test_on_lost_gets_no_stop_signal_and_is_killed_by_the_lease_at_the_latest() -> None:
    """What undoes things is let do so for as long as that is safe."""
    script = handing_over(4.5)
    assert script.tick(5) == ()
    assert script.do(5.5, wire.Extend(lease_start=at(5.5))) == ()  # too late: it has met the deadline
    assert script.do(5.6, wire.Stop(cause=Cause.ASKED), wire.KillNow()) == ()
    assert due_in(script.state, at(6)) == pytest.approx(1)
    assert script.tick(7) == (Kill(),)
    assert script.notes[0].facts["reason"] == "deadline"
    script.do(7.2, FirstReaped(wait_status=9, alone=True))
    assert script.do(7.2, TREE_GONE) == (told(wire.TenureOver(in_time=True, lost=True)),)


def test_on_lost_that_was_gone_too_late_is_told_as_such() -> None:
    """Or the supervisor would release, and say that all was well."""
    script = handing_over(4.5)
    script.tick(7)
    script.do(8.1, FirstReaped(wait_status=9, alone=True))
    assert script.do(8.1, TREE_GONE)[0] == told(wire.TenureOver(in_time=False, lost=True))


def test_after_a_loss_on_lost_runs_without_being_asked() -> None:
    """Whoever would ask may be frozen; the reason is what the supervisor has called the loss."""
    script = running()
    script.do(1, wire.Stop(cause=Cause.LOSS, reason="session_expired"))
    actions = script.do(1.5, DONE, TREE_GONE)
    assert gone_of(actions).lost
    assert actions[-1] == on_lost("session_expired")
    assert script.do(1.5, wire.EndTenure(reason="session_expired")) == ()
    script.do(1.6, Executed(pid=43), DONE)
    assert script.do(1.6, TREE_GONE) == (told(wire.TenureOver(in_time=True, lost=True)),)


def test_after_a_lapse_on_lost_has_what_the_grace_period_leaves() -> None:
    """The command has ended half a second after the stop signal."""
    script = running()
    script.tick(5)
    assert script.do(5.5, DONE, TREE_GONE)[-1] == on_lost("lease_lapsed")
    assert due_in(script.state, at(5.5)) == pytest.approx(1.5)


def test_with_no_time_left_on_lost_does_not_run_and_the_log_says_so() -> None:
    """A command that ignores the stop signal takes all of it."""
    script = running()
    script.tick(5)
    script.tick(7)
    actions = script.do(7.1, FirstReaped(wait_status=9, alone=True), TREE_GONE)
    assert actions[-1] == told(wire.TenureOver(in_time=True, lost=True))
    assert script.told() == [("hook_skipped", "on_lost")]
    assert script.state.phase is Phase.GONE


def test_an_on_lost_that_finds_no_time_just_before_exec_is_told_as_skipped() -> None:
    """The host may have slept since."""
    script = running()
    script.do(1, DONE, TREE_GONE)
    script.do(1, wire.EndTenure(reason="ended"))
    script.do(7, NotExecuted(refusal=wire.TooLate()))
    assert script.told() == [("hook_skipped", "on_lost")]
    assert script.do(7, FirstReaped(wait_status=127 << 8, alone=True)) == ()
    assert script.told() == []
    assert script.do(7, TREE_GONE)[0] == told(wire.TenureOver(in_time=True, lost=True))


def test_for_a_dead_supervisor_on_lost_runs_before_the_release() -> None:
    """Nobody else is there to do either."""
    script = running()
    script.do(1, SupervisorGone())
    assert script.do(1.5, DONE, TREE_GONE)[-1] == on_lost("supervisor_gone")
    script.do(1.5, Executed(pid=43))
    assert ReleaseForSupervisor not in map(type, script.do(1.6, FAILED))
    assert script.do(1.6, TREE_GONE)[-1] == ReleaseForSupervisor(guid="guid")
    assert script.state.on_lost_came_to == "on-lost ended with status 3"


def test_a_supervisor_that_dies_while_on_lost_runs_changes_nothing_but_who_releases() -> None:
    """It has its time, as long as the lease lets it."""
    script = handing_over(1)
    assert script.do(1.5, SupervisorGone()) == ()
    assert script.do(2, DONE, TREE_GONE)[-1] == ReleaseForSupervisor(guid="guid")


def test_a_supervisor_that_dies_between_two_runs_is_followed_by_on_lost() -> None:
    """The tenure has begun, and ends with it."""
    script = running()
    script.do(1, FAILED, TREE_GONE)
    assert script.do(1.5, SupervisorGone()) == (on_lost("supervisor_gone"),)


def test_a_supervisor_that_is_silent_between_two_runs_is_killed_and_then_the_same() -> None:
    """Its silence holds up the election."""
    script = running()
    script.do(1, FAILED, TREE_GONE)
    assert script.do(1.5, SupervisorSilent()) == (KillSupervisor(),)
    assert script.do(1.6, SupervisorGone()) == (on_lost("supervisor_gone"),)


def test_a_lapse_between_two_runs_has_on_lost_run_in_time() -> None:
    """The supervisor may be frozen: from the instant on at which the command would be stopped, it runs."""
    script = running()
    script.do(1, FAILED, TREE_GONE)
    script.do(2, wire.Extend(lease_start=at(2)))
    assert due_in(script.state, at(2)) == pytest.approx(5)
    assert script.tick(7) == (on_lost("lease_lapsed", lease_start=2),)


def test_without_on_lost_a_pause_has_no_deadline() -> None:
    """There is nothing to be done about it; the supervisor, or the next start, looks at the clock."""
    script = running(Hooks(on_elected=True, timeout=3.0))
    script.do(1, FAILED, TREE_GONE)
    assert due_in(script.state, at(1)) is None


def test_a_tenure_in_which_nothing_was_begun_needs_no_on_lost() -> None:
    """A start that came too late; the supervisor asks all the same, and is answered."""
    script = Script()
    assert script.do(5, START) == (told(wire.TooLate()),)
    assert script.do(5, wire.EndTenure(reason="start_too_late")) == (told(wire.TenureOver(in_time=True, lost=True)),)


def test_a_command_that_cannot_be_executed_is_followed_by_on_lost() -> None:
    """On-elected has run."""
    script = electing()
    script.do(0, DONE, TREE_GONE)
    script.do(0, NotExecuted(refusal=wire.ExecFailed(errno=2)), FirstReaped(wait_status=127 << 8, alone=True))
    assert script.do(0, TREE_GONE) == (told(wire.ExecFailed(errno=2)),)
    assert script.do(0, wire.EndTenure(reason="not_executed")) == (on_lost("not_executed"),)


def test_on_lost_runs_once() -> None:
    """Whoever asks again is told that it is over, and a start is refused."""
    script = handing_over()
    script.do(1.5, DONE, TREE_GONE)
    assert script.do(2, wire.EndTenure(reason="ended")) == (told(OVER),)
    assert script.do(2, START) == (told(wire.TooLate()),)
    assert ReleaseForSupervisor in map(type, script.do(2, SupervisorGone()))


def test_without_grace_on_lost_still_runs_when_the_end_was_asked_for() -> None:
    """Only a lapse leaves it no time."""
    script = running(grace=0.0)
    script.do(1, wire.Stop(cause=Cause.ASKED), DONE, TREE_GONE)
    assert script.do(1, wire.EndTenure(reason="asked")) == (on_lost("asked"),)
    lapsed = running(grace=0.0)
    lapsed.tick(7)
    lapsed.do(7.1, FirstReaped(wait_status=9, alone=True), TREE_GONE)
    assert lapsed.told() == [("hook_skipped", "on_lost")]
