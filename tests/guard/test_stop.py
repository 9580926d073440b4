"""How COMMAND ends: in order, by force, in time, and all of it, in both ways of finding what belongs to it."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from processes import lives, look_at, marked
from supervision import Scope, Supervision, nothing_left, python, shell
from waiting import wait_until

from zkleader.core import wire
from zkleader.core.lease import Timing
from zkleader.core.wire import Cause
from zkleader.guard import cgroup, descendants, process_tree, system

Supervise = Callable[..., Supervision]

STUBBORN = "trap '' TERM HUP INT; "
"""What a command begins with that does not end on the stop signal; its children inherit that."""

# A daemon as the books have it: fork, setsid, fork; its parent and grandparent end at once. It ignores the stop signal.
DAEMONS = """
import os, signal, sys
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        os.setsid()
        # Before there is a daemon: its grandparent may have left, and the stop signal been sent, before its first line.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.fork() == 0:
            open(f"{sys.argv[2]}/{os.getpid()}", "w").close()
            while True:
                signal.pause()
        os._exit(0)
for _ in range(int(sys.argv[1])):
    os.wait()
if sys.argv[3] == "stay":
    signal.pause()
"""

# Forks and exits in a loop: whoever is found by a search has ended by the time it is signalled.
RUNAWAY = """
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.setsid() if os.fork() == 0 else os._exit(0)
while True:
    if os.fork():
        os._exit(0)
