"""A terminal with somebody at it: a shell with job control on a pty of its own, keys, and what is on the screen.

Owns the session: everything in it bears a mark in its environment and is ended with the test.  Knows no pytest.
"""

import contextlib
import os
import re
import select
import subprocess
import sys
import termios
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

from processes import MARK, Process, children, kill_marked, look_at, marked
from program import CHECKOUT, FOREIGN, GUARD
from waiting import T, wait_until

CTRL_C = "\x03"
CTRL_Z = "\x1a"
CTRL_BACKSLASH = "\x1c"

# The session leader takes the pty for its controlling terminal; a preexec_fn would run Python beside our threads.
_LEADER = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execvp(sys.argv[1], sys.argv[1:])
"""
SHELLS = {"bash": ("bash", "--norc", "--noprofile", "--noediting", "-i"), "dash": ("dash", "-i")}
PROMPT = "ready> "


class Terminal:
    """One pty and the session on it; `screen` is everything that was written there."""

    def __init__(self, *leader: str) -> None:
        self.mark = uuid.uuid4().hex
        self._master, slave = os.openpty()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        environment |= {MARK: self.mark, "PS1": PROMPT, "TERM": "dumb", "HISTFILE": "", "ZKLEADER_CONFIG": os.devnull}
        self.screen = ""
        try:
            self.leader = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", _LEADER, *(leader or SHELLS["bash"])],
                stdin=slave,
                stdout=slave,
                stderr=slave,
                cwd=CHECKOUT,
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(slave)
        self._hung_up = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _read(self) -> None:
        # Never inside a read() for long: that would keep the pty open when it is hung up.
        poll = select.poll()
        poll.register(self._master, select.POLLIN)
        with contextlib.suppress(OSError):  # EIO: nobody has the terminal open any more
            while not self._hung_up:
                if poll.poll(20):
                    self.screen += os.read(self._master, 65536).decode(errors="replace").replace("\r", "")

    def type(self, text: str) -> int:
        """Press keys; return where the screen ended before, for `wait_for`."""
        before = len(self.screen)
        os.write(self._master, text.encode())
        return before

    def run(self, line: str) -> int:
        """Type a line."""
        return self.type(line + "\n")

    def wait_for(self, pattern: str, *, after: int = 0, deadline: float = 20.0) -> re.Match[str]:
        """Return the first match on the screen, from there on."""
        compiled = re.compile(pattern)
        found = self._wait_until(lambda: compiled.search(self.screen, after), deadline, repr(pattern))
        assert found is not None
        return found

    def foreground(self) -> int:
        """Return the terminal's foreground process group."""
        return os.tcgetpgrp(self._master)

    def wait_foreground(self, group: int, what: str) -> None:
        self._wait_until(lambda: self.foreground() == group, 20, f"{what} ({group}) in the foreground")

    def _wait_until(self, fact: Callable[[], T], deadline: float, what: str) -> T:
        try:
            return wait_until(fact, deadline=deadline, what=what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None

    def stop_writers_in_the_background(self) -> None:
        """Do what `stty tostop` does."""
        attributes = termios.tcgetattr(self._master)
        attributes[3] |= termios.TOSTOP
        termios.tcsetattr(self._master, termios.TCSANOW, attributes)

    def processes(self) -> list[Process]:
        """Return what lives of the session but its leader."""
        found = map(look_at, marked(self.mark))
        return [
            process for process in found if process and process.pid != self.leader.pid and process.state not in "ZX"
        ]

    def supervisor(self) -> int:
        """Return the pid of the one `zkleader run`; wait for it."""
        return self._pid_of(("-m zkleader",))

    def guard(self) -> int:
        """Return the pid of its guard; wait for it."""
        return self._pid_of(GUARD)

    def _pid_of(self, words: Sequence[str]) -> int:
        def find() -> int | None:
            # A guard is a fork of its supervisor first, and bears its name.
            found = [p.pid for p in self.processes() if any(word in p.command for word in words)]
            return found[0] if len(found) == 1 else None

        return wait_until(find, deadline=20, what=f"one process {words}") or 0

    def wait_nothing_left(self, deadline: float = 20.0) -> None:
        """Wait until nothing but the session's leader lives."""
        try:
            wait_until(lambda: not self.processes(), deadline=deadline, what="the end of everything in the session")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None

    def report(self) -> str:
        return "\n".join([f"  screen: {self.screen!r}", *(f"  lives: {process}" for process in self.processes())])

    def hang_up(self) -> None:
        """Close the terminal, as closing its window does."""
        if not self._hung_up:
            self._hung_up = True
            self._reader.join()
            os.close(self._master)

    def close(self) -> None:
        """End everything of the session."""
        kill_marked(self.mark)
        self.leader.kill()
        self.leader.wait(10)
        self.hang_up()


def state_of(pid: int) -> str:
    """Return a process's state letter; empty when there is none."""
    process = look_at(pid)
    return process.state if process else ""


def group_of(pid: int) -> int:
    """Return a process's group."""
    return os.getpgid(pid)


def command_of(terminal: Terminal) -> int:
    """Return the pid of COMMAND's first process, once its guard has one."""
    guard = terminal.guard()
    return wait_until(lambda: next(iter(children(guard)), None), deadline=20, what="a command") or 0


def wait_state(pid: int, state: str) -> None:
    wait_until(lambda: state_of(pid) in state, deadline=20, what=f"{pid} in a state of {state}")


def wait_job_stopped(terminal: Terminal, supervisor: int, *stopped: int) -> None:
    """Wait until the shell has its prompt again and everything but the guard is stopped."""
    for pid in (supervisor, *stopped):
        wait_state(pid, "T")
    terminal.wait_foreground(terminal.leader.pid, "the shell")


def stop_again_and_again(terminal: Terminal, supervisor: int, command: int) -> None:
    """Press Ctrl-Z, and then so many times again, each a little later after `fg` has moved the job.

    Never while whoever has the terminal is still stopped: whoever hands it over continues them next, be it the shell or
    the supervisor, and that SIGCONT discards a SIGTSTP that came between the two, under any shell.
    """
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    for step in range(24):
        began = terminal.run("fg")
        _spin(terminal, lambda: terminal.foreground() != terminal.leader.pid)
        moved_at = time.monotonic()
        _spin(terminal, lambda at=moved_at + 0.0001 * step: time.monotonic() >= at and _runs(terminal.foreground()))
        terminal.type(CTRL_Z)
        stopped = terminal.wait_for("Stopped", after=began).end()
        terminal.wait_for(PROMPT, after=stopped)
        wait_job_stopped(terminal, supervisor, command)


def _spin(terminal: Terminal, fact: Callable[[], bool]) -> None:
    """Wait for a fact; not asked for now and then, because what may go wrong is over within three milliseconds."""
    deadline = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < deadline, terminal.report()


def _runs(group: int) -> bool:
    return state_of(group) in ("R", "S")


def ready(path: Path) -> None:
    wait_until(path.exists, deadline=20, what="the command runs")
