"""The supervisor's side of its guard: execute it, talk with it, and end everything when it has failed.

It owns the guard as a child process and this end of their socket.  It must not know leases or candidacies, and starts
no command itself.  It does not promise that the guard lives: a beat that is answered tells that, nothing else.

One guard is one tenure or one wait for it.  For another, end this one, prove its command gone, and spawn anew.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import socket
import sys
import time

from zkleader.core import wire
from zkleader.core.value import Value
from zkleader.guard import process_tree, system
from zkleader.guard.channel import Channel
from zkleader.guard.descendants import Noted, note_children
from zkleader.guard.reserve import Reserve
from zkleader.guard.settings import SENT_BY_OTHERS, GuardSettings
from zkleader.guard.system import become_subreaper

__all__ = ["Ending", "GuardGoneError", "GuardHandle", "Noted", "become_subreaper", "end_everything", "note_children"]

FIRST_FREE_FD = 3
"""Descriptors lie above the standard streams, even where those were closed and so their numbers are free: what somebody
writes to standard error must not go to the guard."""

PAUSE_SHORTEST = 0.001
"""Seconds between the first passes of SIGKILL over what a dead guard has left; they double up to the longest."""

PAUSE_LONGEST = 0.05


class GuardGoneError(Exception):
    """The guard has ended, or its end of the socket is closed."""


class Ending(Value):
    """What ending everything came to."""

    proven: bool
    """Whether nothing of the command is left, the guard included; if not, do not release."""
    killed: int
    """How many living processes the first pass of SIGKILL met, the guard not counted."""
    seconds: float
    """How long it took."""


class GuardHandle:
    """One guard, from its execution to its end."""

    def __init__(self, pid: int, channel: Channel) -> None:
        self.pid = pid
        # Not reaped yet, so the number is still its own.
        self.pidfd = _raise_above_streams(os.pidfd_open(pid))
        """Readable when the guard has ended."""
        self.wait_status: int | None = None
        """The guard's, raw, once it is reaped."""
        self.ready: wire.Ready | None = None
        """What it said first, once that was received."""
        self._channel = channel
        self.reserve = Reserve()
        """What ending everything by ourselves may take."""

    @classmethod
    def spawn(cls, settings: GuardSettings) -> GuardHandle:
        """Execute a guard; it says `Ready` when it stands.

        Safe beside other threads: nothing of ours runs between fork and exec, and no descriptor is inheritable at any
        time.  Call `note_children` and `become_subreaper` before the first.

        Raises:
            OSError: it cannot be executed.
        """
        ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        given = [
            _raise_above_streams(its.detach()),
            _raise_above_streams(os.pidfd_open(os.getpid())),
            _raise_above_streams(system.create_memory_file("zkleader-guard", settings.to_bytes())),
        ]
        package = os.path.dirname(os.path.abspath(__file__))
        try:
            pid = os.posix_spawn(
                sys.executable,
                [sys.executable, "-I", "-S", f"{package}/__main__.py", *map(str, given)],
                os.environ,
                # Onto themselves: this is how posix_spawn is told to keep descriptors that are closed on exec.
                file_actions=[(os.POSIX_SPAWN_DUP2, fd, fd) for fd in given],
                # A group of its own, so that Ctrl-C and Ctrl-Z do not reach it.
                setpgroup=0,
                setsigmask=SENT_BY_OTHERS,
                setsigdef=[signal.SIGCHLD],
            )
        except OSError:
            ours.close()
            raise
        finally:
            for fd in given:
                os.close(fd)
        return cls(pid, Channel(socket.socket(fileno=_raise_above_streams(ours.detach()))))

    def fileno(self) -> int:
        """Return the socket's descriptor: poll it for POLLIN, and for POLLOUT while `wants_write`."""
        return self._channel.fileno()

    @property
    def closed(self) -> bool:
        """Whether the guard's end is closed; what it had said before was all received."""
        return self._channel.closed

    @property
    def wants_write(self) -> bool:
        """Whether a message waits for room in the socket; call `flush` when there is."""
        return self._channel.wants_write

    def send(self, message: wire.Message) -> None:
        """Send, or queue if the guard does not read; never waits.  Beats are dropped rather than queued.

        Raises:
            GuardGoneError: the socket is known to be closed.
        """
        if self._channel.closed:
            raise GuardGoneError(f"the guard (pid {self.pid}) has ended")
        self._channel.send(message)

    def flush(self) -> None:
        """Send what waits, as far as there is room."""
        self._channel.flush()

    def receive(self) -> list[wire.Message]:
        """Return everything that has arrived; never waits.  Look at `closed` afterwards.

        Raises:
            MalformedMessageError: the other end is no guard of ours.
        """
        if self._channel.closed:
            return []
        messages = self._channel.receive()
        for message in messages:
            if isinstance(message, wire.Ready):
                self.ready = message
        return messages

    @property
    def leaf(self) -> str | None:
        """The path of the command's control group; None when the guard has none, or has not said so yet."""
        return self.ready.detail if self.ready is not None and self.ready.scope == "cgroup" else None

    def kill(self) -> None:
        """SIGKILL the guard; PDEATHSIG takes the command's first process with it."""
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def reap(self, within: float) -> bool:
        """Wait so many seconds for the guard's end, reap it, and say whether it has ended."""
        if self.wait_status is not None:
            return True
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(max(0.0, within) * 1000):
            return False
        try:
            _, self.wait_status = os.waitpid(self.pid, os.WNOHANG)
        except ChildProcessError:
            # Reaped by whoever else waits for any child, as a supervisor that is PID 1 does: its end is as sure.
            self.wait_status = 0
        return True

    def hang_up(self) -> None:
        """Close the socket: the guard takes this for our death, ends the command and releases."""
        self._channel.close()

    def close(self) -> None:
        """Close our descriptors.  A guard that still lives takes this for our death."""
        self._channel.close()
        self.reserve.give_up()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def end_everything(guard: GuardHandle, *, noted: frozenset[Noted], within: float) -> Ending:
    """End a guard that was killed, is frozen or has failed, and everything of its command; wait for the proof.

    The caller is the subreaper of both, and no other thread of it forks or reaps meanwhile.  ``noted`` are its children
    from before it spawned its first guard: they, and what they fork, are left alone.  Takes at most ``within`` seconds,
    plus one look at the processes; the guard's last messages can still be received afterwards.
    """
    began = time.monotonic()
    guard.reserve.give_up()
    # The guard first: as long as it lives it may be starting something.  A SIGKILLed process runs none of its own code
    # any more, so everything that it will ever have forked is there once it is reaped.
    guard.kill()
    guard.reap(within / 2)
    scope: process_tree.SearchScope
    scope = process_tree.CgroupScope(guard.leaf, noted=noted) if guard.leaf else process_tree.SearchScope(noted=noted)
    killed: int | None = None
    pause = PAUSE_SHORTEST
    while True:
        met = scope.kill()
        killed = met if killed is None else killed
        reaping = scope.reap()
        if guard.wait_status is None:
            guard.wait_status = dict(reaping.ended).get(guard.pid)
        # Childless says that the guard is gone too: it is our child and nobody has noted it.
        proven = reaping.childless and scope.is_unpopulated()
        left = began + within - time.monotonic()
        if proven or left <= 0:
            break
        time.sleep(min(pause, left))
        pause = min(2 * pause, PAUSE_LONGEST)
    if proven:
        scope.close()
    return Ending(proven=proven, killed=killed, seconds=time.monotonic() - began)


def _raise_above_streams(fd: int) -> int:
    """Return the same file under a number that cannot be taken for a standard stream, closed on exec."""
    if fd >= FIRST_FREE_FD:
        return fd
    raised = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, FIRST_FREE_FD)
    os.close(fd)
    return int(raised)
