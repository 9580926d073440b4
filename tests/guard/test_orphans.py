"""Orphans that are handed to the supervisor: reaped, and nobody else's status taken."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import MARK, bound_to_us, children, look_at
from supervision import ROOT, python, shell
from waiting import wait_until

from zkleader.guard.orphans import reap_orphans

# Leaves a process behind whose parent and grandparent end at once; its pid, as they see it, is in the file.
DAEMON = """
import os, signal, sys
if os.fork() == 0:
    pid = os.fork()
    if pid == 0:
        os.setsid()
        signal.pause()
    open(sys.argv[1], "w").write(str(pid))
    os._exit(0)
os.wait()
"""


def is_zombie(pid: int) -> bool:
    process = look_at(pid)
    return process is not None and process.state == "Z"


def test_orphans_are_reaped_and_the_guards_status_stays(mark: str, tmp_path: Path) -> None:
    """Even when the guard is a zombie that stands before all others in the list of what may be waited for."""
    environment = os.environ | {MARK: mark}
    guard = os.posix_spawn("/bin/sh", shell("exit 7"), environment)
    wait_until(lambda: is_zombie(guard), what="the guard's end")
    living = os.posix_spawn("/bin/sleep", ("sleep", "60"), environment)
    parent = os.posix_spawn(sys.executable, python(DAEMON, str(tmp_path / "pid")), environment)
    try:
        os.waitpid(parent, 0)
        daemon = int((tmp_path / "pid").read_text())
        assert daemon in children(os.getpid())
        assert reap_orphans({guard}) == 0
        os.kill(daemon, signal.SIGKILL)
        wait_until(lambda: is_zombie(daemon), what="the orphan's end")
        assert reap_orphans({guard}) == 1
        assert look_at(daemon) is None
        assert os.waitpid(guard, os.WNOHANG) == (guard, 7 << 8)
        assert os.waitpid(living, os.WNOHANG) == (0, 0)
    finally:
        os.kill(living, signal.SIGKILL)
        os.waitpid(living, 0)


@pytest.fixture
def first_process(mark: str) -> Iterator[subprocess.Popen[bytes]]:
    """Return `unshare`, whose one child is a supervisor that is PID 1 and tries to reach ZooKeeper."""
    unshare = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
    if not shutil.which("unshare") or not shutil.which("nsenter"):
        pytest.skip("there is no unshare or no nsenter")
    probe = subprocess.run([*unshare, "true"], capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"we may not have a PID namespace: {probe.stderr.strip()}")
    run = (sys.executable, "-m", "zkleader", "run", "-e", "/e", "--hosts", "127.0.0.1:1", "--connect-timeout", "1h")
    with subprocess.Popen(
        bound_to_us(*unshare, *run, "--", "true"), cwd=ROOT, env=os.environ | {MARK: mark}, stderr=subprocess.PIPE
    ) as process:
        try:
            yield process
        finally:
            # The namespace goes with its first process, and that one with unshare.
            process.kill()
            process.communicate()


def test_a_supervisor_that_is_pid_1_reaps_what_it_is_handed(
    first_process: subprocess.Popen[bytes], mark: str, tmp_path: Path
) -> None:
    """A container that runs for a year must not gather the zombies of every `docker exec`."""

    def supervisor() -> int:
        found = children(first_process.pid)
        return found[0] if found and children(found[0]) else 0

    pid = wait_until(supervisor, what="the supervisor and its guard")
    [guard] = children(pid)
    enter = ["nsenter", "-t", str(pid), "-p", "-m", "--", *python(DAEMON, str(tmp_path / "pid"))]
    subprocess.run(enter, check=True, env=os.environ | {MARK: mark}, timeout=30)
    [orphan] = wait_until(lambda: [child for child in children(pid) if child != guard], what="the orphan's adoption")
    os.kill(orphan, signal.SIGKILL)
    wait_until(lambda: children(pid) == [guard], what="the orphan's reaping")
    # And that it went on as before: it takes a signal, and ends with what a shell would say.
    os.kill(pid, signal.SIGTERM)
    assert first_process.wait(20) == 128 + signal.SIGTERM
