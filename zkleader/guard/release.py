"""Starting the program that releases in a dead or frozen supervisor's place.

It owns how that program is executed and what it is given.  It must not know ZooKeeper: the program imports that, and
only then, so that the guard stays small.  It does not promise that a release succeeds; the lease runs out without one.
"""

from __future__ import annotations

import json
import os
import signal
import sys

from zkleader.guard.settings import GuardSettings
from zkleader.guard.system import create_memory_file


class Release:
    """A release program that was started."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.released = False
        """Whether it said, by its status, that it has released."""

    def abandon(self) -> None:
        """SIGKILL it.  The caller has not reaped it, so its pid is still its own."""
        os.kill(self.pid, signal.SIGKILL)


def start(settings: GuardSettings, guid: str) -> Release:
    """Execute the program; it is our child, and its status 0 means released.

    Raises:
        OSError: it cannot be executed.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    program = settings.release_program or f"{package}/zk/release.py"
    content = {
        **settings.release,
        "guid": guid,
        "timing": settings.timing.as_dict(),
        "search_path": list(settings.search_path),
    }
    # In memory, not in arguments or environment: it holds what authenticates us.
    information = create_memory_file("zkleader-release", json.dumps(content).encode("ascii"))
    try:
        pid = os.posix_spawn(
            sys.executable,
            [sys.executable, "-I", "-S", program, str(information)],
            os.environ,
            file_actions=[
                # Nothing of ours ever reads the command's input or writes to its output.
                (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
                # Onto itself: this is how posix_spawn is told to keep a descriptor that is closed on exec.
                (os.POSIX_SPAWN_DUP2, information, information),
            ],
            setsigdef=[signal.SIGCHLD, signal.SIGPIPE],
        )
    finally:
        os.close(information)
    return Release(pid)
