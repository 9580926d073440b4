"""What the guard does of ``--on-disconnect``, as scripts: whom it believes, when it freezes, what alone thaws.

The figures are those of `test_termination`: stop at 5 s, SIGKILL at 7 s; a renewal is sent every second and answered
within two, so it is overdue at 3 s.
"""

import pytest
from test_termination import START, Script, at, gone_of, stopping, told

from zkleader.core import wire
from zkleader.core.acts import Act, Hooks
from zkleader.core.disconnect import RENEWAL_OVERDUE, SUSPENDED, OnDisconnect
from zkleader.core.guard_actions import (
    Action,
    ForwardSignal,
    Freeze,
    Kill,
    KillSupervisor,
    ReleaseForSupervisor,
    Report,
    SendStopSignal,
    Spawn,
    Thaw,
)
from zkleader.core.guard_events import (
    Executed,
    FirstReaped,
    Frozen,
    SupervisorAbsent,
    SupervisorGone,
    SupervisorSilent,
    TreeGone,
)
from zkleader.core.guard_state import Phase, State
from zkleader.core.lease import Timing
from zkleader.core.wire import Cause


def guard(on_disconnect: OnDisconnect = OnDisconnect.PAUSE) -> Script:
    """Return a guard that has started nothing yet."""
    script = Script()
    script.state = State(timing=script.state.timing, on_disconnect=on_disconnect)
    script.do(0, wire.Candidacy(guid="guid"))
    return script


def running(on_disconnect: OnDisconnect = OnDisconnect.PAUSE) -> Script:
    """Return a guard whose command has been executed under a lease that began at 0."""
    script = guard(on_disconnect)
    script.do(0, START)
    script.do(0, Executed(pid=42))
    return script


def suspended(seconds: float) -> wire.Suspended:
    return wire.Suspended(suspended_at=at(seconds))


def extend(seconds: float) -> wire.Extend:
    return wire.Extend(lease_start=at(seconds))


def paused(seconds: float = 1) -> Script:
    """Return a guard whose command stands still since the connection was suspended."""
    script = running()
    assert script.do(seconds, suspended(seconds)) == (Freeze(),)
    script.do(seconds, Frozen())
    return script


def messages(actions: tuple[Action, ...]) -> list[wire.Message]:
    return [action.message for action in actions if isinstance(action, Report)]


# ---- freezing


def test_the_supervisors_word_freezes_at_once() -> None:
    """Not at the next tick: from the moment when the connection is suspended it must not act."""
    script = running()
    assert script.do(1, suspended(1)) == (Freeze(),)
    assert script.phase is Phase.RUNNING


def test_a_renewal_that_is_overdue_freezes_without_the_supervisors_help() -> None:
    """A supervisor that is frozen, stuck or starved cannot say anything."""
    script = running()
    assert script.due(0) == 3
    assert script.tick(2.99) == ()
    assert script.tick(3) == (Freeze(),)
    assert script.due(3) == 2  # the stop signal's instant: nothing that is always due


def test_renewals_put_it_off() -> None:
    """A command is not paused while all is well."""
    script = running()
    for second in range(1, 20):
        assert script.do(second + 0.9, extend(second)) == ()
        assert script.tick(second + 0.95) == ()


def test_a_renewal_is_overdue_before_the_stop_signal_is_due_whatever_the_timing() -> None:
    """Else `pause` would stop at a time at which it should freeze."""
    for timing in (Timing(lease=20, grace=5, stop_timeout=1), Timing(lease=2, grace=0.37, stop_timeout=1)):
        assert timing.overdue_after <= timing.stop_after + 1e-9


@pytest.mark.parametrize("on_disconnect", [OnDisconnect.CONTINUE, OnDisconnect.STOP])
def test_nothing_is_frozen_unless_that_is_wanted(on_disconnect: OnDisconnect) -> None:
    """Today's behaviour is the default."""
    script = running(on_disconnect)
    assert script.do(1, suspended(1)) == ()
    assert Freeze() not in script.tick(4)


