"""What the supervisor does of ``--on-disconnect``, as scripts: what it tells the guard, and when it steps down itself.

The lease is 20 s: a renewal every 2 s, an answer within 4, so one is overdue at 6.
"""

import pytest
from candidacy_script import ELECTION, OWN, RECORD, TIMING, Script, at, record, stat
from test_measures import Measured

from zkleader.core import notices
from zkleader.core.actions import (
    DropConnection,
    End,
    ExtendLease,
    Outcome,
    StartCommand,
    StopCommand,
    Sync,
    TellSuspended,
)
from zkleader.core.candidacy_state import Phase
from zkleader.core.disconnect import RENEWAL_OVERDUE, SUSPENDED, OnDisconnect
from zkleader.core.events import (
    Answered,
    Applied,
    CommandGone,
    CommandPaused,
    CommandResumed,
    CommandStopping,
    Connected,
    Content,
    LeaveAsked,
    Suspended,
    Unanswered,
)
from zkleader.core.restart import Restart
from zkleader.core.wire import Cause

RECONNECTED = Connected(granted=20.0, server="s")


def leading(on_disconnect: OnDisconnect, **wanted: object) -> Script:
    script = Script(on_disconnect=on_disconnect, **wanted)
    script.lead(0)
    return script


def reconnect(script: Script, seconds: float, **fields: object) -> list[object]:
    """Connect again and read everything; return what the record, which says this, calls for."""
    script.do(seconds, RECONNECTED)
    script.answer(seconds, Sync, Applied())
    script.answer(seconds, f"{ELECTION}/{OWN}", Content(data=b"{}", stat=stat(0)))
    version = fields.pop("version", 2)
    assert isinstance(version, int)
    held = record(holder="guid", released=False, token=1002, **fields)
    return list(script.answer(seconds, RECORD, Content(data=held, stat=stat(version))))


# ---- the guard is told


def test_with_pause_the_guard_is_told_at_once() -> None:
    """With the instant, because what was sent before it is no sign of life."""
    assert leading(OnDisconnect.PAUSE).do(1, Suspended()) == [TellSuspended(suspended_at=at(1))]


def test_with_continue_nothing_is_told() -> None:
    """Today's behaviour is the default."""
    assert leading(OnDisconnect.CONTINUE).do(1, Suspended()) == []
    assert Script().state.rules.on_disconnect is OnDisconnect.CONTINUE


def test_a_silent_server_is_a_suspension_too() -> None:
    """We drop the connection ourselves."""
    script = leading(OnDisconnect.PAUSE)
    script.do(2)
    actions = script.do(6)
    assert actions[:2] == [DropConnection(), TellSuspended(suspended_at=at(6))]


def test_who_waits_tells_nothing() -> None:
    """There is nothing to be frozen."""
    script = Script(on_disconnect=OnDisconnect.PAUSE)
    script.join(0, "other-n_0000000003")
    assert script.do(1, Suspended()) == []


def test_after_a_reconnect_a_renewal_is_sent_at_once_and_only_once() -> None:
    """The command waits for it; but a refusal must not have us write as fast as the network is."""
    script = leading(OnDisconnect.PAUSE)
    script.do(0.5, Suspended())
    reconnect(script, 1, beat=1)
    assert script.write()[1]["beat"] == 2
    assert [type(action) for action in script.claimed(1.01, 3)] == [ExtendLease]
    assert script.do(1.5) == []
    assert script.state.last_write == at(1)


def test_with_continue_the_next_renewal_is_sent_when_it_is_due() -> None:
    """It is in no hurry."""
    script = leading(OnDisconnect.CONTINUE)
    script.do(0.5, Suspended())
    reconnect(script, 1, beat=1)
    with pytest.raises(AssertionError, match="no write in flight"):
        script.write()


def test_a_renewal_found_applied_is_followed_by_another_at_once() -> None:
    """It extends the lease, and the guard does not thaw for it: it was sent before the connection broke."""
    script = leading(OnDisconnect.PAUSE)
    script.do(2)
    write = next(flight for flight in script.state.flights.values() if flight.record is not None)
    script.do(2.5, Suspended())
    script.do(2.5, Answered(number=write.number, answer=Unanswered()))
    actions = reconnect(script, 3, beat=2, version=3)
    assert actions[0] == ExtendLease(lease_start=at(2))
    assert script.write()[1]["beat"] == 3


def test_a_claim_that_only_a_read_has_shown_starts_the_command_frozen() -> None:
    """The guard may not have been told of a suspension before there was a command."""
    script = Script(on_disconnect=OnDisconnect.PAUSE)
    script.join(1)
    write = next(flight for flight in script.state.flights.values() if flight.record is not None)
    script.do(2, Suspended())
    script.do(2, Answered(number=write.number, answer=Unanswered()))
    script.do(3, RECONNECTED)
    script.answer(3, Sync, Applied())
    actions = script.answer(3, RECORD, Content(data=record(holder="guid", beat=1, released=False), stat=stat(2)))
    assert actions[:2] == [TellSuspended(suspended_at=at(2)), StartCommand(lease_start=at(1), token=1002)]


def test_a_restart_in_doubt_tells_the_guard_again() -> None:
    """It knows already, and is asked to start under a lease that was sent before."""
    script = leading(OnDisconnect.PAUSE, restart=Restart.ALWAYS, restart_delay=1.0)
    script.do(0.5, Suspended())
    script.do(1, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True))
    assert script.do(2) == [TellSuspended(suspended_at=at(0.5)), StartCommand(lease_start=at(0), token=1002)]


