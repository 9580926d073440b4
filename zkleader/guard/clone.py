"""Forking straight into a control group, which Python has no call for.

It owns the system call ``clone3`` and the form of its arguments.  It must not know what the child is for.  It does not
promise that the kernel offers it: it came with Linux 5.7, and sandboxes refuse it; the caller then forks in the common
way and has the child join by itself.
"""

from __future__ import annotations

import ctypes
import os
import signal

_SYS_CLONE3 = 435
"""The same number on every architecture."""
_CLONE_INTO_CGROUP = 0x2_0000_0000

# PyDLL and not CDLL: the call keeps the interpreter's lock, so the child returns from it holding it.
_syscall = ctypes.PyDLL(None, use_errno=True).syscall
_syscall.restype = ctypes.c_long


class _CloneArguments(ctypes.Structure):
    """``struct clone_args`` as of Linux 5.7 (clone3(2)); what is not set is 0."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


def fork_into(cgroup_directory: int) -> int:
    """Fork a child that begins its life in a control group; return its pid, or 0 in it.

    Joining after a fork, by writing to ``cgroup.procs``, makes the kernel wait for a grace period: 8 to 20 ms
    were measured, on the way of every start and hand-over, against 2 ms for this.  Python and glibc know nothing of the
    child (no fork handlers run, and the cached thread id is the parent's), so it must do little and execute soon.
    The caller must be single-threaded.

    Raises:
        OSError: the kernel refuses; no child exists then.
    """
    arguments = _CloneArguments(flags=_CLONE_INTO_CGROUP, exit_signal=signal.SIGCHLD, cgroup=cgroup_directory)
    pid = int(_syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.c_size_t(ctypes.sizeof(arguments))))
    if pid < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return pid
