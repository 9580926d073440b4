"""Everything that the command has become: finding it, signalling it, killing it, and the proof that it is gone.

It owns both ways of doing that (a control group, a search of descendants) for whoever is the subreaper of the command:
the guard, or the supervisor once its guard is dead.  It must not know why or when.  It does not promise to end a
process in uninterruptible sleep, nor, without a control group, one that became another user's; it then never says
that the tree is gone.

Proof is what ``waitpid`` says: ECHILD in the subreaper, because every orphan below it becomes its child.  A search that
finds nothing proves nothing, for a process may fork and end between two looks.  The leaf must be unpopulated as well.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from typing import NamedTuple

from zkleader.guard import cgroup
from zkleader.guard.descendants import Lister, Noted, choose_lister
from zkleader.guard.system import ProcessStatus, process_status


class Reaping(NamedTuple):
    """What one round of reaping found."""

    ended: list[tuple[int, int]]
    """Pid and raw wait status of each child that was reaped."""
    childless: bool
    """Proof that no child is left but those noted."""


class SearchScope:
    """The command found by searching our descendants; we are their subreaper."""

    kind = "search"

    def __init__(
        self, *, noted: frozenset[Noted] = frozenset(), detail: str = "", lister: Lister | None = None
    ) -> None:
        self.detail = detail
        """Why there is no control group, or the path of the one there is."""
        self.refused: set[int] = set()
        """Processes that may not be signalled by us: they became another user's."""
        self._noted = noted
        self._root = os.getpid()
        self._list = lister or choose_lister()

    def send(self, number: int, group: int | None) -> int:
        """Signal everything of the command once, and return how many living processes that were.

        ``group`` is the command's own process group while its first process is not reaped: only so long can nobody
        else have it; None where it shares one with others.  It is signalled as one, which no fork can escape; every
        other process by itself.
        """
        reached = self._find()
        count = 0
        if group is not None:
            self._send_to_group(number, group)
            inside = [pid for pid, status in reached.items() if status.group == group]
            count += sum(reached.pop(pid).state != "Z" for pid in inside)
        return count + self._send_each(number, reached)

    def send_to_members(self, number: int, group: int) -> bool:
        """Signal those of the command in a process group that others share, each by itself; False if one may not be."""
        self._send_each(number, {pid: status for pid, status in self._find().items() if status.group == group})
        return not self.refused

    def kill(self) -> int:
        """Make one pass of SIGKILL over everything of the command, and return how many living processes it met."""
        return self._send_each(signal.SIGKILL, self._find())

    def reap(self) -> Reaping:
        """Reap every child that has ended, and say whether none is left."""
        ended: list[tuple[int, int]] = []
        if not self._noted:
            while True:
                try:
                    pid, status = os.waitpid(-1, os.WNOHANG)
                except ChildProcessError:
                    return Reaping(ended, childless=True)
                if pid == 0:
                    return Reaping(ended, childless=False)
                ended.append((pid, status))
        # Children that are not the command's keep waitpid() from ever saying ECHILD, and their ends are not ours to
        # take.  The kernel appends orphans at the end of our list of children, and a reading of it misses an entry
        # only if one before it is taken away meanwhile; nobody but this thread reaps.  So a list that shows only noted
        # ones, twice, was complete.
        for _ in range(2):
            others = self._unnoted_children()
            for pid in others:
                try:
                    reaped, status = os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    continue
                if reaped:
                    ended.append((pid, status))
            if others:
                return Reaping(ended, childless=False)
        return Reaping(ended, childless=True)

    def is_unpopulated(self) -> bool:
        """Say whether the control group, if there is one, has no process."""
        return True

    def is_inhabited(self) -> bool:
        """Say whether a process lives in the control group; the kernel calls it populated for a little longer."""
        return False

    def renew(self) -> cgroup.Leaf | None:
        """Make anew, for what is started next, what was made for a command that is gone; return the leaf to join."""
        self.refused.clear()
        return None

    def close(self) -> bool:
        """Give up what was made for the command, once it is gone; False when it could not be removed."""
        return True

    def _find(self) -> dict[int, ProcessStatus]:
        """Return what is found of the command, zombies included: a leader that has ended may have living threads."""
        if self._noted:
            children = self._unnoted_children()
            pids = [*children, *(pid for child in children for pid in self._list(child, recursive=True))]
        else:
            pids = self._list(self._root, recursive=True)
        family = {self._root, *pids}
        # A pid listed a moment ago may be a stranger's by now; a stranger's parent is none of ours.
        return {pid: status for pid, status in self._statuses(pids) if status.parent in family}

    def _unnoted_children(self) -> list[int]:
        children = self._list(self._root, recursive=False)
        return [pid for pid in children if not self._is_noted(pid)] if self._noted else children

    def _is_noted(self, pid: int) -> bool:
        status = process_status(pid)
        return status is not None and Noted(pid, status.start) in self._noted

    def _statuses(self, pids: Iterable[int]) -> Iterable[tuple[int, ProcessStatus]]:
        for pid in pids:
            status = process_status(pid)
            if status is not None:
                yield pid, status

    def _send_each(self, number: int, reached: dict[int, ProcessStatus]) -> int:
        return sum(self._send_to_one(number, pid, seen) for pid, seen in reached.items())

    def _send_to_one(self, number: int, pid: int, seen: ProcessStatus) -> bool:
        """Signal one process; True if it was alive.

        The race: a descendant that is not our child is reaped by its own parent, and its pid may be a stranger's by
        now.  A pidfd opened first holds on to whoever has the pid; only if that one started when the one found did is
        it the same.
        """
        try:
            pidfd = os.pidfd_open(pid)
        except ProcessLookupError:
            return False
        try:
            status = process_status(pid)
            if status is None or status.start != seen.start:
                return False
            signal.pidfd_send_signal(pidfd, number)
        except ProcessLookupError:
            return False
        except PermissionError:
            self.refused.add(pid)
            return True
        else:
            return status.state != "Z"
        finally:
            os.close(pidfd)

    def _send_to_group(self, number: int, group: int) -> None:
        try:
            os.killpg(group, number)
        except ProcessLookupError:
            pass
        except PermissionError:
            # Not one member could be signalled; those that are found are counted one by one.
            self.refused.add(group)


