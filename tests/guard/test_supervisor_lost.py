"""The supervisor is killed, frozen or stuck: COMMAND is gone in time and the lease released, by the guard alone."""

import ctypes
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from processes import lives, look_at, marked
from supervision import Scope, StandIn, Supervision, shell
from waiting import wait_until

from zkleader.core import wire
from zkleader.core.lease import Timing
from zkleader.guard import system

Make = Callable[..., StandIn]

TREE = "setsid sleep 61 & setsid sleep 62 & exec sleep 63"


def command_stands(mark: str, count: int = 3) -> None:
    """Wait until the command has become so many processes, each past its shell."""

    def stand() -> bool:
        statuses = [look_at(pid) for pid in marked(mark)]
        return [s.command.split()[0] for s in statuses if s is not None].count("sleep") == count

    wait_until(stand, what=f"{count} processes of the command")


def test_a_killed_supervisors_command_ends_and_then_is_released(stand_in: Make, scope: Scope, mark: str) -> None:
    """Under a second, where others wait for the session; and released only when nothing of the command lives."""
    supervisor = stand_in(*shell(TREE), scope=scope.value)
    supervisor.wait_for("Started")
    command_stands(mark)
    killed_at = time.monotonic()
    supervisor.process.kill()
    release = supervisor.release_was()
    assert release["alive"] == []
    assert release["guid"] == "guid"
    assert release["search_path"] == []
    assert time.monotonic() - killed_at < 1.5
    wait_until(supervisor.guard_has_ended)
    assert supervisor.stderr() == "zkleader: supervisor died: command ended (3 processes, 0 killed); released\n"


def test_a_killed_supervisors_stubborn_command_is_killed_after_grace(stand_in: Make, mark: str) -> None:
    """The stop signal first, and no longer than grace."""
    supervisor = stand_in(*shell("trap '' TERM; setsid sleep 61 & sleep 62 & sleep 63"))
    supervisor.wait_for("Started")
    command_stands(mark)
    supervisor.process.kill()
    assert supervisor.release_was()["alive"] == []
    wait_until(supervisor.guard_has_ended)
    assert supervisor.stderr() == "zkleader: supervisor died: command ended (4 processes, 4 killed); released\n"


def test_a_supervisor_killed_while_waiting_has_its_candidate_deleted(stand_in: Make) -> None:
    """Whoever stands behind it would wait for its session to expire."""
    supervisor = stand_in(*shell("exit 0"), start=False)
    wait_until(lambda: system.process_status(supervisor.guard_pid), what="the guard")
    supervisor.process.kill()
    assert supervisor.release_was()["guid"] == "guid"
    wait_until(supervisor.guard_has_ended)
    assert supervisor.stderr() == "zkleader: supervisor died: no command was running; released\n"


def test_a_command_that_was_never_executed_is_not_said_to_have_ended(stand_in: Make) -> None:
    """Whoever reads the line would look for traces of a run that there was not."""
    supervisor = stand_in("/no/such/command")
    supervisor.wait_for("ExecFailed")
    supervisor.process.kill()
    wait_until(supervisor.guard_has_ended)
    assert supervisor.stderr() == "zkleader: supervisor died: no command was running; released\n"


def test_a_start_asked_for_by_a_supervisor_that_died_since_is_not_obeyed(stand_in: Make) -> None:
    """The socket still holds it; nobody would renew what it begins."""
    supervisor = stand_in(*shell("exec sleep 60"), start=False, start_on_signal=True)
    os.kill(supervisor.guard_pid, signal.SIGSTOP)
    supervisor.process.send_signal(signal.SIGUSR1)
    supervisor.wait_for("asked")
    supervisor.process.kill()
    supervisor.process.wait()
    os.kill(supervisor.guard_pid, signal.SIGCONT)
    wait_until(supervisor.guard_has_ended)
    assert supervisor.stderr() == "zkleader: supervisor died: no command was running; released\n"


def test_a_release_that_fails_is_told(stand_in: Make) -> None:
    """The lease then runs out; whoever reads the log should know why nobody took over at once."""
    supervisor = stand_in(*shell("exec sleep 60"), release={"status": 1})
    supervisor.wait_for("Started")
    supervisor.process.kill()
    wait_until(supervisor.guard_has_ended)
    said = supervisor.stderr()
    assert said.startswith("zkleader: supervisor died: command ended (1 process, ")
    assert said.endswith(" killed); not released, others wait out its lease\n")


def test_a_release_that_hangs_does_not_keep_the_guard(stand_in: Make) -> None:
    """Bounded by what is left of the lease, at least two seconds."""
    supervisor = stand_in(*shell("exec sleep 60"), release={"hang": True})
    supervisor.wait_for("Started")
    supervisor.process.kill()
    wait_until(supervisor.guard_has_ended, deadline=5)
    assert "not released" in supervisor.stderr()


def test_a_frozen_supervisor_is_released_for_and_not_killed(stand_in: Make, scope: Scope, mark: str) -> None:
    """Ctrl-Z: its command is gone by the deadline, others lead on, and it finds out when it is continued."""
    supervisor = stand_in(*shell(TREE), scope=scope.value)
    supervisor.wait_for("Started")
    command_stands(mark)
    # The last renewal was sent before this, so the lease's deadlines are no later than counted from here.
    frozen_at = time.monotonic()
    supervisor.process.send_signal(signal.SIGSTOP)
    release = supervisor.release_was()
    assert release["alive"] == []
    # kill_after is 1.23 s; the rest is the release program's own start, and two loaded processors.
    assert time.monotonic() - frozen_at < 2.5
    # Longer than a silent supervisor is let live (the lease, and the doubt).
    until = frozen_at + 3
    wait_until(lambda: time.monotonic() > until)
    assert lives(supervisor.process.pid)
    assert not supervisor.guard_has_ended()
    supervisor.process.send_signal(signal.SIGCONT)
    assert "DEADLINE" in supervisor.wait_for("Stopping")
    assert "in_time=True" in supervisor.wait_for("Gone")
    assert supervisor.stderr() == ""


