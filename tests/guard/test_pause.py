"""``--on-disconnect`` with real processes: COMMAND stands still, all of it, and goes on, or dies while it does."""

import fcntl
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import lives, marked
from supervision import Scope, StandIn, Supervision, leaf_of, python, shell
from waiting import wait_until

from zkleader.core import wire
from zkleader.core.disconnect import RENEWAL_OVERDUE, SUSPENDED, OnDisconnect
from zkleader.core.lease import Timing
from zkleader.guard import cgroup, system
from zkleader.guard.handle import end_everything

pytestmark = pytest.mark.usefixtures("own_group")

Supervise = Callable[..., Supervision]

LONG = Timing(lease=10.0, grace=1.0, stop_timeout=3.0)
"""Overdue at 3 s, stop at 8.15 s, SIGKILL at 9.15 s."""

SHORT = Timing(lease=2.0, grace=0.3, stop_timeout=1.0)
"""Overdue at 0.6 s, stop at 0.93 s, SIGKILL at 1.23 s."""

BEATING = """
import os, signal, sys, time
def beat(name):
    file = os.open(sys.argv[1] + "/" + name, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    if "handled" in sys.argv:
        signal.signal(signal.SIGTERM, lambda *_: (os.write(file, b"T"), os._exit(3)))
    while True:
        os.write(file, b".")
        time.sleep(0.005)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    beat("daemon")
beat("first")
"""
"""The command acts twice: as its first process, and as a daemon."""


def beating(*words: str, to: Path) -> tuple[str, ...]:
    return python(BEATING, str(to), *words)


def acts(directory: Path, name: str) -> int:
    """Return how often a process of the command has acted."""
    file = directory / name
    return file.stat().st_size if file.exists() else 0


def all_acts(directory: Path) -> tuple[int, int]:
    return acts(directory, "first"), acts(directory, "daemon")


def wait_acting(directory: Path) -> None:
    """Wait until both act (again)."""
    before = all_acts(directory)
    wait_until(lambda: all(now > then for now, then in zip(all_acts(directory), before, strict=True)), what="acts")


def assert_still(directory: Path, seconds: float = 0.2) -> None:
    """Nothing of the command acts for so long."""
    before = all_acts(directory)
    time.sleep(seconds)  # what lasts is the fact
    assert all_acts(directory) == before


def acting(supervision: Supervision, directory: Path) -> Supervision:
    """Start the command, and return when all of it acts."""
    supervision.start()
    supervision.wait_for(wire.Started)
    wait_until(lambda: all(all_acts(directory)), what="both act")
    supervision.turn()
    return supervision


def suspend(supervision: Supervision) -> None:
    supervision.guard.send(wire.Suspended(suspended_at=system.now()))


def renew(supervision: Supervision) -> None:
    supervision.lease_start = system.now()
    supervision.guard.send(wire.Extend(lease_start=supervision.lease_start))


@pytest.fixture
def pausing(supervise: Supervise, tmp_path: Path) -> Callable[..., Supervision]:
    """Give `pausing(*words, timing=)`: a guard with `pause` whose command acts."""

    def start(*words: str, timing: Timing = LONG) -> Supervision:
        command = beating(*words, to=tmp_path)
        return acting(supervise(*command, timing=timing, on_disconnect=OnDisconnect.PAUSE), tmp_path)

    return start


def test_all_of_the_command_stands_still_until_a_renewal(pausing: Callable[..., Supervision], tmp_path: Path) -> None:
    """The daemon too; told when it is so, and then nothing acts."""
    supervision = pausing()
    suspend(supervision)
    paused = supervision.wait_for(wire.Paused, renew=False)
    assert paused.reason == SUSPENDED
    assert paused.took < 0.5
    assert_still(tmp_path)
    renew(supervision)
    assert supervision.wait_for(wire.Resumed, renew=False).seconds >= 0.2
    wait_acting(tmp_path)


