"""The terminal that we were started on: what place the command has there, and who is in the foreground.

It owns the few calls that look at the terminal and hand it over.  It must not decide when: that is ``core.job``'s.  A
terminal may be closed at any time, and nothing here minds; only that the shell's own modes are its own to restore.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat

from zkleader.core.job import Foreground, Place, place_of
from zkleader.core.value import Value
from zkleader.guard import system


class Terminal(Value):
    """What was found at the start."""

    place: Place
    group: int
    """Our process group."""
    descriptor: int | None = None
    """The terminal, whatever our standard streams are."""

    def foreground(self, command_group: int | None) -> Foreground:
        """Say whose group is in the foreground now."""
        group = _foreground_group(self.descriptor)
        if group is None:
            return Foreground.OTHERS
        if group == self.group:
            return Foreground.OURS
        return Foreground.COMMANDS if group == command_group else Foreground.OTHERS

    def has_left(self, pid: int) -> bool:
        """Say whether a process has left our group, as ``setsid`` does; one that has ended has not."""
        try:
            return os.getpgid(pid) != self.group
        except OSError:
            return False

    def give(self, command_group: int) -> None:
        """Put the command in the foreground, and continue it."""
        self._set_foreground_group(command_group)
        # The race: a Ctrl-Z between the two meets a stopped command and is dropped by the kernel, as under every shell.
        _continue(command_group)

    def continue_group(self) -> None:
        """Continue everything in our group."""
        _continue(self.group)

    def take(self, command_group: int | None) -> None:
        """Take the foreground back from the command, or from what it has put there and is gone; from nobody else."""
        if self.place is not Place.FOREGROUND:
            return
        group = _foreground_group(self.descriptor)
        # The race: in the background, a job of the shell's may just have ended and the shell take the terminal after
        # this look.  It would have to happen in the same microseconds as our command's end.
        if group is not None and group != self.group and (group == command_group or not _exists(group)):
            self._set_foreground_group(self.group)

    def _set_foreground_group(self, group: int) -> None:
        # From the background this would stop us, were SIGTTOU not ignored.  It fails when the terminal was closed, or
        # the group is gone: then there is nobody to be given it.
        if self.descriptor is not None:
            with contextlib.suppress(OSError):
                os.tcsetpgrp(self.descriptor, group)


def look() -> Terminal:
    """Look at what we were started on; call it first of all, before there are processes of ours."""
    group = os.getpgrp()
    descriptor = _open_terminal()
    place = place_of(
        has_terminal=descriptor is not None,
        # Of another terminal than our own it cannot be asked.
        reads_terminal=_foreground_group(0) is not None,
        is_alone=descriptor is None or _is_alone(group),
    )
    return Terminal(place=place, group=group, descriptor=descriptor)


def be_undisturbed() -> None:
    """Let us write to a terminal and hand it over from the background, where others are stopped for that.

    A log line must not stop the supervisor, whatever ``stty tostop`` says; nor must a command in our group that reads:
    the terminal then stops the whole group.
    """
    signal.signal(signal.SIGTTOU, signal.SIG_IGN)
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)


def stop_ourselves() -> None:
    """Stop this process until it is continued; return at once where nobody could do that (an orphaned group)."""
    # Sent to this thread: another one waits for the signal that users send.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTSTP})
    signal.raise_signal(signal.SIGTSTP)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTSTP})


def _open_terminal() -> int | None:
    try:
        # A serial line without a carrier would have us wait for one.
        return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None


def _is_alone(group: int) -> bool:
    """Say whether our process group is ours alone.

    The race: a shell that builds a pipeline forks us first, and the others may not be there yet.  A standard stream
    that is a pipe tells that they come; to share the group with nobody does no harm.
    """
    if group != os.getpid() or any(_is_pipe(descriptor) for descriptor in (0, 1, 2)):
        return False
    others = (int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != group)
    statuses = (system.process_status(pid) for pid in others)
    return not any(status is not None and status.group == group and status.state != "Z" for status in statuses)


def _is_pipe(descriptor: int) -> bool:
    try:
        mode = os.fstat(descriptor).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _foreground_group(descriptor: int | None) -> int | None:
    """Return the foreground group of our terminal, None if this is not it or it was closed."""
    if descriptor is None:
        return None
    try:
        return os.tcgetpgrp(descriptor)
    except OSError:
        return None


def _continue(group: int) -> None:
    with contextlib.suppress(OSError):  # everything in it has ended
        os.killpg(group, signal.SIGCONT)


def _exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True