def test_a_stuck_supervisor_is_killed_and_released_for(stand_in: Make) -> None:
    """Alive, not stopped, and silent: kazoo's threads would ping on and block the queue for ever."""
    supervisor = stand_in(*shell("exec sleep 60"), renew=False, beats=False)
    supervisor.wait_for("Started")
    release = supervisor.release_was()
    assert release["alive"] == []
    assert supervisor.process.wait(10) == -signal.SIGKILL
    wait_until(supervisor.guard_has_ended)
    assert "supervisor died: command ended" in supervisor.stderr()


def test_a_stuck_supervisor_that_waits_is_killed_and_its_candidate_deleted(stand_in: Make) -> None:
    """The same in the queue, where nothing else would ever end it."""
    supervisor = stand_in(*shell("exit 0"), start=False, beats=False)
    assert supervisor.process.wait(10) == -signal.SIGKILL
    assert supervisor.release_was()["guid"] == "guid"


def freeze(supervisor: StandIn, seconds: float) -> None:
    """Freeze a guard for so long, and give it time to act on what it then finds."""
    os.kill(supervisor.guard_pid, signal.SIGSTOP)
    until = time.monotonic() + seconds
    wait_until(lambda: time.monotonic() > until)
    os.kill(supervisor.guard_pid, signal.SIGCONT)
    until += 0.6  # more than twice the longest poll and the doubt about a silence
    wait_until(lambda: time.monotonic() > until)


def test_a_guard_that_was_frozen_counts_the_renewals_that_waited(stand_in: Make, mark: str) -> None:
    """Past the stop deadline by its own last knowledge, but short of L/2, where the supervisor would end it."""
    timing = {"lease": 4.0, "grace": 1.5, "stop_timeout": 1.0}  # stop after 1.71 s, L/2 is 2 s
    supervisor = stand_in(*shell("exec sleep 60"), timing=timing)
    supervisor.wait_for("Started")
    freeze(supervisor, 1.9)
    assert len(marked(mark)) == 1
    assert not any(line.startswith("Stopping") for line in supervisor.lines())


def test_a_guard_frozen_between_hearing_and_judging_hears_again_first(
    supervise: Callable[..., Supervision], patch_guard: Callable[[str], None], tmp_path: Path
) -> None:
    """The same at the worst moment: the socket was just emptied, and on resuming the clock shows a deadline passed."""
    freeze_here = tmp_path / "freeze"
    patch_guard(
        "watch = loop.Guard._watch_supervisor\n"
        "def freeze_after(self):\n"
        "    watch(self)\n"
        f"    if os.path.exists({str(freeze_here)!r}):\n"
        f"        os.remove({str(freeze_here)!r})\n"
        "        os.kill(os.getpid(), 19)\n"
        "loop.Guard._watch_supervisor = freeze_after"
    )
    supervision = supervise(*shell("exec sleep 60"), timing=Timing(lease=4.0, grace=1.5, stop_timeout=1.0))
    supervision.start()
    supervision.wait_for(wire.Started)
    freeze_here.touch()

    def is_frozen() -> bool:
        supervision.turn()
        status = system.process_status(supervision.guard.pid)
        return status is not None and status.is_stopped

    wait_until(is_frozen, what="the guard's freeze")
    for resume, seconds in ((False, 1.9), (True, 0.6)):
        if resume:
            os.kill(supervision.guard.pid, signal.SIGCONT)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            supervision.turn()
    assert supervision.kinds() == ["Ready", "Started"]


def test_a_guard_that_was_frozen_itself_does_not_blame_its_supervisor(stand_in: Make) -> None:
    """For longer than a supervisor may be silent; the beats that waited in the socket speak for it."""
    supervisor = stand_in(*shell("exit 0"), start=False)
    freeze(supervisor, 2.6)
    assert supervisor.process.poll() is None
    assert not supervisor.guard_has_ended()


def test_a_leaked_socket_does_not_hide_the_supervisors_death(stand_in: Make) -> None:
    """Somebody who holds a copy of its end suppresses the end of file; the pidfd still tells."""
    timing = {"lease": 20.0, "grace": 1.0, "stop_timeout": 1.0}  # its deadline would come only after 16 s
    supervisor = stand_in(*shell("exec sleep 60"), timing=timing)
    supervisor.wait_for("Started")
    holder = os.pidfd_open(supervisor.process.pid)
    copies = [fd for fd in (_steal(holder, number) for number in range(3, 30)) if fd is not None]
    assert copies, "nothing could be copied"
    try:
        supervisor.process.kill()
        assert supervisor.release_was(deadline=4)["alive"] == []
    finally:
        for fd in [holder, *copies]:
            os.close(fd)


def _steal(pidfd: int, number: int) -> int | None:
    """Return a copy of another process's descriptor, as pidfd_getfd(2) makes it."""
    fd = ctypes.CDLL(None, use_errno=True).syscall(438, pidfd, number, 0)
    return fd if fd >= 0 else None
