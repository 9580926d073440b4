"""A leaf of the control group tree that holds the command, whatever it forks and however it daemonises.

It owns finding out whether we may have one, making it, killing what is in it, and removing it, also those that dead
guards left behind.  It must not know why anything is killed.  It never touches ``subtree_control``, so that no
resource control changes for anybody, and supervisor and guard stay outside.  It does not promise to catch a process
that somebody moves out of the leaf: the search of `process_tree` is for that.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import time

from zkleader.guard.system import close_quietly, read_proc

_NAME = re.compile(r"zkleader-[0-9]+-[0-9a-f]{8}")
"""Our leaves' names: supervisor's pid and chance.  Nothing else is ever taken for a stale one: others may have control
groups named after us too, such as a unit's."""

REMOVE_WITHIN = 0.5
"""Seconds to go on trying to remove a leaf: the kernel counts a process as its member a little beyond its end."""

REMOVE_RETRY = 0.002
"""Seconds between two tries."""

MAKE_TRIES = 3
"""A leaf may be taken for a stale one between its making and its locking; three times in a row it is not chance."""

DELEGATION_MARKS = ("user.delegate", "trusted.delegate")
"""Extended attributes by which systemd says that a control group is its service's own."""


class NoControlGroupError(Exception):
    """We may not have a leaf; the message is the reason."""


class Leaf:
    """A control group of our own, locked for as long as this object is open."""

    def __init__(self, path: str, directory: int) -> None:
        self.path = path
        self.directory = directory
        """The leaf itself: a child may be forked into it."""
        self.procs = os.open("cgroup.procs", os.O_WRONLY, dir_fd=directory)
        """Writing ``0`` here puts the writer into the leaf."""
        self.events = os.open("cgroup.events", os.O_RDONLY, dir_fd=directory)
        """Says POLLPRI when the leaf becomes empty, and when all of it is frozen."""
        self._freezer: int | None = None

    def hold_freezer(self) -> None:
        """Keep open what freezes the leaf, for the moment in which no file can be opened; nothing in it is frozen.

        Raises:
            NoControlGroupError: the kernel has none.
        """
        try:
            if self._freezer is None:
                self._freezer = os.open("cgroup.freeze", os.O_WRONLY, dir_fd=self.directory)
            self.freeze(frozen=False)  # one that is used again may be frozen still
        except OSError as error:
            raise NoControlGroupError(f"cannot use cgroup.freeze of {self.path}: {error.strerror}") from error

    def freeze(self, *, frozen: bool) -> None:
        """Have everything in the leaf and below it stand still, or go on; `is_frozen` says when it does.

        Raises:
            OSError: the kernel refuses.
        """
        assert self._freezer is not None, "only a leaf whose freezer is held can be frozen"
        os.pwrite(self._freezer, b"1" if frozen else b"0", 0)

    def is_frozen(self) -> bool:
        """Say whether everything in the leaf stands still, processes included that a signal has stopped."""
        return b"frozen 1" in os.pread(self.events, 4096, 0)

    def close(self) -> None:
        """Give up the lock."""
        for fd in (self.procs, self.events, self.directory):
            close_quietly(fd)
        if self._freezer is not None:
            close_quietly(self._freezer)


def make_leaf(supervisor_pid: int) -> Leaf:
    """Remove the stale leaves below our own control group, and make a new one there.

    Raises:
        NoControlGroupError: we may not, or the kernel is too old.
    """
    own = _find_delegated()
    remove_stale(own)
    return _make_below(own, supervisor_pid)


def make_again(path: str) -> Leaf | None:
    """Make the leaf of this path, which was removed; None when somebody has taken it for a stale one at that moment.

    Raises:
        NoControlGroupError: that is not possible any more.
    """
    try:
        for _ in range(MAKE_TRIES):
            with contextlib.suppress(FileExistsError):  # a process that somebody has moved there has kept it
                os.mkdir(path, 0o755)
            if (leaf := _lock_new(path)) is not None:
                return leaf
    except OSError as error:
        raise NoControlGroupError(f"cannot make {path} again: {error.strerror}") from error
    return None


def rehearse(*, freezes: bool = False) -> str:
    """Make a leaf and remove it again; return below which control group that was.  Nothing else is touched.

    ``freezes``: it has to be one that can be frozen.

    Raises:
        NoControlGroupError: we may not, or the kernel is too old.
    """
    own = _find_delegated()
    leaf = _make_below(own, os.getpid())
    try:
        if freezes:
            leaf.hold_freezer()
    finally:
        leaf.close()
        remove(leaf.path)
    return own


def _make_below(own: str, supervisor_pid: int) -> Leaf:
    for _ in range(MAKE_TRIES):
        path = f"{own}/zkleader-{supervisor_pid}-{os.urandom(4).hex()}"
        try:
            os.mkdir(path, 0o755)
            leaf = _lock_new(path)
        except OSError as error:
            raise NoControlGroupError(f"cannot make a control group below {own}: {error.strerror}") from error
        if leaf is None:
            continue
        # Without it members would have to be killed one by one, and a fork could outrun that: no better than a search.
        if not os.path.exists(f"{path}/cgroup.kill"):
            leaf.close()
            remove(path)
            raise NoControlGroupError("the kernel has no cgroup.kill (it came with Linux 5.14)")
        return leaf
    raise NoControlGroupError(f"every control group made below {own} was removed by somebody else")