def test_it_is_told_when_all_of_it_stands_still_and_only_once() -> None:
    """Freezing takes effect in a while; `paused` is a promise."""
    script = running()
    assert messages(script.do(1, suspended(1))) == []
    assert script.do(1.25, Frozen()) == (told(wire.Paused(reason=SUSPENDED, took=0.25)),)
    assert script.do(1.5, Frozen()) == ()


def test_the_reason_is_the_one_met_first() -> None:
    """Suspended, and overdue since: one pause."""
    script = running()
    script.tick(3)
    assert script.do(3.5, suspended(3.5)) == ()
    assert messages(script.do(3.5, Frozen())) == [wire.Paused(reason=RENEWAL_OVERDUE, took=0.5)]


def test_a_command_that_is_started_in_doubt_is_forked_into_a_frozen_group() -> None:
    """A claim found by a read after a reconnect, or a restart: the order of the two lets it do nothing before."""
    script = guard()
    script.do(0.5, suspended(0.5))
    actions = script.do(0.6, START)
    assert actions == (Spawn(lease_start=at(0), environment={"ZKLEADER_TOKEN": "7"}, frozen=True),)
    assert script.do(1, extend(0.9)) == (Thaw(),)


def spawned(actions: tuple[Action, ...]) -> list[tuple[Act, bool]]:
    return [(action.act, action.frozen) for action in actions if isinstance(action, Spawn)]


def test_on_elected_is_frozen_too_and_the_command_after_it_is_started_frozen() -> None:
    """Each act has a control group of its own, which has to be frozen anew."""
    script = guard()
    script.state = script.state.but(hooks=Hooks(on_elected=True))
    assert spawned(script.do(0, START)) == [(Act.ON_ELECTED, False)]
    script.do(0, Executed(pid=42))
    assert script.do(1, suspended(1)) == (Freeze(),)
    script.do(1, FirstReaped(wait_status=0, alone=True))  # it had ended before
    assert spawned(script.do(1, TreeGone(signalled=0, killed=0))) == [(Act.COMMAND, True)]
    script.do(1, Executed(pid=43))
    assert script.do(1.5, extend(1.25)) == (Thaw(),)


def test_a_hooks_time_out_stands_still_with_it() -> None:
    """An outage that is ridden out is not to end a leader because its hook was frozen for long."""
    script = guard()
    script.state = script.state.but(hooks=Hooks(on_elected=True, timeout=2.0))
    script.do(0, START)
    script.do(0, Executed(pid=42))
    script.do(1, suspended(1))
    assert script.tick(3.5) == ()
    assert Thaw() in script.do(3.75, extend(3.5))
    assert script.tick(4.5) == ()
    assert Kill() in script.tick(4.75)


def test_on_lost_is_not_frozen() -> None:
    """It is what there is to do about a loss, in the time that is left."""
    script = paused()
    script.state = script.state.but(hooks=Hooks(on_lost=True))
    assert Kill() in script.do(2, wire.Stop(cause=Cause.LOSS, reason="session_expired"))
    script.do(2, FirstReaped(wait_status=9, alone=True))
    assert spawned(script.do(2, TreeGone(signalled=0, killed=1))) == [(Act.ON_LOST, False)]
    script.do(2, Executed(pid=43))
    assert script.tick(3) == ()
    assert script.phase is Phase.RUNNING


# ---- going on


def test_a_renewal_sent_after_the_suspension_thaws() -> None:
    """And says for how long the command stood still."""
    script = paused(1)
    assert script.do(2.5, extend(2)) == (Thaw(), told(wire.Resumed(seconds=1.5)))
    assert script.tick(4.9) == ()
    assert script.tick(5) == (Freeze(),)  # of the new lease


def test_a_renewal_sent_before_the_suspension_extends_the_lease_and_does_not_thaw() -> None:
    """It was in doubt, and a read after the reconnect shows it: that says nothing of the time since."""
    script = paused(1)
    assert script.do(2, extend(0.9)) == ()
    assert script.state.lease_start == at(0.9)
    assert script.do(2.5, extend(1)) == ()  # at the very instant is not after it
    assert script.do(3, extend(2.8)) == (Thaw(), told(wire.Resumed(seconds=2)))


