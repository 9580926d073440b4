"""How the guard starts the command or a hook: fork, put the child into the state that the command expects, execute.

It owns everything between fork and exec, and the pipe that tells how it went.  It must not know what follows from that.
It does not promise that a command that was executed got far: one killed between the last word and exec looks the same.

The caller is single-threaded, so the child may run Python; no signal is delivered in the child before its dispositions
are the command's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal

from zkleader.core.disconnect import OnDisconnect
from zkleader.core.job import Place
from zkleader.core.lease import Instant
from zkleader.core.value import Value
from zkleader.guard import system
from zkleader.guard.cgroup import Leaf
from zkleader.guard.clone import fork_into
from zkleader.guard.program import SHELL, Program
from zkleader.guard.settings import GuardSettings, to_raw

_LATE = b"late\n"
_NOT_JOINED = b"join "
_NOT_EXECUTED = b"exec "

STANDARD_INPUT, STANDARD_OUTPUT, STANDARD_ERROR = 0, 1, 2


class Verdict(Value):
    """How a start went."""

    late: bool = False
    """The stop signal was due before exec."""
    exec_errno: int | None = None
    """Why exec failed."""
    join_errno: int | None = None
    """Why the control group could not be joined; the command runs all the same, and has to be searched for."""

    @property
    def executed(self) -> bool:
        """Whether the command was executed."""
        return not self.late and self.exec_errno is None


class Starting:
    """A child on its way to exec."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pipe = pipe
        self._said = b""

    def fileno(self) -> int:
        """Return the descriptor for poll()."""
        return self._pipe

    def read(self) -> Verdict | None:
        """Return how it went; None while that is open.  Never waits."""
        while True:
            try:
                part = os.read(self._pipe, 4096)
            except BlockingIOError:
                return None
            if not part:
                break
            self._said += part
        os.close(self._pipe)
        # End of file without a word: exec has closed the child's end.
        numbers: dict[bytes, int] = {}
        for line in self._said.splitlines():
            for word in (_NOT_JOINED, _NOT_EXECUTED):
                if line.startswith(word):
                    numbers[word] = int(line.removeprefix(word))
        return Verdict(
            late=_LATE in self._said,
            exec_errno=numbers.get(_NOT_EXECUTED),
            join_errno=numbers.get(_NOT_JOINED),
        )


def start(
    settings: GuardSettings,
    program: Program,
    added: dict[str, str],
    lease_start: Instant,
    leaf: Leaf | None,
) -> Starting:
    """Fork a child that executes a program.

    ``added`` goes into its environment; ``leaf`` is its control group, if it has one.

    Raises:
        OSError: the fork fails; nothing exists then.
    """
    environment = dict(settings.environment)
    environment.update({to_raw(name): to_raw(value) for name, value in added.items()})
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    guard = os.getpid()
    # The race: a signal that comes just after fork() would find the guard's dispositions in the child.  Blocked, it
    # waits until they are the command's.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        pid, has_joined = _fork(leaf)
        if pid == 0:
            # Whatever happens, the child must never return into the guard's code: two guards would follow.
            try:
                to_join = None if has_joined else leaf
                _become(settings, program, environment, lease_start, to_join, guard=guard, pipe=writing)
            except BaseException:  # noqa: BLE001 # silence on the pipe would say that the command was executed
                _say(writing, _NOT_EXECUTED, OSError(errno.EIO, ""))
            finally:
                os._exit(127)
    except OSError:
        os.close(reading)
        raise
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        os.close(writing)
    if program.is_hook:  # whose setsid() would fail if we had made it the leader of a group before
        return Starting(pid, reading)
    with contextlib.suppress(OSError):
        # Done on both sides of the fork, as every job control shell does: whoever comes first, a signal to the group
        # finds it.  In the parent it fails once the child has executed or ended, and then it is no longer needed.
        os.setpgid(pid, settings.supervisor_group if program.place is Place.SHARED else pid)
    return Starting(pid, reading)