def _lock_new(path: str) -> Leaf | None:
    """Open and lock a leaf just made; None when another guard took it for a stale one meanwhile."""
    # The race: between mkdir() and flock() the leaf is unlocked, and another guard that looks for stale ones may
    # lock and remove it.  Having the lock *and* finding the directory still linked means that it did not.
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
        if os.stat(path).st_ino == os.fstat(directory).st_ino:
            return Leaf(path, directory)
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError:
        close_quietly(directory)
        raise
    close_quietly(directory)
    return None


def remove_stale(own: str) -> None:
    """Kill what is in the leaves that no guard holds, and remove them.

    Their guards are dead, and so is the right of what they started to go on: a guard holds its lock until it ends.
    """
    try:
        names = [name for name in os.listdir(own) if _NAME.fullmatch(name)]
    except OSError:
        return
    for name in names:
        path = f"{own}/{name}"
        try:
            directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            continue
        try:
            fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The race: its guard has removed it since we opened it, and has made another one of this name.
            if os.stat(path).st_ino == os.fstat(directory).st_ino:
                kill(path)
                remove(path)
        except OSError:
            # Locked, so somebody's; or not ours to kill or remove.  Either way it does not concern this guard.
            continue
        finally:
            close_quietly(directory)


def members(path: str) -> list[int]:
    """Return the pids of the living processes in a leaf and below it."""
    # 0 stands for a process that our pid namespace does not show; it has no number to signal it by.
    return [pid for pid in _list_living(path) if pid != 0]


def is_inhabited(path: str) -> bool:
    """Say whether a living process is in a leaf or below it; populated without one, it is about to be empty."""
    return bool(_list_living(path))


def _list_living(path: str) -> list[int]:
    return [int(pid) for directory, _, _ in os.walk(path) for pid in read_proc(f"{directory}/cgroup.procs").split()]


def is_member(path: str, pid: int) -> bool:
    """Say whether this process is in a leaf or below it."""
    line = _unified_line(read_proc(f"/proc/{pid}/cgroup").decode("utf-8", "surrogateescape"))
    return line is not None and os.path.basename(path) in line.split("/")


def is_populated(path: str) -> bool:
    """Say whether any process, even a dying one, is in a leaf or below it; a leaf that is removed has none."""
    try:
        fd = os.open(f"{path}/cgroup.events", os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        return b"populated 0" not in os.read(fd, 4096)
    except OSError as error:
        # ENODEV: removed between open() and read(), which only an empty leaf can be.
        return error.errno != errno.ENODEV
    finally:
        os.close(fd)


def kill(path: str) -> None:
    """SIGKILL everything in a leaf and below it; one that forks meanwhile has its child killed too.

    Raises:
        OSError: the kernel refuses; that the leaf is gone is no error.
    """
    try:
        fd = os.open(f"{path}/cgroup.kill", os.O_WRONLY)
    except FileNotFoundError:
        return
    try:
        os.write(fd, b"1")
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
    finally:
        os.close(fd)


def remove(path: str, within: float = REMOVE_WITHIN) -> bool:
    """Remove an empty leaf, with what the command may have made below it; say whether it is gone."""
    give_up_at = time.monotonic() + within
    while True:
        for directory, _, _ in os.walk(path, topdown=False):
            try:
                os.rmdir(directory)
            except OSError:
                continue  # Populated for a little longer than its processes live: the next round is for that.
        if not os.path.exists(path):
            return True
        if time.monotonic() >= give_up_at:
            return False
        time.sleep(REMOVE_RETRY)


def _find_delegated() -> str:
    """Return the directory of the control group that we are in, if we may have leaves there."""
    own = _find_own()
    _check_delegation(own)
    return own


def _find_own() -> str:
    """Return the directory of the control group that we are in."""
    line = _unified_line(read_proc("/proc/self/cgroup").decode("utf-8", "surrogateescape"))
    if line is None:
        raise NoControlGroupError("the kernel has no control groups of version 2")
    for mount in read_proc("/proc/self/mountinfo").decode("utf-8", "surrogateescape").splitlines():
        # A hybrid system has version 2 at .../unified, and only the file system's type tells it from version 1.
        left, _, right = mount.partition(" - ")
        if right.split(" ")[0] != "cgroup2":
            continue
        fields = left.split(" ")
        root, point = _unescape(fields[3]).rstrip("/"), _unescape(fields[4])
        if line == root or line.startswith(root + "/"):
            return (point + line[len(root) :]).rstrip("/")
    raise NoControlGroupError("our control group is not below any mount that we see")


def _check_delegation(own: str) -> None:
    """Under systemd only a delegated control group is ours to make leaves in, even for root."""
    if not os.path.isdir("/run/systemd/system"):
        return
    for mark in DELEGATION_MARKS:
        try:
            if os.getxattr(own, mark) == b"1":
                return
        except OSError:
            continue
    raise NoControlGroupError("systemd has not delegated our control group (Delegate=yes)")


def _unified_line(content: str) -> str | None:
    """Return the path in the version 2 line of a /proc/<pid>/cgroup."""
    for line in content.splitlines():
        if line.startswith("0::"):
            return line.removeprefix("0::")
    return None


def _unescape(field: str) -> str:
    """Undo mountinfo's octal escapes of blanks and backslashes."""
    for escaped, plain in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escaped, plain)
    return field
