"""A command that is started again under the same lease: delays, and a candidacy that leads without a command."""

import pytest
from candidacy_script import GUID, OWN, RECORD, TIMING, Script, at, outcome_of, record, stat

from zkleader import config
from zkleader.core import candidacy
from zkleader.core.actions import (
    End,
    ExtendLease,
    Multi,
    Outcome,
    Send,
    SetData,
    StartCommand,
    Sync,
)
from zkleader.core.candidacy_state import Phase
from zkleader.core.events import (
    Applied,
    CommandFailed,
    CommandGone,
    CommandStarted,
    CommandStopping,
    CommandTooLate,
    Content,
    GuardFailed,
    LeaveAsked,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Touched,
)
from zkleader.core.restart import Pause, Restart, pause_after
from zkleader.core.wire import Cause

FAILED = CommandGone(cause=Cause.ENDED, wait_status=3 << 8, in_time=True)
SUCCEEDED = CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True)


def paused(*, restart: Restart = Restart.ALWAYS, gone: CommandGone = FAILED) -> Script:
    """Return a leader since 0 whose command has ended at 1, and is to be started again at 2."""
    script = Script(restart=restart, restart_delay=1.0)
    script.lead()
    assert script.do(1, gone) == []
    assert script.events() == ["command_restarting"]
    return script


def released(script: Script, seconds: float) -> Outcome:
    """Confirm the release that is under way; return the outcome."""
    _, content = script.write()
    assert content["released"] is True
    return outcome_of(script.answer(seconds, Multi, Applied(stats=(stat(9), None))))


# ---- policy and delays


@pytest.mark.parametrize(
    ("restart", "after_success", "after_failure"),
    [(Restart.NEVER, False, False), (Restart.ON_FAILURE, False, True), (Restart.ALWAYS, True, True)],
)
def test_the_policy_looks_at_the_status(restart: Restart, *, after_success: bool, after_failure: bool) -> None:
    """A death of a signal is a failure too."""
    assert restart.is_wanted(0) == after_success
    assert [restart.is_wanted(raw) for raw in (1 << 8, 15, 9)] == [after_failure] * 3


def delays(first: float, *runs: float) -> list[float]:
    pause: Pause | None = None
    found = []
    for ran in runs:
        pause = pause_after(pause, first=first, ran=ran, wait_status=0, now=at(0))
        found.append(pause.delay)
    return found


def test_delays_double_up_to_a_minute() -> None:
    """What crashes at its start must not eat the host."""
    assert delays(1, *[0.1] * 8) == [1, 2, 4, 8, 16, 32, 60, 60]
    assert delays(0.5, 0, 0, 0) == [0.5, 1, 2]


def test_a_first_delay_of_more_than_a_minute_stays() -> None:
    """It is what the user has asked for."""
    assert delays(300, 0, 0, 0) == [300, 300, 300]


def test_a_run_of_a_minute_begins_delays_anew() -> None:
    """It did not crash at its start."""
    assert delays(1, 0, 0, 59.9, 60, 0) == [1, 2, 4, 1, 2]


def test_a_pause_has_an_end_and_a_number() -> None:
    """The number is that of the start that follows."""
    first = pause_after(None, first=2, ran=0, wait_status=9, now=at(10))
    assert first == Pause(since=at(10), delay=2, attempt=1, wait_status=9)
    assert first.left(at(11.5)) == pytest.approx(0.5)
    assert pause_after(first, first=2, ran=0, wait_status=0, now=at(12)).attempt == 2


@pytest.mark.parametrize("restart", [Restart.ALWAYS, Restart.ON_FAILURE])
def test_once_per_and_restart_contradict_each_other(restart: Restart) -> None:
    """What is to run once is not started again; and a delay needs something to be delayed."""
    with pytest.raises(config.UsageProblem):
        config.check_restart(restart, 60.0, has_delay=False)
    with pytest.raises(config.UsageProblem):
        config.check_restart(Restart.NEVER, None, has_delay=True)
    config.check_restart(Restart.NEVER, 60.0, has_delay=False)
    config.check_restart(restart, None, has_delay=True)
    config.check_restart(Restart.NEVER, None, has_delay=True, rejoins_after_hook=True)


