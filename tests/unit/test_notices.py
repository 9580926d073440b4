"""What systemd is told and when: its watchdog is the last one that can stop a command whose two processes are frozen.

A sign of life too few kills a healthy run; one too many lets a frozen leader's command live beyond its lease.
"""

import itertools
import signal

import pytest
from candidacy_script import TIMING, Multi, Script, at, record, stat

from zkleader.core import notices
from zkleader.core.actions import ExtendLease
from zkleader.core.candidacy_state import Memory
from zkleader.core.events import Applied, CommandGone, Connected, LeaveAsked, SessionLost, Suspended
from zkleader.core.notices import Told
from zkleader.core.restart import Restart
from zkleader.core.wire import Cause

WATCHDOG = 12.0
AHEAD = "other-n_0000000003"


class Listener:
    """Hears what is told of a script's candidacy."""

    def __init__(self, script: Script, watchdog: float | None = WATCHDOG) -> None:
        self.script = script
        self.watchdog = watchdog
        self.told = Told()

    def hear(self, seconds: float, *, answered: float | None = None, is_ending: bool = False) -> list[str]:
        """Return what is told at this instant, the guard having answered last at another; statuses apart."""
        self.told, lines = notices.tell(
            self.told,
            self.script.state,
            at(seconds),
            is_ending=is_ending,
            answered_at=answered,
            watchdog=self.watchdog,
        )
        self.status = next((line for line in lines if line.startswith("STATUS=")), None)
        return [line for line in lines if not line.startswith("STATUS=")]


def renew(script: Script, seconds: float, version: int) -> None:
    """Send a renewal at this instant, and confirm it."""
    script.do(seconds)
    assert any(isinstance(action, ExtendLease) for action in script.claimed(seconds + 0.01, version))


def usec(seconds: float) -> str:
    return f"WATCHDOG_USEC={int(seconds * 1_000_000)}"


# ---- ready, status, ending


def test_ready_once_the_candidate_stands_in_the_queue() -> None:
    """Not before: a unit that waits for us may count on our place; and not again, in another candidacy either."""
    script = Script()
    listener = Listener(script, watchdog=None)
    assert listener.hear(0) == []
    script.connect()
    assert listener.hear(0) == []
    script = listener.script = Script()
    script.join(0, AHEAD)
    assert listener.hear(0) == ["READY=1"]
    assert listener.hear(1) == []
    listener.script = Script()
    assert listener.hear(2) == []


def test_the_status_says_where_we_stand() -> None:
    """It is what `systemctl status` shows; told when it changes, and only then."""
    script = Script()
    listener = Listener(script)
    listener.hear(0)
    assert listener.status == "STATUS=campaigning: no connection to ZooKeeper"
    script.connect()
    listener.hear(0)
    assert listener.status == "STATUS=campaigning"
    listener.script = script = Script()
    script.join(0, AHEAD)
    listener.hear(0)
    assert listener.status == "STATUS=standby, rank 1"
    listener.hear(1)
    assert listener.status is None


def test_the_status_tells_a_lease_that_is_waited_out() -> None:
    """First in line and nothing happens: an operator wants to know why."""
    script = Script()
    listener = Listener(script)
    script.join(0, data=record(released=False))
    listener.hear(0)
    assert listener.status == "STATUS=standby, rank 0: waiting out a lease"


def test_the_status_of_a_leader_has_its_token_and_says_why_it_stops() -> None:
    """The token tells one tenure from another."""
    script = Script()
    listener = Listener(script)
    script.lead()
    listener.hear(0)
    assert listener.status == "STATUS=leader, token 1002"
    script.do(1, LeaveAsked(signal=signal.SIGTERM))
    listener.hear(1, is_ending=True)
    assert listener.status == "STATUS=leader, token 1002: stopping the command"
    script = listener.script = Script()
    script.lead()
    script.do(1, SessionLost(reason="session_expired"))
    listener.hear(1)
    assert listener.status == "STATUS=leadership lost (session_expired): stopping the command"
    script.do(2, CommandGone(cause=Cause.LOSS, wait_status=0, in_time=True))
    listener.hear(2)
    assert listener.status == "STATUS=stopping"
    script = listener.script = Script()
    script.lead()
    script.do(2, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True))
    listener.hear(2)
    assert listener.status == "STATUS=stopping: releasing the lease"


def test_ending_is_told_once() -> None:
    """Systemd begins to count TimeoutStopSec."""
    script = Script()
    script.join(0, AHEAD)
    listener = Listener(script, watchdog=None)
    listener.hear(0)
    assert listener.hear(1, is_ending=True) == ["STOPPING=1"]
    assert listener.hear(2, is_ending=True) == []


# ---- signs of life while waiting


def test_before_we_are_ready_there_are_no_signs_of_life() -> None:
    """The start has a limit of its own; the watchdog's would begin with the first sign."""
    assert Listener(Script()).hear(0, answered=0) == []


def test_without_a_watchdog_there_are_no_signs_of_life() -> None:
    """Nor anything to wake up for."""
    script = Script()
    script.lead()
    listener = Listener(script, watchdog=None)
    assert listener.hear(0, answered=0) == ["READY=1"]
    renew(script, 2, 3)
    assert listener.hear(3, answered=3) == []
    assert notices.beat_interval(None) is None


