"""Hooks as the candidacy sees them: a tenure that ends only when on-lost has, and a host that is not ready."""

import pytest
from candidacy_script import ELECTION, OWN, TIMING, Script, at, outcome_of, stat

from zkleader.core import candidacy, notices
from zkleader.core.actions import (
    Create,
    End,
    EndTenure,
    ExtendLease,
    Multi,
    Outcome,
    Send,
    StartCommand,
    StopCommand,
)
from zkleader.core.acts import Hooks
from zkleader.core.candidacy_state import Memory, Phase
from zkleader.core.events import (
    Applied,
    CommandFailed,
    CommandGone,
    CommandStarted,
    CommandStopping,
    CommandTooLate,
    Connected,
    Event,
    GuardFailed,
    LeaveAsked,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    TenureOver,
    Touched,
)
from zkleader.core.restart import Pause, Restart
from zkleader.core.wire import Cause

BOTH = Hooks(on_elected=True, on_lost=True, timeout=10.0)
ENDED = CommandGone(cause=Cause.ENDED, wait_status=3 << 8, in_time=True)
NOT_READY = CommandGone(cause=Cause.HOOK_FAILED, wait_status=4 << 8, in_time=True, ran=False)
OVER = TenureOver(in_time=True, lost=False)


def electing(**wanted: object) -> Script:
    """Return a leader since 0 that has not heard of the command's start yet."""
    script = Script(hooks=BOTH, **wanted)
    script.join(0)
    assert script.claimed(0)[0] == StartCommand(lease_start=at(0), token=1002)
    return script


def leading(**wanted: object) -> Script:
    script = electing(**wanted)
    script.do(0, CommandStarted(pid=9))
    return script


def released(script: Script, seconds: float) -> Outcome:
    """Confirm the release that is under way; return the outcome."""
    assert script.write()[1]["released"] is True
    return outcome_of(script.answer(seconds, Multi, Applied(stats=(stat(9), None))))


def status_of(script: Script) -> str:
    """Return what systemd is told of how it stands."""
    _, lines = notices.tell(notices.Told(), script.state, at(0), is_ending=False, answered_at=None, watchdog=None)
    return next(line for line in lines if line.startswith("STATUS=")).removeprefix("STATUS=")


# ---- on-lost


def test_the_release_waits_for_the_end_of_on_lost() -> None:
    """The successor's on-elected starts with the release."""
    script = leading()
    assert script.do(1, ENDED) == [EndTenure(reason="ended")]
    assert script.state.phase is Phase.HANDING_OVER
    script.do(1.5, OVER)
    assert script.write()[1]["previous"]["reason"] == "ended"
    assert released(script, 1.5) == Outcome(end=End.COMMAND_ENDED, number=3 << 8, reason="ended")


def test_renewing_goes_on_while_on_lost_runs() -> None:
    """It may take longer than the lease."""
    script = leading()
    script.do(1, ENDED)
    assert [type(action) for action in script.do(2)] == [Send]
    assert script.claimed(2.1, version=3) == [ExtendLease(lease_start=at(2))]


@pytest.mark.parametrize(
    ("asked", "gone", "reason"),
    [
        (LeaveAsked(signal=15), CommandGone(cause=Cause.ASKED, wait_status=15, in_time=True), "asked"),
        (SessionLost(reason="session_expired"), CommandGone(cause=Cause.LOSS, wait_status=15, in_time=True), None),
    ],
)
def test_on_lost_is_told_why_the_tenure_has_ended(asked: Event, gone: CommandGone, reason: str | None) -> None:
    """In the words of the lease record."""
    script = leading()
    script.do(1, asked)
    (end,) = script.do(1.5, gone)
    assert end == EndTenure(reason=reason or "session_expired")


def test_a_loss_while_on_lost_runs_is_told_to_the_guard_and_how_we_end_stays() -> None:
    """The command has ended before; the guard then lets on-lost go on for as long as the lease does."""
    script = leading()
    script.do(1, ENDED)
    assert script.do(1.5, SessionLost(reason="session_expired")) == [StopCommand(cause=Cause.LOSS)]
    assert script.state.phase is Phase.HANDING_OVER
    outcome = outcome_of(script.do(2, TenureOver(in_time=True, lost=True)))
    assert outcome == Outcome(end=End.COMMAND_ENDED, number=3 << 8, reason="ended")