def test_a_renewal_from_before_the_suspension_does_not_let_it_go_on(
    pausing: Callable[..., Supervision], tmp_path: Path
) -> None:
    """It was confirmed after it all the same."""
    supervision = pausing()
    sent = system.now()
    suspend(supervision)
    supervision.wait_for(wire.Paused, renew=False)
    supervision.guard.send(wire.Extend(lease_start=sent))
    assert_still(tmp_path)
    renew(supervision)
    wait_acting(tmp_path)


def test_silence_of_the_supervisor_freezes_and_kills_at_the_deadlines(
    pausing: Callable[..., Supervision], tmp_path: Path
) -> None:
    """Without its word: by the guard's own clock, at three renewal intervals; and dead before the lease is over."""
    supervision = pausing(timing=SHORT)
    renew(supervision)
    assert supervision.wait_for(wire.Paused, renew=False).reason == RENEWAL_OVERDUE
    assert supervision.held() >= SHORT.overdue_after
    before = all_acts(tmp_path)
    gone = supervision.wait_for(wire.Gone, renew=False)
    assert all_acts(tmp_path) == before
    assert gone.in_time
    assert gone.lost
    assert gone.killed == 2


def test_what_is_forked_or_started_while_it_stands_still_does_not_run(
    pausing: Callable[..., Supervision], tmp_path: Path
) -> None:
    """Somebody puts a process into the control group."""
    supervision = pausing()
    suspend(supervision)
    supervision.wait_for(wire.Paused, renew=False)
    leaf = supervision.guard.leaf
    mark = tmp_path / "ran"
    joining = os.posix_spawn("/bin/sh", shell(f"echo 0 > {leaf}/cgroup.procs; touch {mark}"), os.environ)
    try:
        wait_until(lambda: joining in cgroup.members(leaf or ""), what="it is in the control group")
        assert_still(tmp_path)
        assert not mark.exists()
        renew(supervision)
        wait_until(mark.exists, what="it has run")
    finally:
        os.waitpid(joining, 0)


def test_a_command_started_in_doubt_does_nothing_before_a_renewal(
    supervise: Supervise, tmp_path: Path, patch_guard: Callable[[str], None]
) -> None:
    """A claim that only a read has shown: not one instruction of the command, however slow freezing is."""
    patch_guard(
        "import time\n"
        "from zkleader.guard import cgroup\n"
        "freeze = cgroup.Leaf.freeze\n"
        "def freeze_slowly(leaf, *, frozen): time.sleep(0.3); freeze(leaf, frozen=frozen)\n"
        "cgroup.Leaf.freeze = freeze_slowly\n"
    )
    supervision = supervise(*beating(to=tmp_path), timing=LONG, on_disconnect=OnDisconnect.PAUSE)
    lease_start = system.now()
    suspend(supervision)
    supervision.start(lease_start=lease_start)
    supervision.wait_for(wire.Paused, renew=False)
    assert_still(tmp_path)
    assert all_acts(tmp_path) == (0, 0)
    renew(supervision)
    supervision.wait_for(wire.Started)
    wait_acting(tmp_path)


def test_a_handled_stop_signal_waits_and_a_renewal_lets_it_be_handled(
    pausing: Callable[..., Supervision], tmp_path: Path
) -> None:
    """Asked to stop while cut off: not thawed for that."""
    supervision = pausing("handled")
    suspend(supervision)
    supervision.wait_for(wire.Paused, renew=False)
    supervision.guard.send(wire.Stop(cause=wire.Cause.ASKED))
    supervision.wait_for(wire.Stopping, renew=False)
    assert_still(tmp_path)
    assert "Gone" not in supervision.kinds()
    renew(supervision)
    gone = supervision.wait_for(wire.Gone)
    assert os.waitstatus_to_exitcode(gone.wait_status) == 3
    assert (tmp_path / "first").read_text().endswith("T")


