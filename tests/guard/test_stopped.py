"""COMMAND as a job: stopped, continued, and stopped again before its supervisor knows."""

import os
import signal
from collections.abc import Callable

from processes import children, look_at
from supervision import Supervision, python, shell
from waiting import wait_until

from zkleader.core import wire
from zkleader.core.job import Place

Supervise = Callable[..., Supervision]


def stop(supervision: Supervision, pid: int) -> wire.FirstStopped:
    """Stop the command and return what its guard says of that."""
    os.kill(pid, signal.SIGSTOP)
    return supervision.wait_for(wire.FirstStopped)


def answer(supervision: Supervision, *, is_continued: bool) -> list[str]:
    """Have the command continued; return what the guard says from then on, up to one answered beat behind it."""
    supervision.heard.clear()
    supervision.guard.send(wire.Continue(is_continued=is_continued))
    supervision.wait_for(wire.Continued)
    supervision.guard.send(wire.Beat(number=9999))
    while wire.BeatAnswer(number=9999) not in supervision.heard:
        supervision.turn()
    return supervision.kinds()


def test_a_command_that_is_stopped_again_is_told_of_behind_the_answer(supervise: Supervise) -> None:
    """What was said before may have been of the stop that is over, and the supervisor does not count it."""
    supervision = supervise(*shell("exec sleep 60"))
    supervision.start()
    pid = supervision.wait_for(wire.Started).pid
    told = stop(supervision, pid)
    assert told == wire.FirstStopped(pid=pid, signal=signal.SIGSTOP, wants_terminal=False)
    # Who continued it says so, and it stands still: it was stopped again.
    assert answer(supervision, is_continued=True) == ["Continued", "FirstStopped"]
    assert supervision.wait_for(wire.FirstStopped) == told
    assert answer(supervision, is_continued=False) == ["Continued"]
    assert _states(pid) != "T"


def test_a_command_that_has_left_the_group_it_shared_is_stopped_in_its_own(supervise: Supervise) -> None:
    """As ``timeout`` does it; with everything that is in that group, and nobody else in ours."""
    program = "import os; os.setpgid(0, 0); os.fork(); os.execvp('sleep', ['sleep', '60'])"
    supervision = supervise(*python(program), place=Place.SHARED, supervisor_group=os.getpgrp())
    supervision.start()
    pid = supervision.wait_for(wire.Started).pid
    wait_until(lambda: os.getpgid(pid) == pid and _states(pid) == "SS", what="a group of its own")
    supervision.guard.send(wire.Forward(signal=signal.SIGSTOP, to_group=True))
    supervision.wait_for(wire.FirstStopped)
    wait_until(lambda: _states(pid) == "TT", what="that both are stopped")
    assert answer(supervision, is_continued=False) == ["Continued"]
    wait_until(lambda: _states(pid) == "SS", what="that both are continued")


def _states(pid: int) -> str:
    """Return the states of a process and its children that sleep."""
    found = [look_at(each) for each in (pid, *children(pid))]
    return "".join(process.state for process in found if process and process.command.startswith("sleep"))