def test_an_on_lost_that_was_there_too_long_is_told_and_nothing_is_released() -> None:
    """Something of ours may have acted beside a successor."""
    script = leading()
    script.do(1, ENDED)
    assert outcome_of(script.do(18, TenureOver(in_time=False, lost=True))).end is End.LOST_LATE


def test_an_on_lost_that_never_goes_does_not_hold_up_the_election() -> None:
    """As a command that never goes does not."""
    script = leading()
    script.do(1, ENDED)
    script.do(1, Suspended())
    script.do(TIMING.stop_after)
    assert candidacy.next_step_in(script.state, at(TIMING.stop_after)) == pytest.approx(20 - TIMING.stop_after)
    script.do(20)
    assert script.state.outcome is not None
    assert script.state.outcome.end is End.LOST_LATE


def test_asked_to_end_while_on_lost_runs_it_is_not_hurried() -> None:
    """Whoever asks twice means the command."""
    script = leading()
    script.do(1, ENDED)
    assert script.do(1.1, LeaveAsked(signal=15)) == []
    assert script.do(1.2, LeaveAsked(signal=15)) == []
    script.do(1.5, OVER)
    assert released(script, 1.5).end is End.COMMAND_ENDED


def test_a_guard_that_dies_while_on_lost_runs_is_an_internal_error() -> None:
    """What on-lost should have done may be undone."""
    script = leading()
    script.do(1, ENDED)
    script.do(1.5, GuardFailed(reason="guard_died", proven=True))
    assert released(script, 1.5) == Outcome(end=End.GUARD_FAILED, reason="guard_died")


# ---- with --restart


def test_on_lost_does_not_run_between_two_runs() -> None:
    """It is one tenure."""
    script = leading(restart=Restart.ALWAYS, restart_delay=1.0)
    assert script.do(1, ENDED) == []
    assert script.do(2)[0] == StartCommand(lease_start=at(0), token=1002)


def test_asked_to_end_between_two_runs_on_lost_runs_first() -> None:
    """The tenure ends there."""
    script = leading(restart=Restart.ALWAYS, restart_delay=1.0)
    script.do(1, ENDED)
    assert script.do(1.5, LeaveAsked(signal=15)) == [EndTenure(reason="asked")]
    script.do(1.6, OVER)
    assert released(script, 1.6) == Outcome(end=End.COMMAND_ENDED, number=3 << 8, reason="asked")


def test_a_guard_that_has_ended_the_tenure_between_two_runs_is_believed() -> None:
    """Frozen until now; it has met the deadline, run on-lost, and may have released."""
    script = leading(restart=Restart.ALWAYS, restart_delay=1.0)
    script.do(1, ENDED)
    script.do(1.5, TenureOver(in_time=True, lost=True))
    assert script.events() == ["leadership_lost"]
    assert released(script, 1.5) == Outcome(end=End.LOST, number=3 << 8, reason="lease_lapsed")


def test_a_start_that_crosses_the_end_of_the_tenure_is_not_started() -> None:
    """The guard says that on-lost is over, and then that the start came too late."""
    script = leading(restart=Restart.ALWAYS, restart_delay=1.0)
    script.do(1, ENDED)
    script.do(2)
    assert script.state.phase is Phase.LEADING
    script.do(2.1, TenureOver(in_time=True, lost=True))
    assert script.do(2.1, CommandTooLate()) == []
    assert script.state.phase is Phase.RELEASING
    assert script.state.outcome == Outcome(end=End.LOST, number=3 << 8, reason="lease_lapsed")


# ---- on-elected


def test_a_failed_on_elected_is_a_step_down_after_on_lost() -> None:
    """What it has done by halves can be undone; the hook's own status is told."""
    script = electing()
    assert script.do(1, NOT_READY) == [EndTenure(reason="on_elected_failed")]
    script.do(1.5, OVER)
    assert script.write()[1]["previous"]["reason"] == "on_elected_failed"
    assert released(script, 1.5) == Outcome(end=End.HOOK_FAILED, number=4 << 8, reason="on_elected_failed")


