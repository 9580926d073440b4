"""The process that the guard is: what it was given, which signals cannot end it, and how it ends.

It owns signal dispositions and standard streams.  It must not know the command: the loop runs until nobody needs it.
It does not promise to survive SIGKILL; the supervisor is for that.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from _socket import socket

from zkleader.guard import system
from zkleader.guard.channel import Channel
from zkleader.guard.loop import STANDARD_ERROR, Guard
from zkleader.guard.settings import SENT_BY_OTHERS, GuardSettings

INTERNAL_ERROR = 70
"""Our exit status after a fault of our own, as in the supervisor's table."""


def main(arguments: list[str]) -> int:
    """Run a guard on the descriptors of its socket, its supervisor's pidfd and its settings; return its exit status."""
    control, supervisor, packed = (int(argument) for argument in arguments)
    for fd in (control, supervisor, packed):
        os.set_inheritable(fd, False)
    _hold_closed_streams()
    for number in (*SENT_BY_OTHERS, signal.SIGPIPE):
        signal.signal(number, signal.SIG_IGN)
    # They were blocked since before our first instruction; what came meanwhile has just been discarded.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    settings = GuardSettings.from_bytes(system.read_memory_file(packed))
    sys.path.extend(settings.search_path)
    system.become_subreaper()
    guard = Guard(settings, Channel(socket(fileno=control)), supervisor)
    # Off since our first lines; what is there now is kept out of it, or the first look through it would come while
    # COMMAND waits to be started.
    gc.freeze()
    gc.enable()
    try:
        return guard.run()
    except BaseException as error:  # noqa: BLE001 - whatever it is, the command must not outlive our judgement
        guard.end_after_fault(error)
        return INTERNAL_ERROR


def _hold_closed_streams() -> None:
    """Put something under the standard streams that we were started without.

    Else the next descriptor opened would get the number, and a line for standard error would go there.  Closed on exec,
    so that the command finds them closed as they were.
    """
    while True:
        fd = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        if fd > STANDARD_ERROR:
            os.close(fd)
            return
