"""The guard itself is killed or frozen: the supervisor ends everything, proves it, and spares others' processes."""

import array
import fcntl
import os
import signal
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import lives, marked
from supervision import Scope, Supervision, python, shell
from test_stop import DAEMONS, files, started
from waiting import wait_until

from zkleader.core import wire
from zkleader.core.lease import Timing
from zkleader.guard import system
from zkleader.guard.handle import GuardGoneError, end_everything

Supervise = Callable[..., Supervision]


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_everything_of_a_lost_guards_command_is_ended_and_proven(
    supervise: Supervise, scope: Scope, number: int, mark: str, tmp_path: Path
) -> None:
    """Daemons that ignore signals included; and quickly, for the lease runs on."""
    supervision = started(supervise(*python(DAEMONS, "5", str(tmp_path), "stay"), scope=scope))
    files(tmp_path, 5)
    os.kill(supervision.guard.pid, number)
    ending = end_everything(supervision.guard, noted=supervision.noted, within=3)
    assert ending.proven
    assert marked(mark) == []
    assert ending.killed >= 5
    assert ending.seconds < 1
    assert supervision.guard.wait_status == signal.SIGKILL


def test_a_guards_death_takes_the_first_process_with_it(supervise: Supervise) -> None:
    """PDEATHSIG: the half that works even when the supervisor is dead too."""
    supervision = started(supervise(*shell("trap '' TERM HUP; while :; do sleep 0.05; done")))
    first = supervision.wait_for(wire.Started).pid
    supervision.guard.kill()
    wait_until(lambda: not lives(first), deadline=2, what="the first process's end")
    assert supervision.guard.reap(5)
    supervision.turn()
    assert supervision.guard.closed
    with pytest.raises(GuardGoneError):
        supervision.guard.send(wire.Beat(number=1))


def test_the_supervisors_own_children_are_left_alone(supervise: Supervise, scope: Scope, mark: str) -> None:
    """`sh -c 'x & exec zkleader ...'`: x is somebody's service, and it is our child only by inheritance."""
    own = os.posix_spawn("/bin/sh", shell("sleep 60 & wait"), os.environ)
    try:
        supervision = started(supervise(*shell("setsid sleep 60 & exec sleep 60"), scope=scope))
        wait_until(lambda: len(marked(mark)) == 2, what="the command")
        assert {noted.pid for noted in supervision.noted} >= {own}
        ending = end_everything(supervision.guard, noted=supervision.noted, within=3)
        assert ending.proven
        assert marked(mark) == []
        assert lives(own)
    finally:
        os.kill(own, signal.SIGKILL)
        os.waitpid(own, 0)


def test_ending_everything_is_bounded_and_does_not_pretend(
    supervise: Supervise, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be killed (D state, another user's) must not be released over; here SIGKILL itself is taken away."""
    supervision = started(supervise(*shell("exec sleep 60"), scope=Scope.SEARCH))
    began = time.monotonic()
    with monkeypatch.context() as patch:
        patch.setattr(signal, "pidfd_send_signal", lambda *_: None)
        ending = end_everything(supervision.guard, noted=supervision.noted, within=0.5)
    assert not ending.proven
    assert time.monotonic() - began < 1.5
    assert lives(supervision.guard.pid)


def test_last_words_are_heard_from_a_guard_that_died_with_unread_messages(supervise: Supervise, tmp_path: Path) -> None:
    """The kernel reports a reset before it hands out what the guard had said: the reports must not be lost."""
    go = tmp_path / "go"
    supervision = started(supervise(*shell(f"while [ ! -e {go} ]; do sleep 0.01; done; exit 3")))
    go.touch()
    wait_until(lambda: _has_reported_the_end(supervision), what="the command's end")
    os.kill(supervision.guard.pid, signal.SIGSTOP)
    for number in range(5):
        supervision.guard.send(wire.Beat(number=number))
    supervision.guard.kill()
    assert supervision.guard.reap(5)
    supervision.heard += supervision.guard.receive()
    assert supervision.guard.closed
    assert supervision.kinds()[-1] == "Gone"


def _has_reported_the_end(supervision: Supervision) -> bool:
    """Say whether more than the end of the first process lies in the socket, which nobody has read meanwhile."""
    pending = array.array("i", [0])
    fcntl.ioctl(supervision.guard.fileno(), termios.FIONREAD, pending)
    return pending[0] > len(wire.encode(wire.FirstEnded(wait_status=3 << 8)))


def test_a_guard_that_does_not_read_never_blocks_its_supervisor(supervise: Supervise) -> None:
    """Beats are dropped; what matters is kept in order and arrives when the guard runs again."""
    supervision = started(supervise(*shell("exec sleep 60"), timing=Timing(lease=30.0, grace=1.0, stop_timeout=1.0)))
    os.kill(supervision.guard.pid, signal.SIGSTOP)
    began = time.monotonic()
    for number in range(2000):
        supervision.guard.send(wire.Beat(number=number))
        supervision.guard.send(wire.Extend(lease_start=system.now()))
    supervision.guard.send(wire.Stop(cause=wire.Cause.LOSS))
    assert time.monotonic() - began < 5
    assert supervision.guard.wants_write
    os.kill(supervision.guard.pid, signal.SIGCONT)
    assert supervision.wait_for(wire.Gone, renew=False).cause is wire.Cause.LOSS
