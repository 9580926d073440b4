"""A network namespace: made, entered for a moment, and gone with the last one who holds it.

Nothing here has a name outside: a namespace lives as long as a descriptor of ours or a process in it. So there is
nothing to remove, also when the run is killed. Entering it moves the calling thread alone; what is started or opened
meanwhile (a process, a socket, a thread) belongs to the namespace for good.
"""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

CLONE_NEWNET = 0x40000000  # <sched.h>; Python has setns and unshare from 3.12 on
_LIBC = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """One network namespace."""

    def __init__(self) -> None:
        with _own() as ours:
            _call(_LIBC.unshare, CLONE_NEWNET)
            self._descriptor = _open_own()
            _call(_LIBC.setns, ours, CLONE_NEWNET)

    @property
    def path(self) -> str:
        """Where ip(8) finds it."""
        return f"/proc/{os.getpid()}/fd/{self._descriptor}"

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Have the calling thread in the namespace."""
        with _own() as before:
            _call(_LIBC.setns, self._descriptor, CLONE_NEWNET)
            try:
                yield
            finally:
                _call(_LIBC.setns, before, CLONE_NEWNET)

    def run(self, *command: str, given: str = "") -> str:
        """Run a command in it, with a text as its standard input; return what it wrote."""
        with self.entered():
            result = subprocess.run(command, input=given, capture_output=True, text=True, check=False, timeout=30)
        if result.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}: {result.stderr.strip()}\n{given}")
        return result.stdout

    def close(self) -> None:
        """Give it up."""
        os.close(self._descriptor)


@contextmanager
def _own() -> Iterator[int]:
    descriptor = _open_own()
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_own() -> int:
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def _call(function: object, *arguments: int) -> None:
    if function(*arguments) != 0:  # type: ignore[operator]
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
