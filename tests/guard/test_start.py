"""What COMMAND finds when it starts, and what is told when it cannot."""

import contextlib
import json
import os
import signal
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from supervision import Supervision, python, shell

from zkleader.core import wire
from zkleader.guard import system

Supervise = Callable[..., Supervision]

# What a process can see of its own start; written to the file named by its first argument.
LOOK = """
import json, os, signal, sys
lines = open("/proc/self/status").read().splitlines()
status = dict(line.split(":\\t", 1) for line in lines if ":\\t" in line)
open(sys.argv[1], "w").write(json.dumps({
    "environ": {name.hex(): value.hex() for name, value in os.environb.items()},
    "cwd": os.getcwd(), "blocked": int(status["SigBlk"], 16), "ignored": int(status["SigIgn"], 16),
    "caught": int(status["SigCgt"], 16), "group": os.getpgrp(), "pid": os.getpid(), "session": os.getsid(0),
    "umask": status["Umask"].strip(), "descriptors": {fd: os.readlink(f"/proc/self/fd/{fd}")
    for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}")},
}))
"""


def bits(*numbers: int) -> int:
    """Return signals as /proc shows them."""
    return sum(1 << (number - 1) for number in numbers)


@pytest.mark.parametrize(("script", "status"), [("exit 0", 0), ("exit 3", 3 << 8), ("kill -9 $$", 9)])
def test_the_wait_status_is_the_commands(supervise: Supervise, script: str, status: int) -> None:
    """`run` ends as COMMAND did; scripts rely on that."""
    supervision = supervise(*shell(script))
    supervision.start()
    gone = supervision.wait_for(wire.Gone)
    assert gone.wait_status == status
    assert (gone.cause, gone.in_time, gone.signalled, gone.killed) == (wire.Cause.ENDED, True, 0, 0)
    assert supervision.kinds() == ["Ready", "Started", "FirstEnded", "Gone"]


def test_the_command_finds_what_the_supervisor_was_started_with(supervise: Supervise, tmp_path: Path) -> None:
    """As if nobody stood between the caller and COMMAND: that is why nohup, cron and systemd work."""
    inherited = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    look = tmp_path / "look"
    supervision = supervise(
        *python(LOOK, str(look)),
        environment={b"BYTES\xff": b"\xfe=\n", b"ZKLEADER_TOKEN": b"old"},
        ignored_signals=(signal.SIGHUP, signal.SIGUSR1),
        signal_mask=(signal.SIGUSR2, signal.SIGALRM),
    )
    supervision.start(ZKLEADER_TOKEN="17", ZKLEADER_ID="b\udcffx")
    supervision.wait_for(wire.Gone)
    handed_down = inheritable()
    os.close(inherited)
    seen = json.loads(look.read_text())
    environ = {bytes.fromhex(name): bytes.fromhex(value) for name, value in seen["environ"].items()}
    assert environ[b"BYTES\xff"] == b"\xfe=\n"
    assert environ[b"ZKLEADER_TOKEN"] == b"17"
    assert environ[b"ZKLEADER_ID"] == b"b\xffx"
    assert set(environ) - {b"LC_CTYPE"} == {
        b"BYTES\xff",
        b"ZKLEADER_TOKEN",
        b"ZKLEADER_ID",
        b"PATH",
        b"TESTS_PROGRAM",
    }
    assert seen["cwd"] == str(Path.cwd())
    assert int(seen["umask"], 8) == _umask()
    assert seen["blocked"] == bits(signal.SIGUSR2, signal.SIGALRM)
    # Python as the command adds these by itself.
    python_ignores = bits(signal.SIGPIPE, signal.SIGXFSZ)
    assert seen["ignored"] == bits(signal.SIGHUP, signal.SIGUSR1) | python_ignores
    assert seen["group"] == seen["pid"]
    assert seen["session"] == os.getsid(0)
    # Nothing of the guard's: no socket, pidfd, memory file or control group; what the caller handed down is there.
    ours = {int(fd) for fd, target in seen["descriptors"].items() if int(fd) > 2 and target != str(look)}
    assert ours == handed_down
    assert inherited in ours


def inheritable() -> set[int]:
    """Return our descriptors that a program executed by us would get, the standard streams left out."""
    found = set()
    for fd in map(int, os.listdir("/proc/self/fd")):
        with contextlib.suppress(OSError):
            if fd > 2 and os.get_inheritable(fd):
                found.add(fd)
    return found


