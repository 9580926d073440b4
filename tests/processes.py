"""Processes of tests: bound to the life of the test run, found by a mark, and ended by pid.

Owns three tricks that every harness here needs. `bound_to_us` puts a command line behind a wrapper that asks the kernel
to kill it when we die, so that a test run that is killed leaves nothing. `marked` finds processes by a mark in their
environment, which survives double forks, setsid and a dead parent, where a walk down the tree loses them.
`descendants` walks the tree for those that have no mark. Nothing here matches processes by name.
"""

import contextlib
import itertools
import os
import resource
import signal
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

MARK = "TESTS_PROGRAM"  # not ZKLEADER_*: that would be taken for an option of the program under test

# PR_SET_PDEATHSIG is 1. It is set after fork and so too late when the parent is gone already: hence the question about
# the parent after it. A wrapper and not a preexec_fn, because the test process has threads (kazoo's, ours).
_WRAPPER = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 9)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the test run has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Process(NamedTuple):
    """One line of the process table: what a failure message wants to show."""

    pid: int
    parent: int
    state: str
    command: str


def bound_to_us(*command: str) -> list[str]:
    """Return a command line that becomes `command` (same pid) and is killed by the kernel when its starter dies.

    The kernel takes the starting *thread* for the parent: whoever starts a bound process from a thread that ends loses
    the process at that moment. The binding holds for the process alone, not for what it forks.
    """
    return [sys.executable, "-I", "-S", "-c", _WRAPPER, str(os.getpid()), *command]


def look_at(pid: int) -> Process | None:
    """Return what /proc says of a process, None when there is none; a zombie is one in state Z."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return None
    # The name stands in parentheses and may itself hold parentheses and blanks: what follows the last one is fixed.
    name, _, rest = stat.partition("(")[2].rpartition(")")
    state, parent = rest.split()[:2]
    return Process(pid, int(parent), state, command or f"[{name}]")


def lives(pid: int) -> bool:
    """Return whether the process exists and is not a zombie."""
    process = look_at(pid)
    return process is not None and process.state not in "ZX"


def children(pid: int) -> list[int]:
    """Return the pids of the children of all threads of a process, zombies included."""
    found: list[int] = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += map(int, path.read_text().split())
    return found


def descendants(pid: int) -> list[int]:
    """Return the pids below a process, nearest first. Whoever was orphaned to init meanwhile is not among them."""
    found: list[int] = []
    for child in children(pid):
        found += [child, *(below for below in descendants(child) if below not in found)]
    return found


@contextlib.contextmanager
def without_descriptors(pid: int, losing: Collection[int] = ()) -> Iterator[None]:
    """Let a process open nothing more, as if something had taken every number there is; what is open stays open.

    `losing` are numbers of its that are as good as taken once they are closed.
    """
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    table = f"/proc/{pid}/fd"
    # Looked at again: of our own, one was the listing's.
    kept = {int(name) for name in os.listdir(table) if os.path.lexists(f"{table}/{name}")} - set(losing)
    # Below a handful the kernel would refuse poll() too, which is another fault.
    limit = next(number for number in itertools.count(4) if number not in kept)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, resource.RLIMIT_NOFILE, before)


def marked(mark: str) -> list[int]:
    """Return the pids of the living processes whose environment holds the mark. Zombies have no environment."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return sorted(found)


def kill_marked(mark: str, *, rounds: int = 200) -> list[int]:
    """SIGKILL every process that bears the mark until a search finds none; return the pids killed.

    They are frozen first, all of them, so that none of them can react to the death of another: that is how the death of
    a whole host looks to the rest. A search that finds something new begins again: the last search was too early.
    """
    mine = {os.getpid()}
    frozen: set[int] = set()
    for _ in range(rounds):
        new = set(marked(mark)) - frozen - mine
        if not new:
            break
        for pid in new:
            _signal_marked(pid, mark, signal.SIGSTOP)
        frozen |= new
    for _ in range(rounds):
        living = [pid for pid in marked(mark) if pid not in mine]
        if not living:
            break
        for pid in living:
            _signal_marked(pid, mark, signal.SIGKILL)
        frozen.update(living)
    return sorted(frozen)


def _signal_marked(pid: int, mark: str, number: int) -> None:
    """Signal a process only if it still bears the mark: the pidfd is taken first, so the pid cannot change hands."""
    with contextlib.suppress(OSError):
        descriptor = os.pidfd_open(pid)
        try:
            if f"{MARK}={mark}".encode() in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                signal.pidfd_send_signal(descriptor, number)
        finally:
            os.close(descriptor)