def test_a_frozen_command_is_killed_at_once_when_leadership_is_lost(pausing: Callable[..., Supervision]) -> None:
    """Although it handles the stop signal, and would have a second of grace."""
    supervision = pausing("handled")
    suspend(supervision)
    supervision.wait_for(wire.Paused, renew=False)
    supervision.guard.send(wire.Stop(cause=wire.Cause.LOSS))
    gone = supervision.wait_for(wire.Gone, renew=False)
    assert gone.gone_after < 0.5
    assert gone.killed == 2
    assert os.waitstatus_to_exitcode(gone.wait_status) == -signal.SIGKILL


def test_a_member_killed_while_frozen_ends_the_command(pausing: Callable[..., Supervision]) -> None:
    """The out-of-memory killer takes its first process; what is left is ended after grace, frozen or not."""
    supervision = pausing()
    pid = supervision.wait_for(wire.Started).pid
    suspend(supervision)
    supervision.wait_for(wire.Paused, renew=False)
    os.kill(pid, signal.SIGKILL)
    supervision.wait_for(wire.FirstEnded, renew=False)
    assert supervision.wait_for(wire.Gone, renew=False).cause is wire.Cause.ENDED


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_what_a_lost_guard_leaves_frozen_is_ended(
    pausing: Callable[..., Supervision], tmp_path: Path, number: int, mark: str
) -> None:
    """PDEATHSIG and the control group's kill reach what stands still; and nothing of it acts once more."""
    supervision = pausing()
    pid = supervision.wait_for(wire.Started).pid
    suspend(supervision)
    supervision.wait_for(wire.Paused, renew=False)
    before = all_acts(tmp_path)
    os.kill(supervision.guard.pid, number)
    if number == signal.SIGKILL:
        wait_until(lambda: not lives(pid), deadline=2, what="the first process's end")
    assert end_everything(supervision.guard, noted=supervision.noted, within=3).proven
    assert marked(mark) == []
    assert all_acts(tmp_path) == before


def test_a_frozen_leaf_that_dead_processes_have_left_is_emptied_by_the_next_guard(
    stand_in: Callable[..., StandIn], supervise: Supervise, own_group: str, tmp_path: Path, mark: str
) -> None:
    """Supervisor and guard killed at once while it stood still: the daemon stays frozen, and never runs again."""
    supervisor = stand_in(
        *beating(to=tmp_path), timing=LONG.as_dict(), on_disconnect="pause", renew=False, suspends=True
    )
    supervisor.wait_for("Paused")
    before = all_acts(tmp_path)
    leaf = leaf_of(int(supervisor.wait_for("Started").split()[1]))
    lock = os.open(f"{own_group}/{leaf}", os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_SH)  # against guards of other tests, and of other programs
        os.kill(supervisor.process.pid, signal.SIGSTOP)  # or it would end the rest
        os.kill(supervisor.guard_pid, signal.SIGKILL)
        os.kill(supervisor.process.pid, signal.SIGKILL)
        wait_until(lambda: len(marked(mark)) == 1, what="the daemon alone is left")
        (daemon,) = marked(mark)
        assert leaf_of(daemon) == leaf
    finally:
        os.close(lock)
    supervise(*shell("exit 0")).wait_for(wire.Ready)
    # Briefly: a supervisor that says nothing for a lease is killed, and that is the test itself.
    wait_until(lambda: not marked(mark), deadline=1, what="its end")
    assert all_acts(tmp_path) == before


def test_a_stopped_command_counts_as_standing_still_and_stays_stopped(
    pausing: Callable[..., Supervision], tmp_path: Path
) -> None:
    """Ctrl-Z before the connection broke: after the pause it is as the user has left it, until `fg`."""
    supervision = pausing()
    pid = supervision.wait_for(wire.Started).pid
    os.kill(pid, signal.SIGSTOP)
    supervision.wait_for(wire.FirstStopped)
    suspend(supervision)
    supervision.wait_for(wire.Paused, renew=False)
    supervision.guard.send(wire.Continue(is_continued=False))
    supervision.wait_for(wire.Continued, renew=False)
    assert_still(tmp_path)
    renew(supervision)
    wait_acting(tmp_path)