def test_a_standby_is_alive_as_long_as_its_guard_answers() -> None:
    """However long it waits, and whether or not ZooKeeper can be reached."""
    script = Script()
    script.join(0, AHEAD)
    listener = Listener(script)
    assert listener.hear(0, answered=0) == ["READY=1", "WATCHDOG=1"]
    interval = notices.beat_interval(WATCHDOG)
    assert interval is not None
    script.do(1, Suspended())
    told_at = [0.0]
    for step in range(1, 1000):
        answered = step * interval + 0.01
        turns = (answered + 0.01, answered + 0.02)
        told_at += [turn for turn in turns if listener.hear(turn, answered=answered) == ["WATCHDOG=1"]]
    gaps = [later - earlier for earlier, later in itertools.pairwise(told_at)]
    assert max(gaps) < WATCHDOG / 2


def test_no_more_signs_than_systemd_needs() -> None:
    """A host with many standbys is not kept awake by them: beats may come far more often."""
    script = Script()
    script.join(0, AHEAD)
    listener = Listener(script)
    signs = sum("WATCHDOG=1" in listener.hear(tenth / 10, answered=tenth / 10) for tenth in range(1200))
    assert 120 / WATCHDOG * 2 <= signs <= 120 / WATCHDOG * notices.SHARE_OF_WATCHDOG


def test_a_standby_whose_guard_is_silent_gives_no_sign() -> None:
    """One answer is one sign: a loop that turns for other reasons proves nothing about the guard."""
    script = Script()
    script.join(0, AHEAD)
    listener = Listener(script)
    assert listener.hear(0, answered=None) == ["READY=1"]
    assert listener.hear(4, answered=3.9) == ["WATCHDOG=1"]
    assert not any(listener.hear(seconds, answered=3.9) for seconds in range(5, 60))


# ---- signs of life while leading


def test_the_first_lease_is_told_at_once_whatever_the_guard_says() -> None:
    """Before the command starts under it: what was told while waiting may last longer than this lease."""
    script = Script()
    script.join(0)
    script.claimed(0.5)
    listener = Listener(script, watchdog=60)
    assert listener.hear(0.5) == ["READY=1", "WATCHDOG=1", usec(TIMING.kill_after - 0.5)]


def test_a_leader_lives_until_its_command_must_be_killed() -> None:
    """Each confirmed renewal, once the guard has answered after it was sent; counted from the sending."""
    script = Script()
    script.lead()
    listener = Listener(script)
    listener.hear(0, answered=0)
    assert listener.hear(1, answered=1) == []
    renew(script, 2, 3)
    assert listener.hear(2.5, answered=1.9) == []
    assert listener.hear(3, answered=2.9) == ["WATCHDOG=1", usec(TIMING.kill_after - 1)]
    assert listener.hear(3.5, answered=3.5) == []


def test_answers_alone_do_not_keep_a_leader_alive() -> None:
    """Without renewals the watchdog ends the unit when the guard would have killed, whatever it is set to."""
    script = Script()
    script.lead()
    listener = Listener(script)
    listener.hear(0, answered=0)
    script.do(1, Suspended())
    for seconds in range(1, 19):
        script.do(seconds)
        assert listener.hear(seconds, answered=seconds) == []


def test_what_is_told_when_no_time_is_left_does_not_switch_the_watchdog_off() -> None:
    """Zero would."""
    script = Script()
    script.lead()
    listener = Listener(script)
    listener.hear(0, answered=0)
    renew(script, 2, 3)
    assert listener.hear(2 + TIMING.kill_after, answered=2 + TIMING.kill_after) == []


@pytest.mark.parametrize("in_time", [True, False])
def test_after_the_command_the_units_own_interval_holds_again(*, in_time: bool) -> None:
    """Or systemd would kill, at the end of a lease, who is just releasing or campaigning again."""
    script = Script()
    script.lead()
    listener = Listener(script)
    listener.hear(0, answered=0)
    script.do(5, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=in_time))
    assert listener.hear(5, answered=5) == ["WATCHDOG=1", usec(WATCHDOG)]
    assert listener.hear(7, answered=7) == []
    assert listener.hear(8, answered=8) == ["WATCHDOG=1"]


def test_between_two_runs_the_lease_still_counts() -> None:
    """A guard may begin on-lost by itself then, which has to be gone by the same instant."""
    script = Script(restart=Restart.ALWAYS, restart_delay=10.0)
    script.lead()
    listener = Listener(script)
    listener.hear(0, answered=0)
    script.do(1, CommandGone(cause=Cause.ENDED, wait_status=0, in_time=True))
    listener.hear(1, answered=1)
    renew(script, 2, 3)
    assert listener.hear(3, answered=3) == ["WATCHDOG=1", usec(TIMING.kill_after - 1)]


def test_an_orderly_stop_goes_on_giving_signs_while_it_is_renewed() -> None:
    """The stop timeout may be longer than the lease."""
    script = Script()
    script.lead()
    listener = Listener(script)
    listener.hear(0, answered=0)
    script.do(1, LeaveAsked(signal=signal.SIGTERM))
    listener.hear(1, answered=1, is_ending=True)
    renew(script, 2, 3)
    assert listener.hear(2.5, answered=2.5, is_ending=True) == ["WATCHDOG=1", usec(TIMING.kill_after - 0.5)]


def test_a_new_candidacy_is_as_alive_as_the_first() -> None:
    """After rejoining nothing is told of the old lease, and the new one is told at once again."""
    script = Script()
    script.lead()
    listener = Listener(script)
    listener.hear(0, answered=0)
    listener.script = script = Script()
    script.do(30, Connected(granted=20.0, server="s"))
    assert listener.hear(30, answered=29.9) == ["WATCHDOG=1", usec(WATCHDOG)]
    listener.script = script = Script(memory=Memory(began=at(40)))
    script.join(40)
    script.answer(40, Multi, Applied(stats=(None, stat(2))))
    assert listener.hear(40, answered=29.9) == ["WATCHDOG=1", usec(TIMING.kill_after)]