"""


def started(supervision: Supervision) -> Supervision:
    supervision.start()
    supervision.wait_for(wire.Started)
    return supervision


def files(directory: Path, count: int) -> list[int]:
    """Wait until so many processes have said by a file that they stand, and return their pids."""
    wait_until(lambda: len(os.listdir(directory)) >= count, what=f"{count} processes")
    return [int(name) for name in os.listdir(directory)]


def test_an_orderly_stop_lets_the_command_put_things_in_order(supervise: Supervise, scope: Scope) -> None:
    """The stop signal goes out at once, and nothing is killed that ends by itself."""
    ready = "trap 'exit 5' TERM; kill -USR1 $$; while :; do sleep 0.02; done"
    supervision = supervise(*shell("trap : USR1; " + ready), scope=scope)
    started(supervision)
    wait_until(lambda: _catches(supervision, signal.SIGTERM), what="the command's trap")
    supervision.guard.send(wire.Stop(cause=Cause.ASKED))
    assert supervision.wait_for(wire.Stopping).cause is Cause.ASKED
    gone = supervision.wait_for(wire.Gone)
    assert (gone.cause, gone.wait_status, gone.killed, gone.in_time) == (Cause.ASKED, 5 << 8, 0, True)
    assert gone.signalled >= 1
    assert gone.gone_after < 1


def _catches(supervision: Supervision, number: int) -> bool:
    pid = supervision.wait_for(wire.Started).pid
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return bool(int(next(line for line in lines if line.startswith("SigCgt")).split()[1], 16) >> (number - 1) & 1)


def _ignores_stop(supervision: Supervision) -> bool:
    pid = supervision.wait_for(wire.Started).pid
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return bool(int(next(line for line in lines if line.startswith("SigIgn")).split()[1], 16) >> 14 & 1)


def test_a_command_that_ignores_the_stop_signal_is_killed_after_the_stop_timeout(
    supervise: Supervise, scope: Scope
) -> None:
    """While the lease is renewed: the stop timeout is longer than the lease without renewals would last."""
    timing = Timing(lease=2.0, grace=0.3, stop_timeout=1.5)
    supervision = started(supervise(*shell(STUBBORN + "while :; do sleep 0.05; done"), scope=scope, timing=timing))
    wait_until(lambda: _ignores_stop(supervision), what="the command's trap")
    supervision.guard.send(wire.Stop(cause=Cause.ASKED))
    gone = supervision.wait_for(wire.Gone)
    assert gone.wait_status == signal.SIGKILL
    assert gone.killed >= 1
    assert gone.kill_began_after == pytest.approx(1.5, abs=0.15)
    assert gone.in_time


def test_asking_twice_kills_at_once(supervise: Supervise) -> None:
    """The second Ctrl-C means it."""
    supervision = started(supervise(*shell(STUBBORN + "while :; do sleep 0.05; done")))
    wait_until(lambda: _ignores_stop(supervision), what="the command's trap")
    supervision.guard.send(wire.Stop(cause=Cause.ASKED))
    supervision.guard.send(wire.KillNow())
    assert supervision.wait_for(wire.Gone).gone_after < 0.5


def test_a_stopped_command_gets_the_stop_signal(supervise: Supervise, scope: Scope) -> None:
    """A handled signal waits until the process is continued; so SIGCONT follows it."""
    supervision = started(supervise(*shell("trap 'exit 4' TERM; while :; do sleep 0.02; done"), scope=scope))
    pid = supervision.wait_for(wire.Started).pid
    wait_until(lambda: _catches(supervision, signal.SIGTERM), what="the command's trap")
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: (system.process_status(pid) or pytest.fail("it ended")).is_stopped)
    supervision.guard.send(wire.Stop(cause=Cause.ASKED))
    assert supervision.wait_for(wire.Gone).wait_status == 4 << 8


@pytest.mark.parametrize("cause", [Cause.LOSS, Cause.DEADLINE])
def test_daemonised_descendants_are_gone_in_time(
    supervise: Supervise, scope: Scope, cause: Cause, mark: str, tmp_path: Path
) -> None:
    """A setsid and a double fork leave the process group and the parent, but neither the guard nor its cgroup."""
    supervision = started(supervise(*python(DAEMONS, "5", str(tmp_path), "stay"), scope=scope))
    pids = files(tmp_path, 5)
    if cause is Cause.LOSS:
        supervision.guard.send(wire.Stop(cause=cause))
    gone = supervision.wait_for(wire.Gone, renew=False)
    # The report is the proof: nothing may live at this moment, without any waiting.
    assert [pid for pid in pids if lives(pid)] == []
    assert marked(mark) == []
    assert gone.cause is cause
    assert (gone.signalled, gone.killed) == (6, 5)
    assert gone.in_time
    assert supervision.held() <= supervision.timing.gone_after


def test_descendants_in_other_groups_get_the_stop_signal_too(
    supervise: Supervise, scope: Scope, tmp_path: Path
) -> None:
    """They have things to put in order as well."""
    child = f"trap ': > {tmp_path}/ended; exit' TERM; : > {tmp_path}/ready; while :; do sleep 0.02; done"
    supervision = started(supervise(*shell(f'setsid sh -c "{child}" & wait'), scope=scope))
    wait_until((tmp_path / "ready").exists)
    supervision.guard.send(wire.Stop(cause=Cause.ASKED))
    assert supervision.wait_for(wire.Gone).killed == 0
    assert (tmp_path / "ended").exists()


def test_what_the_first_process_leaves_behind_is_ended(
    supervise: Supervise, scope: Scope, mark: str, tmp_path: Path
) -> None:
    """A daemon left behind would act beside the next leader; the status stays the first process's."""
    supervision = started(supervise(*python(DAEMONS, "2", str(tmp_path), "leave"), scope=scope))
    gone = supervision.wait_for(wire.Gone)
    assert marked(mark) == []
    assert (gone.cause, gone.wait_status, gone.killed, gone.in_time) == (Cause.ENDED, 0, 2, True)
    assert gone.kill_began_after == pytest.approx(supervision.timing.grace, abs=0.15)
    assert supervision.kinds() == ["Ready", "Started", "FirstEnded", "Stopping", "Gone"]


def test_processes_that_fork_and_exit_in_a_loop_are_caught(supervise: Supervise, scope: Scope, mark: str) -> None:
    """Whoever was found has ended when it is signalled: only repeated passes, or the kernel's own, meet them."""
    supervision = started(
        supervise(*shell(" ".join(f"{_command(RUNAWAY)} &" for _ in range(2)) + " wait"), scope=scope)
    )
    wait_until(lambda: len(marked(mark)) >= 2, what="the runaways")
    supervision.guard.send(wire.KillNow())
    gone = supervision.wait_for(wire.Gone)
    assert marked(mark) == []
    assert gone.in_time


def _command(program: str) -> str:
    words = python(program)
    return " ".join("'" + word.replace("'", "'\\''") + "'" for word in words)


