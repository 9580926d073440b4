"""One candidate: a real ``zkleader run`` that plays a host.

It owns its process, what it logs, and the faults that can be put on it.  It must not know which faults are due, nor how
anything is shown: it hands on what it sees.  It does not promise to see what its command starts besides its first
process.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from zkleader.demo.loop import Loop
from zkleader.demo.proxy import Proxy
from zkleader.demo.server import bind_to_parent
from zkleader.demo.timeline import Tenure
from zkleader.guard import system
from zkleader.guard.descendants import choose_lister

ELECTION = "/zkleader/demo"

LEASE = 4
GRACE = 1
STOP_TIMEOUT = 2
"""Seconds; short, so that waiting for a lease is bearable to watch."""

OPTIONS = ("--lease", f"{LEASE}s", "--grace", f"{GRACE}s", "--stop-timeout", f"{STOP_TIMEOUT}s")

_CHUNK = 65536

Told = Callable[[str, str], None]
"""Takes a host's name and what there is to say of it."""


class Candidate:
    """A host's candidate; the same object again and again, each time with a new process.

    It adds the control groups of its guards to ``leaves``: a guard that is killed leaves its own behind.
    """

    def __init__(
        self, name: str, loop: Loop, proxy: Proxy, command: Sequence[str], *, told: Told, leaves: set[str]
    ) -> None:
        self.name = name
        self.proxy = proxy
        self.has_joined = False
        self.is_cut_off = False
        """Frozen, or away from the network."""
        self.tenures: list[Tenure] = []
        """Of its command's first process; the last one's ``last`` is its latest sign of life while ``is_acting``."""
        self.may_end = True
        """Whether something was done to it that may end it."""
        self.on_change: Callable[[], None] = self.look
        """Called when the command has ended, and before the start of one is noted."""
        self._loop = loop
        self._command = command
        self._told = told
        self._leaves = leaves
        self._list = choose_lister()
        self._token = 0
        self._pidfd = -1
        self._process: subprocess.Popen[bytes] | None = None

    # ---- its process

    def start(self) -> None:
        """Start the candidate."""
        self.has_joined = self.is_cut_off = self.may_end = False
        who = ["--config", os.devnull, "-z", self.proxy.hosts, "-e", ELECTION, "--id", self.name]
        line = [sys.executable, "-P", "-m", "zkleader", "run", "-v", "--log-format", "json", *who, *OPTIONS, "--"]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ZKLEADER_")}
        environment.pop("NOTIFY_SOCKET", None)
        self._process = subprocess.Popen(  # noqa: S603 # ourselves
            [*line, *self._command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,  # a host of its own: our Ctrl-C is not for it
            preexec_fn=bind_to_parent,  # noqa: PLW1509 # there is no other thread
        )
        for stream, take in ((self._process.stdout, self._take_output), (self._process.stderr, self._take_line)):
            assert stream is not None
            self._listen(os.dup(stream.fileno()), take)
            stream.close()

    def _listen(self, fd: int, take: Callable[[bytes], None]) -> None:
        rest = b""

        def read() -> None:
            nonlocal rest
            content = os.read(fd, _CHUNK)
            *lines, rest = (rest + content).split(b"\n")
            if not content or len(rest) > _CHUNK:
                lines, rest = [*lines, rest], b""
            if not content:
                self._loop.unregister(fd)
                os.close(fd)
            for line in filter(None, lines):
                take(line)

        self._loop.register(fd, read)

    @property
    def has_ended(self) -> bool:
        """Whether its supervisor has."""
        return self._process is None or self._process.poll() is not None

    @property
    def status(self) -> int:
        """The return code of a supervisor that has ended."""
        return self._process.returncode if self._process is not None else 0

    def signal(self, number: int) -> None:
        """Signal the supervisor alone; nothing happens when it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def freeze(self) -> None:
        """Stop the supervisor's clock, so to speak."""
        self.signal(signal.SIGSTOP)
        self.is_cut_off = True

    def cut(self) -> None:
        """Take the network away."""
        self.proxy.cut()
        self.is_cut_off = True

    def recover(self) -> None:
        """Undo both."""
        self.signal(signal.SIGCONT)
        self.proxy.heal()
        self.is_cut_off = False

    def die_as_host(self) -> int:
        """Freeze every process, then kill them all, so that none reacts to another's death; return how many."""
        assert self._process is not None, "only a leader's host dies"
        frozen: list[int] = []
        while new := [pid for pid in (self._process.pid, *self._descendants()) if pid not in frozen]:
            for pid in new:
                _send(pid, signal.SIGSTOP)
            frozen += new
        # A frozen process does not end by itself, nor reaps: the pids are theirs until we kill them.
        for pid in frozen:
            _send(pid, signal.SIGKILL)
        return len(frozen)

    def _descendants(self) -> list[int]:
        assert self._process is not None, "it was started"
        return self._list(self._process.pid, recursive=True)

    # ---- its command

    @property
    def is_acting(self) -> bool:
        """Whether its command's first process lives."""
        return self._pidfd >= 0

    def look(self) -> None:
        """Note whether the command still lives."""
        if self._pidfd < 0:
            return
        self.tenures[-1] = self.tenures[-1].but(last=time.monotonic())
        if system.is_ready(self._pidfd, select.POLLIN):
            self._loop.unregister(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _command_started(self, pid: int) -> None:
        # Whoever ended before this start is seen to have ended before: the kernel knew it first.
        self.on_change()
        now = time.monotonic()
        self.tenures.append(Tenure(token=self._token, first=now, last=now, host=self.name))
        with contextlib.suppress(ProcessLookupError):  # it has ended, and was reaped
            self._pidfd = os.pidfd_open(pid)
            self._loop.register(self._pidfd, self.on_change)

    # ---- what it says

    def _take_output(self, line: bytes) -> None:
        self._told(self.name, line.decode(errors="replace"))

    def _take_line(self, line: bytes) -> None:
        event = _event_of(line)
        name = event.get("event")
        if name is None:
            # Last words of the supervisor or of the guard, or the command's own standard error.
            self._told(self.name, line.decode(errors="replace").removeprefix("zkleader: "))
        elif name in ("waiting", "elected"):
            self.has_joined = True
            self._token = int(event.get("token", 0))
        elif name == "guard_ready" and event.get("scope") == "cgroup":
            self._leaves.add(str(event["detail"]))
        elif name == "command_started":
            self._command_started(int(event["pid"]))


def _event_of(line: bytes) -> dict[str, Any]:
    """Return the facts of a log line; nothing for a line that is none."""
    with contextlib.suppress(ValueError):
        content = json.loads(line)
        # A command may log JSON as well, but not of this election.
        if isinstance(content, dict) and content.get("election") == ELECTION:
            return content
    return {}


def _send(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # it has ended, or became another user's
        os.kill(pid, number)