def test_a_start_after_a_renewal_is_like_any_other() -> None:
    """The doubt of an hour ago is over."""
    script = leading(OnDisconnect.PAUSE, restart=Restart.ALWAYS, restart_delay=1.0)
    script.do(0.5, Suspended())
    reconnect(script, 1, beat=1)
    script.claimed(1, 3)
    script.do(1.5, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True))
    assert script.do(2.5) == [StartCommand(lease_start=at(1), token=1002)]


# ---- what is told of it


def test_a_pause_is_told_counted_and_shown() -> None:
    """Log, metrics and systemd."""
    script = Measured(on_disconnect=OnDisconnect.PAUSE)
    script.lead(0)
    script.do(1, CommandPaused(reason=SUSPENDED, took=0.001))
    assert script.events() == ["command_paused"]
    assert (script.figures.is_paused, script.figures.pauses) == (True, 1)
    assert "STATUS=leader, token 1002: paused" in told_to_systemd(script, 1)
    script.do(2, CommandResumed(seconds=1.0))
    assert script.events() == ["command_resumed"]
    assert (script.figures.is_paused, script.figures.pauses) == (False, 1)
    assert "STATUS=leader, token 1002" in told_to_systemd(script, 2)
    script.do(3, CommandPaused(reason=RENEWAL_OVERDUE, took=0.001))
    script.do(4, CommandGone(cause=Cause.ENDED, wait_status=9, in_time=True))
    assert (script.figures.is_paused, script.figures.pauses) == (False, 2)


def told_to_systemd(script: Script, seconds: float) -> tuple[str, ...]:
    return notices.tell(notices.Told(), script.state, at(seconds), is_ending=False, answered_at=seconds, watchdog=None)[
        1
    ]


# ---- stop


def test_with_stop_a_suspension_is_a_loss() -> None:
    """At once; and told as what it is."""
    script = leading(OnDisconnect.STOP)
    assert script.do(1, Suspended()) == [StopCommand(cause=Cause.LOSS)]
    assert script.state.loss == SUSPENDED
    assert script.events() == ["suspended", "leadership_lost"]
    script.do(1.1, CommandGone(cause=Cause.LOSS, wait_status=15, in_time=True, lost=True))
    assert script.state.outcome == Outcome(end=End.LOST, number=15, reason=SUSPENDED)


def test_with_stop_it_is_released_when_the_connection_is_back() -> None:
    """The session lives, and the record is ours: nobody has to wait out the lease."""
    script = leading(OnDisconnect.STOP)
    script.do(1, Suspended())
    script.do(1.1, CommandGone(cause=Cause.LOSS, wait_status=15, in_time=True, lost=True))
    script.do(2, RECONNECTED)
    assert script.write()[1]["released"]


def test_with_stop_releasing_is_tried_for_as_long_as_it_is_of_use() -> None:
    """The connection has to come back first, and nobody waits for our end; half a lease is for whoever stops us."""
    script = leading(OnDisconnect.STOP)
    script.do(1, Suspended())
    script.do(1.1, CommandGone(cause=Cause.LOSS, wait_status=15, in_time=True, lost=True))
    assert script.do(19.9) == []
    assert script.state.phase is Phase.RELEASING
    script.do(20)
    assert script.events() == ["release_unconfirmed"]


def test_with_stop_who_is_told_to_end_meanwhile_does_not_wait_so_long() -> None:
    """Then somebody does wait for our end."""
    script = leading(OnDisconnect.STOP)
    script.do(1, Suspended())
    script.do(1.1, CommandGone(cause=Cause.LOSS, wait_status=15, in_time=True, lost=True))
    script.do(5, LeaveAsked(signal=15))
    script.do(11.2)
    assert script.state.phase is Phase.ENDED


def test_with_stop_an_overdue_renewal_is_a_loss() -> None:
    """Should the guard not have said so before."""
    script = leading(OnDisconnect.STOP)
    script.do(2)
    assert script.do(5.9) == []
    assert StopCommand(cause=Cause.LOSS) in script.do(6.0)
    assert script.state.loss in (SUSPENDED, RENEWAL_OVERDUE)
    assert TIMING.overdue_after == 6


def test_with_stop_the_guards_judgement_counts() -> None:
    """We were frozen, and it was not: it will not start anything again."""
    script = leading(OnDisconnect.STOP)
    script.do(1, CommandStopping(cause=Cause.OVERDUE))
    assert script.state.loss == RENEWAL_OVERDUE
    assert script.state.phase is Phase.STOPPING


def test_with_stop_between_two_runs_the_tenure_ends_too() -> None:
    """There is nothing to stop, and nothing is started again."""
    script = leading(OnDisconnect.STOP, restart=Restart.ALWAYS, restart_delay=5.0)
    script.do(1, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True))
    assert script.do(2, Suspended()) == []
    assert script.state.outcome == Outcome(end=End.LOST, reason=SUSPENDED)


def test_with_stop_a_claim_confirmed_when_overdue_starts_nothing() -> None:
    """It would be stopped at once; claimed again, with a new token."""
    script = Script(on_disconnect=OnDisconnect.STOP)
    script.join(0)
    actions = script.claimed(6)
    assert not any(isinstance(action, StartCommand) for action in actions)
    assert "claim_too_late" in script.events()