def test_a_search_that_finds_nothing_proves_nothing(
    supervise: Supervise, patch_guard: Callable[[str], None], tmp_path: Path
) -> None:
    """A process may fork and end between two looks; here every look misses it, and the guard must not say `Gone`.

    Nor must it leave the command running: that a child is left it knows from waitpid().
    """
    patch_guard("descendants.list_by_task = lambda pid, *, recursive: []")
    (tmp_path / "pids").mkdir()
    supervision = started(supervise(*python(DAEMONS, "1", str(tmp_path / "pids"), "leave"), scope=Scope.SEARCH))
    (pid,) = files(tmp_path / "pids", 1)
    assert supervision.wait_for(wire.Stopping).cause is Cause.ENDED
    until = time.monotonic() + 2 * supervision.timing.grace
    wait_until(lambda: supervision.turn() or time.monotonic() > until)
    assert supervision.kinds() == ["Ready", "Started", "FirstEnded", "Stopping"]
    os.kill(pid, signal.SIGKILL)
    supervision.wait_for(wire.Gone)


def test_a_search_with_psutil_finds_the_same() -> None:
    """The way of kernels without task/*/children; psutil is loaded only there."""
    lister = descendants.load_psutil_lister()
    pid = os.posix_spawn("/bin/sh", shell("sleep 60 & sleep 60 & wait"), os.environ)
    scope = process_tree.SearchScope(lister=lister, noted=descendants.note_children() - _noted(pid))
    try:
        wait_until(lambda: len(descendants.list_by_task(pid, recursive=True)) == 2, what="two children")
        assert set(lister(pid, recursive=True)) == set(descendants.list_by_task(pid, recursive=True))
        assert scope.kill() == 3
    finally:
        wait_until(lambda: bool(scope.kill() + 1) and scope.reap().childless, what="their end")


def _noted(pid: int) -> set[descendants.Noted]:
    status = system.process_status(pid)
    assert status is not None
    return {descendants.Noted(pid, status.start)}


def test_renewals_keep_the_command_running(supervise: Supervise) -> None:
    """A leader is not disturbed without need, however long it leads."""
    supervision = started(supervise(*shell("exec sleep 60")))
    until = time.monotonic() + 2 * supervision.timing.lease
    while time.monotonic() < until:
        supervision.turn()
    assert supervision.kinds() == ["Ready", "Started"]


def test_without_renewals_the_deadlines_are_kept(supervise: Supervise, scope: Scope) -> None:
    """A supervisor that lives and answers but brings no renewal: stop, grace, SIGKILL, all inside the lease."""
    supervision = started(supervise(*shell(STUBBORN + "while :; do sleep 0.05; done"), scope=scope))
    assert supervision.wait_for(wire.Stopping, renew=False).cause is Cause.DEADLINE
    assert supervision.held() == pytest.approx(supervision.timing.stop_after, abs=0.15)
    gone = supervision.wait_for(wire.Gone, renew=False)
    assert gone.kill_began_after == pytest.approx(supervision.timing.grace, abs=0.1)
    assert gone.in_time
    assert supervision.held() <= supervision.timing.gone_after
    # Alive and answering, it is not released for: it does that itself.
    assert "released_for_supervisor" not in supervision.notes()


def test_after_a_deadline_neither_renewals_nor_starts_count(supervise: Supervise, mark: str) -> None:
    """Finality: by then somebody may have released in the supervisor's place, and another leads."""
    supervision = started(supervise(*shell(STUBBORN + "while :; do sleep 0.05; done")))
    supervision.wait_for(wire.Stopping, renew=False)
    supervision.guard.send(wire.Extend(lease_start=system.now()))
    gone = supervision.wait_for(wire.Gone)
    assert gone.kill_began_after == pytest.approx(supervision.timing.grace, abs=0.1)
    supervision.start()
    supervision.wait_for(wire.TooLate)
    nothing_left(mark)


def test_forwarded_signals_reach_the_process_or_the_group(supervise: Supervise, tmp_path: Path) -> None:
    """HUP and USR1 are the command's; QUIT is for everything in front of the terminal."""
    script = f"trap ': > {tmp_path}/usr1' USR1; : > {tmp_path}/ready; while :; do sleep 0.02; done"
    supervision = started(supervise(*shell(script)))
    wait_until((tmp_path / "ready").exists)
    supervision.guard.send(wire.Forward(signal=signal.SIGUSR1, to_group=False))
    wait_until((tmp_path / "usr1").exists)
    supervision.guard.send(wire.Forward(signal=signal.SIGKILL, to_group=True))
    assert supervision.wait_for(wire.Gone).wait_status == signal.SIGKILL