def _umask() -> int:
    """Return our umask, which can only be read by setting it."""
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def test_signals_ignored_by_python_and_the_c_library_are_default_for_the_command(
    supervise: Supervise, tmp_path: Path
) -> None:
    """`yes | head` under an ignored SIGPIPE writes for ever; glibc's posix_spawn ignores 32 and 33 for the guard."""
    supervision = supervise(*shell(f"grep SigIgn /proc/self/status > {tmp_path}/ignored"))
    supervision.start()
    supervision.wait_for(wire.Gone)
    assert int((tmp_path / "ignored").read_text().split()[1], 16) == 0


def test_closed_standard_streams_stay_closed(supervise: Supervise, tmp_path: Path) -> None:
    """The guard's own descriptors must not take their numbers: a line for standard error would go into a socket."""
    saved = [os.dup(fd) for fd in range(3)]
    try:
        for fd in range(3):
            os.close(fd)
        supervision = supervise(*shell(f"exec ls -l /proc/self/fd/ > {tmp_path}/list; "))
    finally:
        for fd, copy in enumerate(saved):
            os.dup2(copy, fd)
            os.close(copy)
    supervision.wait_for(wire.Ready)
    held = [os.readlink(f"/proc/{supervision.guard.pid}/fd/{fd}") for fd in range(3)]
    assert held == ["/dev/null"] * 3
    supervision.start()
    supervision.wait_for(wire.Gone)
    listed = [line.split()[-3] for line in (tmp_path / "list").read_text().splitlines() if "->" in line]
    # 1 is the redirection, and 0 the directory that ls is reading, which takes the lowest free number.
    assert set(map(int, listed)) == {0, 1} | inheritable()


@pytest.mark.parametrize(("name", "errno"), [("missing", 2), ("plain", 13), ("directory", 13), ("interpreter", 2)])
def test_a_command_that_cannot_be_executed(supervise: Supervise, tmp_path: Path, name: str, errno: int) -> None:
    """126 or 127 for the user; and nothing is left of the attempt."""
    (tmp_path / "plain").write_text("#!/bin/sh\n")
    (tmp_path / "directory").mkdir()
    (tmp_path / "interpreter").write_text("#!/no/such/thing\n")
    (tmp_path / "interpreter").chmod(0o755)
    supervision = supervise(str(tmp_path / name))
    supervision.start()
    assert supervision.wait_for(wire.ExecFailed).errno == errno
    assert supervision.kinds() == ["Ready", "ExecFailed"]


def test_a_script_without_an_interpreter_line_is_run_by_the_shell(supervise: Supervise, tmp_path: Path) -> None:
    """As every shell and execvp do; cron jobs live on it."""
    script = tmp_path / "script"
    script.write_text('[ "$1" = "a b" ] && exit 7\n')
    script.chmod(stat.S_IRWXU)
    supervision = supervise(str(script), "a b")
    supervision.start()
    assert supervision.wait_for(wire.Gone).wait_status == 7 << 8


def test_a_start_that_comes_too_late_is_refused(supervise: Supervise) -> None:
    """A supervisor that was frozen between its claim and the start."""
    supervision = supervise(*shell("exec sleep 60"))
    now = system.now()
    passed = supervision.timing.stop_after
    supervision.start(lease_start=now._replace(raw=now.raw - passed, boottime=now.boottime - passed))
    supervision.wait_for(wire.TooLate, renew=False)
    assert supervision.kinds() == ["Ready", "TooLate"]


def test_a_start_counts_the_renewals_that_wait_behind_it(supervise: Supervise) -> None:
    """At a short lease a guard that starts slowly finds both; here it is frozen past the first deadline."""
    supervision = supervise(*shell("exec sleep 60"))
    supervision.wait_for(wire.Ready)
    os.kill(supervision.guard.pid, signal.SIGSTOP)
    supervision.start()
    asked_at = system.now()
    while system.now().held_since(asked_at) < supervision.timing.stop_after + 0.2:
        supervision.turn()
    os.kill(supervision.guard.pid, signal.SIGCONT)
    supervision.wait_for(wire.Started)
    assert supervision.kinds() == ["Ready", "Started"]


def test_the_child_looks_at_the_clock_once_more_before_exec(
    supervise: Supervise, patch_guard: Callable[[str], None], tmp_path: Path
) -> None:
    """Between the guard's look and exec the host may have slept; here it is the child alone that reads a late clock."""
    patch_guard(
        "guard, read = os.getpid(), system.now\n"
        "def now():\n"
        "    found = read()\n"
        "    return found if os.getpid() == guard else found._replace(boottime=found.boottime + 3600)\n"
        "system.now = now"
    )
    ran = tmp_path / "ran"
    supervision = supervise(*shell(f": > {ran}"))
    supervision.start()
    supervision.wait_for(wire.TooLate)
    assert supervision.kinds() == ["Ready", "TooLate"]
    assert not ran.exists()