def test_a_second_suspension_needs_a_newer_renewal() -> None:
    """Flapping: each suspension makes what was sent before it worthless."""
    script = paused(1)
    script.do(2, suspended(2))
    assert script.do(2.2, extend(1.5)) == ()
    assert Thaw() in script.do(2.5, extend(2.1))


def test_a_suspension_that_is_told_late_does_not_make_up_for_a_later_one() -> None:
    """The guard keeps the last, in whatever order it hears."""
    script = paused(2)
    script.do(2.1, suspended(1))
    assert script.do(2.2, extend(1.5)) == ()


def test_an_overdue_renewal_that_is_confirmed_thaws() -> None:
    """The supervisor was slow, and is there again."""
    script = running()
    script.tick(3)
    script.do(3, Frozen())
    assert script.do(3.5, extend(3.2)) == (Thaw(), told(wire.Resumed(seconds=0.5)))


def test_a_renewal_that_is_itself_overdue_when_it_is_heard_does_not_thaw() -> None:
    """The answer took so long that the lease it gives is as old as the one before was."""
    script = running()
    script.tick(3)
    assert script.do(4.1, extend(1)) == ()
    assert Thaw() in script.do(4.2, extend(4.15))


def test_time_alone_never_thaws() -> None:
    """Nor do beats, or anything else that a supervisor says that has come back."""
    script = paused(1)
    for tenth in range(11, 49):
        assert Thaw() not in script.tick(tenth / 10)
        assert Thaw() not in script.do(tenth / 10, wire.Beat(number=tenth))


def test_what_was_too_short_to_be_told_is_not_said_to_have_ended() -> None:
    """Whoever counts pauses and resumptions gets as many of each."""
    script = running()
    script.do(1, suspended(1))
    assert script.do(1.1, extend(1.05)) == (Thaw(),)
    assert script.do(1.2, Frozen()) == ()


# ---- stopping and dying while it stands still


def test_a_frozen_command_is_killed_as_soon_as_leadership_is_lost_for_certain() -> None:
    """It could not act on a stop signal, and nothing thaws it: nobody shall wait for its grace."""
    script = paused(1)
    assert script.do(2, wire.Stop(cause=Cause.LOSS)) == (stopping(Cause.LOSS), Kill())
    assert script.phase is Phase.KILLING


def test_a_frozen_command_is_killed_when_the_stop_signal_would_be_due() -> None:
    """The deadlines stay where they are; from then on no renewal counts."""
    script = paused(1)
    assert script.tick(4.99) == ()
    assert script.tick(5) == (stopping(Cause.DEADLINE), Kill())
    assert Thaw() not in script.do(5.1, extend(4.9))
    assert gone_of(script.do(5.2, TreeGone(signalled=0, killed=1))).lost


def test_a_frozen_command_of_a_dead_supervisor_is_killed_and_released_for() -> None:
    """Its successor starts at once."""
    script = paused(1)
    assert script.do(2, SupervisorGone()) == (stopping(Cause.SUPERVISOR_GONE), Kill())
    assert ReleaseForSupervisor(guid="guid") in script.do(2.1, TreeGone(signalled=0, killed=1))


def test_a_frozen_supervisors_command_is_frozen_then_killed_and_released_for() -> None:
    """The guard does all of it by itself."""
    script = running()
    assert script.tick(3) == (Freeze(),)
    assert script.tick(5) == (stopping(Cause.DEADLINE), Kill())
    script.do(5.1, TreeGone(signalled=0, killed=1))
    assert script.do(5.1, SupervisorAbsent()) == (ReleaseForSupervisor(guid="guid"),)


def test_a_silent_supervisor_is_killed_with_its_frozen_command() -> None:
    """Both at once."""
    assert paused(1).do(4, SupervisorSilent()) == (KillSupervisor(), stopping(Cause.SUPERVISOR_GONE), Kill())