def test_once_per_and_several_leaders_contradict_each_other() -> None:
    """What runs once has one leader."""
    with pytest.raises(config.UsageProblem, match="2 contradicts --once-per"):
        config.check_leaders(2, 60.0)
    config.check_leaders(1, 60.0)
    config.check_leaders(2, None)


# ---- leading without a command


def test_it_is_started_again_with_the_same_token_under_the_lease_as_it_is_then() -> None:
    """Leadership is the same."""
    script = paused()
    left = candidacy.next_step_in(script.state, at(1))
    assert left == pytest.approx(1)
    assert script.do(1.9) == []
    assert script.do(2)[0] == StartCommand(lease_start=at(0), token=1002)
    assert script.state.phase is Phase.LEADING
    assert script.do(2.1, CommandStarted(pid=10)) == []


def test_renewing_goes_on_without_a_command() -> None:
    """Or others would lead while we wait."""
    script = Script(restart=Restart.ALWAYS, restart_delay=8.0)
    script.lead()
    script.do(1, FAILED)
    for number, second in enumerate((2, 4, 6, 8)):
        assert [type(action) for action in script.do(second)] == [Send]
        assert script.claimed(second, version=3 + number) == [ExtendLease(lease_start=at(second))]
    assert script.do(9)[0] == StartCommand(lease_start=at(8), token=1002)


def test_delays_double_from_start_to_start() -> None:
    """The state remembers the pause before."""
    script = paused()
    script.do(1.5)
    script.do(2)
    script.do(2.1, CommandStarted(pid=10))
    script.do(2.2, FAILED)
    assert script.state.pause == Pause(since=at(2.2), delay=2, attempt=2, wait_status=3 << 8)
    told = script.told[0]
    assert told.facts == {"status": 3, "signal": None, "delay": 2, "attempt": 2}


@pytest.mark.parametrize(
    ("restart", "gone"),
    [
        (Restart.ON_FAILURE, SUCCEEDED),
        (Restart.NEVER, FAILED),
        (Restart.ALWAYS, CommandGone(cause=Cause.ASKED, wait_status=15, in_time=True)),
        (Restart.ALWAYS, CommandGone(cause=Cause.DEADLINE, wait_status=15, in_time=True)),
        (Restart.ALWAYS, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=False)),
        (Restart.ALWAYS, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True, lost=True)),
    ],
)
def test_everything_else_ends_the_tenure(restart: Restart, gone: CommandGone) -> None:
    """Only what has ended by itself, while nobody wants it stopped, is started again."""
    script = Script(restart=restart)
    script.lead()
    script.do(1, gone)
    assert script.state.phase is Phase.RELEASING


def test_a_guard_that_has_met_a_loss_is_believed() -> None:
    """It may have released while we were frozen, whatever the answer to our last renewal says."""
    script = Script(restart=Restart.ALWAYS)
    script.lead()
    script.do(1, CommandStopping(cause=Cause.ENDED))
    script.do(2, SUCCEEDED.but(lost=True))
    assert released(script, 2).end is End.LOST


def test_what_ends_after_we_were_asked_is_not_started_again() -> None:
    """The request and the end have crossed."""
    script = Script(restart=Restart.ALWAYS)
    script.lead()
    script.do(1, LeaveAsked(signal=15))
    script.do(1, FAILED)
    assert released(script, 1) == Outcome(end=End.COMMAND_ENDED, number=3 << 8, reason="ended")


def test_what_ends_as_leadership_is_lost_is_a_loss() -> None:
    """Under rejoin and always it has to go on; that it ended at this moment is not how we end."""
    script = Script(restart=Restart.ALWAYS)
    script.lead()
    script.do(1, SessionLost(reason="session_expired"))
    outcome = outcome_of(script.do(1.1, FAILED))
    assert outcome == Outcome(end=End.LOST, number=3 << 8, reason="session_expired")


# ---- what befalls a pause


def test_asked_to_end_in_a_pause_it_releases_at_once() -> None:
    """The status is that of the last run: we lead, and there is nothing to wait for."""
    script = paused()
    script.do(1.5, LeaveAsked(signal=15))
    assert script.events() == ["stop_asked"]
    assert released(script, 1.5) == Outcome(end=End.COMMAND_ENDED, number=3 << 8, reason="asked")


