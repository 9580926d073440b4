"""Who descends from whom: the two ways to ask the kernel, and the processes that are to be left out.

It owns the choice between them, and psutil, which only the slower one needs.  It must not know what is done with whom
it finds.  It does not promise that a list is complete or still true: processes fork and end while it is made.
"""

from __future__ import annotations

import os
from typing import NamedTuple, Protocol

from zkleader.guard.system import process_status, read_proc


class Noted(NamedTuple):
    """A process that is not the command's, named so that a later one with its pid is not taken for it."""

    pid: int
    start: int


class Lister(Protocol):
    """The way to list processes by their parents."""

    def __call__(self, pid: int, *, recursive: bool) -> list[int]:
        """Return the children of a process, or all its descendants; none when it is gone."""


def list_by_task(pid: int, *, recursive: bool) -> list[int]:
    """Read the kernel's own lists, which cost what the tree is large and not what the host is."""
    found: list[int] = []
    seen: set[int] = set()
    unvisited = [pid]
    while unvisited:
        parent = unvisited.pop()
        try:
            threads = os.listdir(f"/proc/{parent}/task")
        except OSError:
            continue
        for thread in threads:
            # A process that is given another parent while we look may turn up twice.
            children = [int(child) for child in read_proc(f"/proc/{parent}/task/{thread}/children").split()]
            fresh = [child for child in children if child not in seen]
            seen.update(fresh)
            found += fresh
            if recursive:
                unvisited += fresh
    return found


def load_psutil_lister() -> Lister:
    """Return the way for a kernel built without CONFIG_PROC_CHILDREN: a look at every process of the host.

    Raises:
        ImportError: psutil is not there.
    """
    import psutil  # noqa: PLC0415 - 20 ms that only such a kernel costs

    def list_with_psutil(pid: int, *, recursive: bool) -> list[int]:
        try:
            return [child.pid for child in psutil.Process(pid).children(recursive=recursive)]
        except psutil.Error:
            return []

    return list_with_psutil


def choose_lister() -> Lister:
    """Return the way that this kernel offers; ask before the command starts, an upgrade may take psutil's files away.

    Raises:
        ImportError: it would take psutil, which is not there.
    """
    offered = os.path.exists(f"/proc/self/task/{os.getpid()}/children")
    return list_by_task if offered else load_psutil_lister()


def note_children() -> frozenset[Noted]:
    """Return the children that we have now: what they become is not the command's."""
    statuses = ((pid, process_status(pid)) for pid in choose_lister()(os.getpid(), recursive=False))
    return frozenset(Noted(pid, status.start) for pid, status in statuses if status is not None)
