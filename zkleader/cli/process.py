"""The process that we are: what it was started with, and how it ends."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
from typing import NoReturn

from zkleader.core.value import Value
from zkleader.custody import Inherited
from zkleader.guard.handle import become_subreaper, note_children
from zkleader.inbox import Inbox
from zkleader.log import Log
from zkleader.supervisor import TAKEN, TAKEN_AS_FIRST

_PYTHON_IGNORES = frozenset({signal.SIGPIPE, signal.SIGXFSZ})
"""Python ignores them before our first line, so what they were cannot be known: the command gets the default."""


class Ending(Value):
    """How to end: with a status, or, where the command died of a signal, of the same."""

    status: int
    signal: int | None = None


def take_over() -> tuple[Inherited, Inbox]:
    """Take signals from now on; return what we were started with, and where they arrive."""
    _open_standard_streams()
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    ignored = tuple(
        int(number) for number in signal.valid_signals() - _PYTHON_IGNORES if signal.getsignal(number) is signal.SIG_IGN
    )
    inbox = Inbox()
    wanted = TAKEN_AS_FIRST if os.getpid() == 1 else TAKEN
    taken = tuple(number for number in wanted if number not in ignored)  # what nohup ignores stays ignored
    inbox.take_signals(taken)
    # Whoever started us may have blocked them; the command gets the mask as it was.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, taken)
    become_subreaper()
    children = note_children()
    return Inherited(ignored_signals=ignored, signal_mask=tuple(map(int, mask)), children=children), inbox


def _open_standard_streams() -> None:
    """Fill standard streams that were closed: a socket of ours under number 2 would be given log lines."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free number is this one, because those below it are open.
            opened = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(opened, True)


def end(ending: Ending, log: Log, patience: float) -> NoReturn:
    """End this process, of the command's signal where it died of one; the log gets so many seconds."""
    log.close(patience)
    if ending.signal is not None:
        _die_of(ending.signal)
    # Not sys.exit(): a thread of kazoo's that is stuck in a black hole must not hold the process.
    os._exit(ending.status)


def _die_of(number: int) -> None:
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core of ours would tell nothing of the command's
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
        # As PID 1 we survive this, and exit with 128 + n instead.
        os.kill(os.getpid(), number)
