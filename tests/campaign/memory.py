"""A control group with little memory, and somebody in it who wants all of it."""

import contextlib
import os
import subprocess
import sys
import uuid
from pathlib import Path

from processes import bound_to_us
from waiting import wait_until

ENOUGH = 160 * 1024 * 1024
"""Bytes: supervisor, guard and witness have room; the hog is what does not fit."""

# Takes memory until the kernel kills it, and then again: it has told the kernel to choose it first.
HOG = """
import os, time
open("/proc/self/oom_score_adj", "w").write("1000")
while True:
    if (pid := os.fork()) == 0:
        held = []
        while True:
            held.append(bytearray(1 << 20))
    os.waitpid(pid, 0)
"""


def _controller() -> tuple[Path, str] | None:
    """Return where groups with a memory limit are made, and the name of the limit; None where there are none."""
    first = Path("/sys/fs/cgroup/memory")
    if (first / "memory.limit_in_bytes").exists():
        return first, "memory.limit_in_bytes"
    second = Path("/sys/fs/cgroup")
    with contextlib.suppress(OSError):
        if "memory" in (second / "cgroup.subtree_control").read_text().split():
            return second, "memory.max"
    return None


def why_not() -> str:
    """Return why there can be no such group here, or an empty string."""
    return "" if _controller() is not None else "no control group can limit memory here"


class ShortMemory:
    """The group, from entering to leaving; `wrapper` is put before the command line of whoever is to be in it."""

    def __init__(self) -> None:
        controller = _controller()
        assert controller is not None
        parent, limit = controller
        self._group = parent / f"zkleader-campaign-{uuid.uuid4().hex[:12]}"
        self._group.mkdir()
        (self._group / limit).write_text(str(ENOUGH))
        join = f'echo 0 >{self._group}/cgroup.procs; exec "$@"'
        self.wrapper = ("sh", "-c", join, "sh")
        self._hog: subprocess.Popen[bytes] | None = None

    def press(self) -> None:
        """Begin to want all of it."""
        line = bound_to_us(*self.wrapper, sys.executable, "-I", "-S", "-c", HOG)
        self._hog = subprocess.Popen(line, start_new_session=True)

    @property
    def kills(self) -> int:
        """How often the kernel had to kill somebody in the group."""
        for name in ("memory.oom_control", "memory.events"):
            with contextlib.suppress(FileNotFoundError):
                words = (self._group / name).read_text().split()
                return int(words[words.index("oom_kill") + 1])
        return 0

    def relieve(self) -> None:
        """End that."""
        if self._hog is not None:
            self._hog.kill()
            self._hog.wait()
            self._hog = None

    def close(self) -> None:
        """Remove the group; whoever is still in it is killed: that can only be the hog's child."""
        self.relieve()
        wait_until(self._is_removed, what=f"the removal of {self._group}")

    def _is_removed(self) -> bool:
        for pid in map(int, (self._group / "cgroup.procs").read_text().split()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
        with contextlib.suppress(OSError):
            self._group.rmdir()
        return not self._group.exists()