def test_signals_that_end_others_do_not_end_the_guard(supervise: Supervise) -> None:
    """A careless kill, a closed terminal, Ctrl-C: the guard ends by its own rules only."""
    supervision = started(supervise(*shell("exec sleep 60")))
    for name in ("TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "TSTP", "TTIN", "TTOU", "PIPE"):
        os.kill(supervision.guard.pid, getattr(signal, f"SIG{name}"))
    supervision.guard.send(wire.Beat(number=4711))
    wait_until(lambda: supervision.turn() or wire.BeatAnswer(number=4711) in supervision.heard)
    assert supervision.kinds() == ["Ready", "Started"]


def test_a_dismissed_guard_ends_and_releases_nothing(supervise: Supervise, tmp_path: Path) -> None:
    """The supervisor has done that."""
    supervision = supervise(*shell("exit 0"), release={"file": str(tmp_path / "released")})
    supervision.start()
    supervision.wait_for(wire.Gone)
    supervision.guard.send(wire.Dismiss())
    assert supervision.guard.reap(5)
    assert supervision.guard.wait_status == 0
    assert not (tmp_path / "released").exists()


def test_nonsense_from_the_supervisor_ends_the_command(
    supervise: Supervise, mark: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A fault of the guard's own, provoked: the command is killed and proven gone first, and there is no traceback."""
    supervision = started(supervise(*shell("setsid sleep 60 & exec sleep 60")))
    supervision.guard._channel._end.send(b"nonsense")
    assert supervision.guard.reap(5)
    assert marked(mark) == []
    assert os.waitstatus_to_exitcode(supervision.guard.wait_status or 0) == 70
    said = capfd.readouterr().err
    assert said == "zkleader: guard failed: MalformedMessageError: not a message: b'nonsense'; command ended\n"
    supervision.turn()
    assert "guard_failed" in supervision.notes()


def wakes_of(pid: int) -> int:
    """Return how often a process has gone to sleep of its own will."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("voluntary_ctxt_switches")).split()[1])


def assert_sleeps(supervision: Supervision, seconds: float = 1.5) -> None:
    """Hold that the guard wakes for its longest poll and for what is said, and for little else."""
    before, began = wakes_of(supervision.guard.pid), time.monotonic()
    while time.monotonic() < began + seconds:
        supervision.turn(wait=0.5)
    assert (wakes_of(supervision.guard.pid) - before) / seconds < 20


PATIENT = Timing(lease=30.0, grace=10.0, stop_timeout=1.0)


def test_a_leaf_that_cannot_be_killed_as_one_is_killed_one_by_one(
    supervise: Supervise, patch_guard: Callable[[str], None], own_group: str, mark: str, tmp_path: Path
) -> None:
    """A command that is root may make its leaf a threaded one, and the kernel then refuses `cgroup.kill`."""
    assert own_group
    patch_guard("def refuse(path):\n    raise OSError(95, 'refused')\nprocess_tree.cgroup.kill = refuse")
    (tmp_path / "pids").mkdir()
    supervision = started(supervise(*python(DAEMONS, "2", str(tmp_path / "pids"), "stay")))
    files(tmp_path / "pids", 2)
    supervision.guard.send(wire.KillNow())
    gone = supervision.wait_for(wire.Gone)
    assert (gone.killed, gone.in_time) == (3, True)
    assert marked(mark) == []


def test_the_guard_sleeps_while_leftovers_have_their_grace(
    supervise: Supervise, scope: Scope, mark: str, tmp_path: Path
) -> None:
    """A grace period may be minutes; a guard that looks 200 times a second takes the leftovers their processor."""
    supervision = started(supervise(*python(DAEMONS, "3", str(tmp_path), "leave"), scope=scope, timing=PATIENT))
    supervision.wait_for(wire.Stopping)
    os.kill(files(tmp_path, 3)[0], signal.SIGKILL)
    assert_sleeps(supervision)
    assert len(marked(mark)) == 2
    assert supervision.kinds()[-1] == "Stopping"


def test_a_stranger_in_the_leaf_is_waited_for_asleep(supervise: Supervise, own_group: str) -> None:
    """Whoever moves a process there makes it the command's; only the leaf's own news tell of its end."""
    assert own_group
    supervision = started(supervise(*shell("setsid sleep 60 & exec sleep 60"), timing=PATIENT))
    first, leaf = supervision.wait_for(wire.Started).pid, Path(supervision.guard.leaf or "")
    stranger = os.posix_spawn("/bin/sh", shell("trap '' TERM; exec sleep 60"), os.environ)
    try:
        wait_until(lambda: (look_at(stranger) or pytest.fail("it ended")).command.startswith("sleep"))
        wait_until(lambda: len(cgroup.members(str(leaf))) == 2, what="both processes in the leaf")
        (leaf / "cgroup.procs").write_text(str(stranger))
        for pid in cgroup.members(str(leaf)):
            if pid != stranger:
                with contextlib.suppress(ProcessLookupError):  # the guard, which stops what is left, may be quicker
                    os.kill(pid, signal.SIGKILL)
        assert supervision.wait_for(wire.FirstEnded)
        wait_until(lambda: not lives(first))
        assert_sleeps(supervision)
        assert supervision.kinds()[-1] != "Gone"
    finally:
        os.kill(stranger, signal.SIGKILL)
        os.waitpid(stranger, 0)
    assert supervision.wait_for(wire.Gone).killed == 0


# Becomes root for good, so that a guard that is nobody may not signal it; says by a file that it has.
FOREIGN = """
import os, signal, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
reader, writer = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.setresuid(0, 0, 0)
    open(f"{sys.argv[1]}/{os.getpid()}", "w").close()
    os.write(writer, b"ready")
    while True:
        signal.pause()
os.read(reader, 5)
"""


@pytest.fixture
def setuid_python() -> Iterator[Path]:
    """Return an interpreter that becomes root, in a directory that anybody may read; skip where there can be none."""
    if os.getuid() != 0:
        pytest.skip("only root can make a file that becomes root")
    directory = Path(tempfile.mkdtemp(prefix="zkleader-setuid-"))
    program = directory / "python"
    try:
        shutil.copy(os.path.realpath(sys.executable), program)
        directory.chmod(0o755)
        program.chmod(0o4755)
        probe = subprocess.run(
            [program, "-I", "-S", "-c", "import os; print(os.geteuid())"], user=65534, capture_output=True, check=False
        )
        if probe.stdout.strip() != b"0":
            pytest.skip("setuid has no effect here")
        (directory / "pids").mkdir()
        yield program
    finally:
        shutil.rmtree(directory)


def test_the_end_of_a_process_that_may_not_be_signalled_wakes_the_guard(
    supervise: Supervise, patch_guard: Callable[[str], None], setuid_python: Path
) -> None:
    """The kernel's own signal needs no permission: nothing else, the longest poll taken away, could tell so soon."""
    patch_guard("loop.LONGEST_POLL = 60\nos.setresuid(65534, 65534, 65534)")
    pids = setuid_python.parent / "pids"
    command = (str(setuid_python), "-I", "-S", "-c", FOREIGN, str(pids))
    supervision = started(supervise(*command, scope=Scope.SEARCH, timing=PATIENT))
    [pid] = files(pids, 1)
    supervision.wait_for(wire.Stopping)
    wait_until(lambda: supervision.turn() or "signal_refused" in supervision.notes())
    assert_sleeps(supervision)
    os.kill(pid, signal.SIGKILL)
    assert supervision.wait_for(wire.Gone, deadline=1.5).killed == 0


def test_a_fault_that_goes_on_while_the_command_is_ended_does_not_end_the_guard_first(
    supervise: Supervise, patch_guard: Callable[[str], None], mark: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """A host out of descriptors for a moment: that may have been the fault, and the command must go all the same."""
    patch_guard(
        "kill, left = process_tree.SearchScope.kill, [3]\n"
        "def refuse(self):\n"
        "    left[0] -= 1\n"
        "    if left[0] >= 0:\n"
        "        raise OSError(23, 'too many open files')\n"
        "    return kill(self)\n"
        "process_tree.SearchScope.kill = refuse"
    )
    supervision = started(supervise(*shell("setsid sleep 60 & exec sleep 60"), scope=Scope.SEARCH))
    supervision.guard._channel._end.send(b"nonsense")
    assert supervision.guard.reap(5)
    assert marked(mark) == []
    assert os.waitstatus_to_exitcode(supervision.guard.wait_status or 0) == 70
    assert "MalformedMessageError" in capfd.readouterr().err
