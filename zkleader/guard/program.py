"""What a guard executes: the command or a hook, and in what the two differ.

It owns these differences.  It must not know how anything is executed (``spawn``), nor why or when.  It promises nothing
about what a shell makes of a hook.
"""

from __future__ import annotations

import signal

from zkleader.core.acts import Act
from zkleader.core.job import Place
from zkleader.core.value import Value
from zkleader.guard.settings import GuardSettings

SHELL = b"/bin/sh"
"""Runs hooks; and a file that is executable and has no format that the kernel knows, as execvp(3) does."""


class Program(Value):
    """One of them.

    A hook runs in a session of its own, so that no terminal can stop it or be upset by it, with nothing to read, and
    its standard output goes to our standard error: ours is the command's, and may be a pipe for its data.
    """

    argv: tuple[bytes, ...]
    executable: bytes
    is_hook: bool
    place: Place
    stop_signal: int
    start_within: float
    """Seconds since the sending of the last renewal that counts; later it is not executed."""


def program_of(act: Act, settings: GuardSettings) -> Program:
    """Return what is executed in an act."""
    timing = settings.timing
    if act is Act.COMMAND:
        return Program(
            argv=settings.argv,
            executable=settings.executable,
            is_hook=False,
            place=settings.place,
            stop_signal=settings.stop_signal,
            start_within=timing.stop_after,
        )
    script = settings.on_elected if act is Act.ON_ELECTED else settings.on_lost
    assert script is not None, "a hook that is not there is not run"
    return Program(
        argv=(SHELL, b"-c", script),
        executable=SHELL,
        is_hook=True,
        place=Place.APART,
        stop_signal=signal.SIGTERM,
        # On-lost has what a stop leaves of the time until SIGKILL, and gets no stop signal itself.
        start_within=timing.stop_after if act is Act.ON_ELECTED else timing.kill_after,
    )