def test_a_lapse_in_a_pause_is_a_loss_and_starts_nothing() -> None:
    """From the instant on at which a command would be stopped, none is started."""
    script = Script(restart=Restart.ALWAYS, restart_delay=30.0)
    script.lead()
    script.do(1, FAILED)
    script.do(1, Suspended())
    assert candidacy.next_step_in(script.state, at(1)) == pytest.approx(TIMING.stop_after - 1)
    actions = script.do(TIMING.stop_after)
    assert actions == []
    assert script.state.phase is Phase.RELEASING
    assert script.state.outcome == Outcome(end=End.LOST, number=3 << 8, reason="lease_lapsed")
    assert "leadership_lost" in script.events()


def test_frozen_in_a_pause_beyond_the_lease_it_starts_nothing() -> None:
    """Both have passed when it is continued, the delay and the lease: the lease is judged first."""
    script = paused()
    actions = script.do(100)
    assert not any(isinstance(action, StartCommand) for action in actions)
    assert script.state.outcome is not None
    assert script.state.outcome.end is End.LOST


@pytest.mark.parametrize("reason", ["session_expired", "authentication_failed"])
def test_a_lost_session_in_a_pause_is_a_loss(reason: str) -> None:
    """Nothing is stopped, for nothing is there, and the guard is kept for another candidacy."""
    script = paused()
    assert outcome_of(script.do(1.5, SessionLost(reason=reason))) == Outcome(end=End.LOST, number=3 << 8, reason=reason)


def test_a_deleted_record_in_a_pause_is_a_loss() -> None:
    """The next renewal tells."""
    script = Script(restart=Restart.ALWAYS, restart_delay=9.0)
    script.lead()
    script.do(1, FAILED)
    script.do(2)
    script.answer(2.1, Multi, Refused(refusal=Refusal.NO_NODE, index=1))
    assert script.state.outcome == Outcome(end=End.LOST, number=3 << 8, reason="record_deleted")


def test_a_deleted_candidate_in_a_pause_is_a_loss() -> None:
    """Its watch is heeded, as it is while a command runs."""
    script = paused()
    script.do(1.2, Touched(path=f"/zkleader/job/{OWN}", is_deleted=True))
    assert script.state.outcome is not None
    assert script.state.outcome.reason == "candidate_deleted"
    assert script.state.phase is Phase.RELEASING


def test_a_guard_that_fails_in_a_pause_ends_the_run() -> None:
    """As it does while waiting: what cannot keep one guard alive is not to lead."""
    script = paused()
    script.do(1.5, GuardFailed(reason="guard_died", proven=True))
    assert released(script, 1.5) == Outcome(end=End.GUARD_FAILED, reason="guard_died")


def test_a_renewal_in_doubt_is_read_in_a_pause() -> None:
    """The lease is kept as with a command."""
    script = Script(restart=Restart.ALWAYS, restart_delay=9.0)
    script.lead()
    script.do(1, FAILED)
    script.do(2)
    script.answer(2.1, Multi, Refused(refusal=Refusal.BAD_VERSION, index=1))
    script.answer(2.2, Sync, Applied())
    script.answer(2.2, RECORD, Content(data=record(holder=GUID, beat=1, released=False), stat=stat(3)))
    assert script.state.phase is Phase.RESTARTING
    assert script.state.loss == ""
    script.do(4)
    operations = script.write()[0].operations
    assert isinstance(operations[1], SetData)
    assert operations[1].version == 3


# ---- a start that comes to nothing


def started_again() -> Script:
    script = paused()
    script.do(2)
    return script


def test_a_second_start_that_comes_too_late_is_a_loss() -> None:
    """It has run in this tenure: --on-loss decides, and not the queue."""
    script = started_again()
    script.do(2.5, CommandTooLate())
    assert script.state.outcome == Outcome(end=End.LOST, number=3 << 8, reason="start_too_late")


def test_a_second_start_that_comes_too_late_when_we_are_asked_to_end() -> None:
    """The status is that of the last run."""
    script = started_again()
    script.do(2.1, LeaveAsked(signal=2))
    script.do(2.5, CommandTooLate())
    assert script.state.outcome == Outcome(end=End.COMMAND_ENDED, number=3 << 8, reason="asked")


def test_a_command_that_can_no_longer_be_executed_ends_the_run() -> None:
    """Another host may have it still."""
    script = started_again()
    script.do(2.5, CommandFailed(errno=2))
    assert script.state.outcome == Outcome(end=End.NOT_EXECUTED, number=2, reason="not_executed")