def test_asked_to_stop_the_signal_waits_until_the_command_goes_on() -> None:
    """Being asked is no reason to act while cut off; handled by the command, the signal is pending."""
    script = paused(1)
    assert script.do(2, wire.Stop(cause=Cause.ASKED)) == (stopping(Cause.ASKED), SendStopSignal())
    assert script.do(2.5, extend(2.4)) == (Thaw(), told(wire.Resumed(seconds=1.5)))
    assert script.phase is Phase.STOPPING


def test_asked_to_stop_it_is_killed_at_the_deadline_at_the_latest() -> None:
    """Stop timeout (4 s) or the lease's end, whichever comes first."""
    script = paused(1)
    script.do(2, wire.Stop(cause=Cause.ASKED))
    assert Kill() in script.tick(5)


def test_asked_twice_it_is_killed_at_once() -> None:
    """As ever."""
    script = paused(1)
    script.do(2, wire.Stop(cause=Cause.ASKED))
    assert script.do(2.1, wire.KillNow()) == (Kill(),)


def test_a_loss_met_while_it_was_asked_to_stop_kills_what_is_frozen() -> None:
    """Whatever it is doing: nothing will thaw it."""
    script = paused(1)
    script.do(2, wire.Stop(cause=Cause.ASKED))
    assert script.do(2.1, wire.Stop(cause=Cause.LOSS)) == (Kill(),)


def test_what_is_being_stopped_for_a_loss_is_killed_when_it_would_have_to_be_frozen() -> None:
    """The promise has no exception: cut off it does not act, not even to end."""
    script = running()
    script.do(2, wire.Stop(cause=Cause.LOSS))
    assert script.phase is Phase.STOPPING
    assert script.due(2) == 1
    assert script.tick(3) == (Kill(),)


def test_what_is_being_stopped_in_order_is_frozen_too() -> None:
    """The lease goes on being renewed, or should."""
    script = running()
    script.do(1, wire.Stop(cause=Cause.ASKED))
    assert script.do(1.5, suspended(1.5)) == (Freeze(),)
    assert Thaw() in script.do(2, extend(1.8))


def test_signals_are_handed_on_to_a_frozen_command() -> None:
    """The kernel keeps what it handles until it goes on, and what it does not handle ends it."""
    assert paused(1).do(2, wire.Forward(signal=1, to_group=False)) == (ForwardSignal(signal=1, to_group=False),)


def test_the_end_of_a_frozen_commands_first_process_is_the_commands_end() -> None:
    """Somebody killed it: what is left gets the stop signal and SIGKILL after grace, wherever the connection is."""
    script = paused(1)
    assert SendStopSignal() in script.do(2, FirstReaped(wait_status=9, alone=False))
    assert script.tick(4) == (Kill(),)
    gone = gone_of(script.do(4.1, TreeGone(signalled=1, killed=1)))
    assert (gone.cause, gone.wait_status, gone.lost) == (Cause.ENDED, 9, False)


def test_a_command_frozen_while_it_starts_is_killed_in_time() -> None:
    """Its process may stand still before exec."""
    script = guard()
    script.do(0, START)
    assert script.do(1, suspended(1)) == (Freeze(),)
    assert Kill() in script.tick(5)


# ---- stop


def test_with_stop_an_overdue_renewal_is_the_end() -> None:
    """The guard's own judgement, for a supervisor that cannot say anything; final like every other loss."""
    script = running(OnDisconnect.STOP)
    assert script.due(0) == 3
    assert script.tick(2.99) == ()
    assert script.tick(3) == (stopping(Cause.OVERDUE), SendStopSignal())
    script.do(3.1, extend(3.05))
    assert script.state.lease_start == at(0)
    assert script.tick(5) == (Kill(),)  # after grace
    script.do(5.1, TreeGone(signalled=1, killed=1))
    assert script.do(5.1, SupervisorAbsent()) == (ReleaseForSupervisor(guid="guid"),)


def test_with_stop_nothing_is_started_under_a_lease_that_is_overdue() -> None:
    """It would be stopped at once."""
    assert guard(OnDisconnect.STOP).do(3, START) == (told(wire.TooLate()),)