def test_a_guard_that_cannot_freeze_starts_nothing(supervise: Supervise, tmp_path: Path) -> None:
    """It is found out before campaigning; should that have changed since, there is no command rather than one."""
    supervision = supervise(*beating(to=tmp_path), scope=Scope.SEARCH, on_disconnect=OnDisconnect.PAUSE)
    assert supervision.guard.reap(5)
    assert os.waitstatus_to_exitcode(supervision.guard.wait_status or 0) == 70
    assert all_acts(tmp_path) == (0, 0)


def test_a_guard_that_cannot_freeze_its_new_control_group_leaves_none(
    supervise: Supervise, own_group: str, patch_guard: Callable[[str], None]
) -> None:
    patch_guard(
        "from zkleader.guard import cgroup\n"
        "def refuse(leaf, *, frozen): raise OSError(5, 'Input/output error')\n"
        "cgroup.Leaf.freeze = refuse\n"
    )
    supervision = supervise(*shell("exit 0"), timing=LONG, on_disconnect=OnDisconnect.PAUSE)
    assert supervision.guard.reap(5)
    assert not [name for name in os.listdir(own_group) if name.startswith(f"zkleader-{os.getpid()}-")]


def test_a_command_that_cannot_join_its_group_is_not_executed(
    supervise: Supervise, tmp_path: Path, patch_guard: Callable[[str], None]
) -> None:
    """Outside it could not be frozen; without `pause` it is searched for."""
    patch_guard(
        "from zkleader.guard import spawn\n"
        "def refuse(directory): raise OSError(1, '')\n"
        "spawn.fork_into = refuse\n"
        "make = process_tree.open_scope\n"
        "def open_scope(*given, **named):\n"
        "    scope, leaf = make(*given, **named)\n"
        "    os.close(leaf.procs); leaf.procs = os.open('/dev/null', os.O_RDONLY)\n"
        "    return scope, leaf\n"
        "process_tree.open_scope = open_scope\n"
    )
    supervision = supervise(*beating(to=tmp_path), timing=LONG, on_disconnect=OnDisconnect.PAUSE)
    supervision.start()
    supervision.wait_for(wire.ExecFailed)
    assert all_acts(tmp_path) == (0, 0)


def test_a_kernel_that_refuses_to_freeze_ends_the_command(
    pausing: Callable[..., Supervision], patch_guard: Callable[[str], None]
) -> None:
    """It must not act, and cannot be made to stand still: a guard that has failed kills it."""
    patch_guard(
        "from zkleader.guard import cgroup\n"
        "write = cgroup.Leaf.freeze\n"
        "def refuse(leaf, *, frozen):\n"
        "    if frozen: raise OSError(5, 'Input/output error')\n"
        "    write(leaf, frozen=frozen)\n"  # a new leaf is thawed before it is used, in case it is an old one
        "cgroup.Leaf.freeze = refuse\n"
    )
    supervision = pausing()
    suspend(supervision)
    assert supervision.guard.reap(5)
    supervision.turn(renew=False)
    assert "guard_failed" in supervision.notes()


def test_with_stop_silence_of_the_supervisor_stops_in_order(supervise: Supervise, tmp_path: Path) -> None:
    """The stop signal at three intervals, handled within grace."""
    command = beating("handled", to=tmp_path)
    supervision = acting(supervise(*command, timing=LONG, on_disconnect=OnDisconnect.STOP), tmp_path)
    renew(supervision)
    gone = supervision.wait_for(wire.Gone, renew=False)
    assert gone.cause is wire.Cause.OVERDUE
    assert gone.lost
    assert gone.killed == 0
    assert LONG.overdue_after <= supervision.held() < LONG.overdue_after + 1
