"""Orphans that the kernel hands to a supervisor that is PID 1: what a ``docker exec`` session left, or a dead guard.

It owns reaping them, so that no zombies gather for as long as the container lives.  It must not know the command: its
tree is the guard's, which is its subreaper.  It does not promise that a zombie is gone at once: SIGCHLD tells of it.
"""

from __future__ import annotations

import os
from collections.abc import Collection

from zkleader.guard.descendants import choose_lister


def reap_orphans(except_pids: Collection[int]) -> int:
    """Reap every child of ours that has ended, but for these, whose status somebody waits for; return their number.

    Call it on SIGCHLD, from the thread that does all other reaping.  ``waitpid(-1)`` would take the guard's status, and
    a look with WNOWAIT shows the guard's zombie for ever, and nothing behind it; so each child is asked by its pid.
    """
    # A child that ends, or is adopted, after the list was made raises SIGCHLD anew.
    children = choose_lister()(os.getpid(), recursive=False)
    return sum(_reap(pid) for pid in children if pid not in except_pids)


def _reap(pid: int) -> bool:
    try:
        reaped, _ = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return False  # No child of ours any more, or the kernel reaps: whoever started us had SIGCHLD ignored.
    return reaped == pid