def _fork(leaf: Leaf | None) -> tuple[int, bool]:
    """Fork; return the pid, 0 in the child, and whether that is in the leaf already."""
    if leaf is not None:
        try:
            return fork_into(leaf.directory), True
        except OSError:
            pass  # A kernel before 5.7, or a sandbox that refuses clone3(): the child joins by itself.
    return os.fork(), False


def _become(
    settings: GuardSettings,
    program: Program,
    environment: dict[bytes, bytes],
    lease_start: Instant,
    to_join: Leaf | None,
    *,
    guard: int,
    pipe: int,
) -> None:
    """Turn the child into the program; return only when that is not possible."""
    if program.is_hook:
        os.setsid()
    else:
        _join_group(settings)
    system.set_parent_death_signal(signal.SIGKILL)
    # The race: the guard may have died before the line above, and then no signal comes.
    if os.getppid() != guard:
        return
    if to_join is not None:
        try:
            os.write(to_join.procs, b"0")
        except OSError as error:
            _say(pipe, _NOT_JOINED, error)
            if settings.on_disconnect is OnDisconnect.PAUSE:
                # Outside it could not be frozen.
                _say(pipe, _NOT_EXECUTED, error)
                return
    if program.is_hook:
        _redirect_streams()
    _set_foreground(program, whose=settings.supervisor_group, new=os.getpid())
    _restore_dispositions(frozenset(settings.ignored_signals))
    signal.pthread_sigmask(signal.SIG_SETMASK, settings.signal_mask)
    # The race: between the guard's own look at the clock and here the host may have slept.  What is left after this
    # line is exec itself, and the margin is for that.
    if system.now().held_since(lease_start) >= program.start_within:
        os.write(pipe, _LATE)
        _set_foreground(program, whose=os.getpid(), new=settings.supervisor_group)
        return
    try:
        _execute(program, environment)
    except OSError as error:
        _say(pipe, _NOT_EXECUTED, error)
        _set_foreground(program, whose=os.getpid(), new=settings.supervisor_group)


def _join_group(settings: GuardSettings) -> None:
    if settings.place is Place.SHARED:
        # The race: the group is gone when everybody else in it is, the supervisor too.  The guard will stop us then.
        with contextlib.suppress(OSError):
            os.setpgid(0, settings.supervisor_group)
            return
    os.setpgid(0, 0)


def _redirect_streams() -> None:
    nothing = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(nothing, STANDARD_INPUT)
    os.dup2(STANDARD_ERROR, STANDARD_OUTPUT)


def _set_foreground(program: Program, *, whose: int, new: int) -> None:
    """Make a group the terminal's foreground group in place of the one whose it has to be.

    Before exec, or a command that asks at once for the terminal would be stopped or think itself in the background.
    The race: between looking and taking, the shell takes the terminal only if the supervisor has stopped; and that
    waits for us to stop first, unless somebody stops it with SIGSTOP in these microseconds.
    """
    if program.place is Place.FOREGROUND:
        with contextlib.suppress(OSError):  # the terminal was closed
            if os.tcgetpgrp(STANDARD_INPUT) == whose:
                os.tcsetpgrp(STANDARD_INPUT, new)


def _execute(program: Program, environment: dict[bytes, bytes]) -> None:
    try:
        os.execve(program.executable, program.argv, environment)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        os.execve(SHELL, (SHELL, program.executable, *program.argv[1:]), environment)


def _restore_dispositions(ignored: frozenset[int]) -> None:
    """Give every signal the disposition that the supervisor was started with.

    SIGPIPE and SIGXFSZ become default: Python sets them to ignored before its first line, so what they were is not
    known, and default is what a command can count on.
    """
    for number in signal.valid_signals():
        if number in (signal.SIGKILL, signal.SIGSTOP):
            continue
        unknown = number in (signal.SIGPIPE, signal.SIGXFSZ)
        wanted = signal.SIG_IGN if number in ignored and not unknown else signal.SIG_DFL
        # Asking is no system call, and most are what they should be: sixty calls would be a millisecond of hand-over.
        if signal.getsignal(number) is not wanted:
            signal.signal(number, wanted)
    system.reset_reserved_signals()


def _say(pipe: int, word: bytes, error: OSError) -> None:
    os.write(pipe, word + str(error.errno).encode("ascii") + b"\n")
