"""The few things that the guard needs of the kernel and that Python does not hand out as they are.

It owns the reading of clocks, ``prctl``, ``/proc/<pid>/stat``, memory files and the C library's own signals; tests
replace it here.  It knows no command and no lease, and does not promise that what it has read is still true.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import sys
import time
from typing import NamedTuple

from zkleader.core.lease import Instant

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36

# Loaded here and not where it is used: dlopen() between fork and exec would take locks and time.
_library = ctypes.CDLL(None, use_errno=True)
_prctl = _library.prctl
_syscall = _library.syscall

_RESERVED_SIGNALS = (32, 33)
"""The C library keeps them to itself: no call of its own changes their disposition, but its posix_spawn, by which the
guard is executed, has them ignored."""

_SYS_RT_SIGACTION = {
    "x86_64": 13,
    "aarch64": 134,
    "riscv64": 134,
    "loongarch64": 134,
    "ppc64le": 173,
    "s390x": 174,
}.get(os.uname().machine if sys.maxsize > 1 << 32 else "")
"""The system call's number by machine; where it is not known those signals stay as they are, which does little harm."""

_DEFAULT_ACTION = bytes(32)
"""The kernel's ``struct sigaction``, whatever the order of its four words: SIG_DFL, no flags, an empty mask."""

_SIGNAL_SET_BYTES = 8


def now() -> Instant:
    """Read the clocks."""
    return Instant(
        monotonic=time.clock_gettime(time.CLOCK_MONOTONIC),
        raw=time.clock_gettime(time.CLOCK_MONOTONIC_RAW),
        boottime=time.clock_gettime(time.CLOCK_BOOTTIME),
    )


def become_subreaper() -> None:
    """Make every orphan among our descendants our child, so that none can leave unseen.

    Raises:
        OSError: the kernel refuses.
    """
    _call_prctl(PR_SET_CHILD_SUBREAPER, 1)


def set_parent_death_signal(number: int) -> None:
    """Have the kernel send us this signal when the thread that forked us ends; the parent may be gone already.

    Raises:
        OSError: the kernel refuses.
    """
    _call_prctl(PR_SET_PDEATHSIG, number)


def reset_reserved_signals() -> None:
    """Give the C library's own signals their default disposition, as every other program finds them."""
    if _SYS_RT_SIGACTION is None:
        return
    for number in _RESERVED_SIGNALS:
        _syscall(
            ctypes.c_long(_SYS_RT_SIGACTION),
            ctypes.c_long(number),
            ctypes.c_char_p(_DEFAULT_ACTION),
            None,
            ctypes.c_size_t(_SIGNAL_SET_BYTES),
        )


def _call_prctl(option: int, value: int) -> None:
    if _prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class ProcessStatus(NamedTuple):
    """What ``/proc/<pid>/stat`` says of a process."""

    state: str
    """One letter; ``Z`` a zombie, ``T`` stopped by a signal, ``t`` by a tracer."""
    parent: int
    group: int
    start: int
    """In clock ticks since the host started: with the pid it names a process for good."""

    @property
    def is_stopped(self) -> bool:
        """Whether somebody has stopped it, and may let it go on."""
        return self.state in "Tt"


def process_status(pid: int) -> ProcessStatus | None:
    """Return what the kernel says of a process; None when there is none."""
    content = read_proc(f"/proc/{pid}/stat")
    # The name in parentheses may itself hold blanks and parentheses; nothing behind the last one does.
    fields = content[content.rfind(b")") + 2 :].split()
    if not fields:
        return None
    return ProcessStatus(state=fields[0].decode(), parent=int(fields[1]), group=int(fields[2]), start=int(fields[19]))


def read_proc(path: str) -> bytes:
    """Return a small kernel file; empty when what it describes is gone or hidden."""
    try:
        fd = os.open(path, os.O_RDONLY)
    except OSError:
        return b""
    try:
        content = b""
        while part := os.read(fd, 65536):
            content += part
    except OSError:
        # A process that ends while it is read gives ESRCH: it is gone, as if it had not been opened.
        return b""
    else:
        return content
    finally:
        os.close(fd)


def create_memory_file(name: str, content: bytes) -> int:
    """Return a descriptor, closed on exec, of a file that exists in memory only; it may be longer than a pipe holds."""
    fd = os.memfd_create(name, os.MFD_CLOEXEC)
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(fd, rest) :]
    return fd


def read_memory_file(fd: int) -> bytes:
    """Return the content of a memory file, wherever its offset stands, and close it."""
    try:
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def close_quietly(fd: int) -> None:
    """Close a descriptor whose work is done; that it is closed already changes nothing."""
    with contextlib.suppress(OSError):
        os.close(fd)


def is_ready(fd: int, events: int) -> bool:
    """Say whether poll() would return at once; select() could not take every descriptor number."""
    poll = select.poll()
    poll.register(fd, events)
    return bool(poll.poll(0))