class CgroupScope(SearchScope):
    """The command found in a leaf of the control group tree, and by searching too: it may have moved processes out."""

    kind = "cgroup"

    def __init__(self, path: str, *, leaf: cgroup.Leaf | None = None, noted: frozenset[Noted] = frozenset()) -> None:
        super().__init__(noted=noted, detail=path)
        self._path = path
        self._leaf = leaf
        """None for the supervisor, which only ends what its guard's command has left."""

    def kill(self) -> int:
        """Kill the leaf as one, which no fork can escape, then whatever is found outside it."""
        inside = cgroup.members(self._path)
        try:
            cgroup.kill(self._path)
        except OSError:
            # The kernel refuses for a leaf that its members made a threaded one; they are killed as a search would.
            inside = []
        reached = self._find()
        for pid in inside:
            reached.pop(pid, None)
        return len(inside) + self._send_each(signal.SIGKILL, reached)

    def is_unpopulated(self) -> bool:
        """Say whether the leaf has no process."""
        return not cgroup.is_populated(self._path)

    def is_inhabited(self) -> bool:
        """Say whether a process lives in the leaf."""
        return cgroup.is_inhabited(self._path)

    def renew(self) -> cgroup.Leaf | None:
        """Remove the leaf, and make one of the same path: the supervisor knows it by that."""
        super().renew()
        # The race: another guard looks for stale leaves, and kills in what it can lock.  So the lock is kept until the
        # leaf is gone.  One that stays has a process that somebody has moved there: then we go on in it.
        is_removed = cgroup.remove(self._path)
        if self._leaf is not None and not is_removed:
            return self._leaf
        if self._leaf is not None:
            self._leaf.close()
        try:
            self._leaf = cgroup.make_again(self._path)
        except cgroup.NoControlGroupError:
            self._leaf = None  # what is not in a leaf is searched for, as everywhere
        return self._leaf

    def close(self) -> bool:
        """Remove the leaf, and what guards have left that died since we were started."""
        if self._leaf is not None:
            self._leaf.close()
            self._leaf = None
        removed = cgroup.remove(self._path)
        cgroup.remove_stale(os.path.dirname(self._path))
        return removed

    def _find(self) -> dict[int, ProcessStatus]:
        found = super()._find()
        # A pid read from the leaf may be a stranger's by the time it is looked at; so its membership is asked last.
        for pid, status in self._statuses(pid for pid in cgroup.members(self._path) if pid not in found):
            if cgroup.is_member(self._path, pid):
                found[pid] = status
        return found


def open_scope(supervisor_pid: int, *, search_only: bool) -> tuple[SearchScope, cgroup.Leaf | None]:
    """Return the best scope that we may have, and the leaf to join before executing the command."""
    if search_only:
        return SearchScope(detail="searching was asked for"), None
    try:
        leaf = cgroup.make_leaf(supervisor_pid)
    except cgroup.NoControlGroupError as error:
        return SearchScope(detail=str(error)), None
    return CgroupScope(leaf.path, leaf=leaf), leaf