def test_after_a_failed_on_elected_we_keep_out_of_the_queue_for_a_while() -> None:
    """Alone in it we would be elected again at once, and so on for ever; delays double as those of --restart."""
    script = electing(restart_delay=2.0)
    script.do(1, NOT_READY)
    memory = script.state.memory
    assert (memory.led, memory.pause) == (True, Pause(since=at(1), delay=2.0, attempt=1, wait_status=4 << 8))
    again = Script(hooks=BOTH, restart_delay=2.0, memory=memory)
    assert again.do(1.5, Connected(granted=20.0, server="s")) == []
    assert candidacy.next_step_in(again.state, at(1.5)) == pytest.approx(1.5)
    assert again.sent(2.9) == []
    assert status_of(again).startswith("not campaigning for a while")
    (create,) = again.sent(3)
    assert isinstance(create, Create)


def test_delays_double_until_the_command_starts() -> None:
    """Then all is well."""
    script = electing(memory=Memory(began=at(0), pause=Pause(since=at(-9), delay=4.0, attempt=3, wait_status=256)))
    script.do(1, NOT_READY)
    assert script.state.memory.pause is not None
    assert script.state.memory.pause.delay == 8.0
    script = leading(memory=Memory(began=at(0), pause=Pause(since=at(-9), delay=4.0, attempt=3, wait_status=256)))
    assert script.state.memory.pause is None


def test_asked_to_end_while_on_elected_runs_we_end_as_if_we_had_waited() -> None:
    """The command never ran; on-lost does."""
    script = electing()
    assert script.do(1, LeaveAsked(signal=15)) == [StopCommand(cause=Cause.ASKED)]
    script.do(1, CommandStopping(cause=Cause.ASKED))
    gone = CommandGone(cause=Cause.ASKED, wait_status=15, in_time=True, ran=False)
    assert script.do(1.1, gone) == [EndTenure(reason="asked")]
    script.do(1.2, OVER)
    assert released(script, 1.2) == Outcome(end=End.LEFT, number=15, reason="asked")


def test_a_resignation_while_on_elected_runs_is_one() -> None:
    """Whoever asked is told so."""
    script = electing()
    script.reread(1, resign={"token": 1002, "user": "u", "host": "h"})
    script.do(1, CommandStopping(cause=Cause.ASKED))
    gone = CommandGone(cause=Cause.ASKED, wait_status=15, in_time=True, ran=False)
    assert script.do(1.1, gone) == [EndTenure(reason="resigned")]
    script.do(1.2, OVER)
    assert released(script, 1.2).end is End.RESIGNED


def test_a_loss_while_on_elected_runs_is_a_loss() -> None:
    """Whatever becomes of the hook."""
    script = electing()
    script.do(1, SessionLost(reason="session_expired"))
    gone = CommandGone(cause=Cause.LOSS, wait_status=15, in_time=True, lost=True, ran=False)
    assert script.do(1.1, gone) == [EndTenure(reason="session_expired")]
    assert outcome_of(script.do(1.2, TenureOver(in_time=True, lost=True))).end is End.LOST


@pytest.mark.parametrize(
    ("event", "end"), [(CommandFailed(errno=2), End.NOT_EXECUTED), (CommandTooLate(), End.CANDIDACY_LOST)]
)
def test_a_start_that_comes_to_nothing_is_followed_by_on_lost(event: Event, end: End) -> None:
    """On-elected may have run; the guard knows, and answers in any case."""
    script = electing()
    (asked,) = script.do(1, event)
    assert isinstance(asked, EndTenure)
    script.do(1.5, OVER)
    assert released(script, 1.5).end is end


def test_systemd_is_told_which_hook_runs() -> None:
    """A start that takes its time has a reason."""
    script = electing()
    assert status_of(script) == "leader, token 1002: running on-elected"
    script.do(0, CommandStarted(pid=9))
    assert status_of(script) == "leader, token 1002"
    script.do(1, ENDED)
    assert status_of(script) == "leader, token 1002: running on-lost"


def test_a_candidate_deleted_and_touched_while_stopping_is_not_read_while_on_lost_runs() -> None:
    """There is none any more; a renewal has told so before its watch did."""
    script = leading()
    script.do(1, CommandStopping(cause=Cause.ENDED))
    script.do(1, Touched(path=f"{ELECTION}/{OWN}", is_deleted=True))
    script.do(2)
    script.answer(2.1, Multi, Refused(refusal=Refusal.NO_NODE, index=0))
    assert script.state.own is None
    assert script.do(2.5, ENDED.but(lost=True)) == [EndTenure(reason="ended")]
