"""What a container is to a program: it is PID 1 of a PID namespace."""

import shutil
import subprocess

from processes import children
from program import Program
from waiting import wait_until

CONTAINER = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
"""What stands before a command line makes it that; `unshare` ends as it does, and all ends with it."""


def why_not() -> str:
    """Return why there can be no such namespace here, or an empty string."""
    if not shutil.which("unshare"):
        return "there is no unshare"
    probe = subprocess.run([*CONTAINER, "true"], capture_output=True, text=True, check=False)
    return f"we may not have a PID namespace: {probe.stderr.strip()}" if probe.returncode != 0 else ""


def first_process(program: Program) -> int:
    """Return the pid, as we see it, of the namespace's first process; the program's own is `unshare`'s."""
    [pid] = wait_until(lambda: children(program.pid), what="the first process")
    return pid
