"""A supervisor for tests of the guard: the test process itself, or a process of its own that may be killed and frozen.

It knows nothing of ZooKeeper: a renewal is a message that says so. `Supervision` drives a guard from the test process;
`StandIn` is the same in another process, whose death is part of the test. The release program is `release_stand_in.py`,
which writes down what it was given and whether anything of the command was still alive then.
"""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from processes import MARK, bound_to_us, kill_marked, marked
from waiting import wait_until

from zkleader.core import wire
from zkleader.core.lease import Instant, Timing
from zkleader.guard import system
from zkleader.guard.handle import GuardHandle, end_everything, note_children
from zkleader.guard.settings import GuardSettings, Scope

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

TIMING = Timing(lease=2.0, grace=0.3, stop_timeout=1.0)
"""Stop at 0.93 s, SIGKILL at 1.23 s, gone by 1.73 s."""

M = TypeVar("M", bound=wire.Message)


def make_settings(*command: str | bytes, mark: str, **changes: Any) -> GuardSettings:
    """Return settings for a command whose processes bear the mark; the first word is a path."""
    argv = tuple(os.fsencode(word) for word in command)
    environment = {b"PATH": os.fsencode(os.environ["PATH"]), MARK.encode(): mark.encode()}
    defaults: dict[str, Any] = {
        "argv": argv,
        "executable": argv[0],
        "environment": environment | changes.pop("environment", {}),
        "timing": TIMING,
        "release": {},
        "stop_signal": int(signal.SIGTERM),
        "supervisor_pid": os.getpid(),
        "release_program": str(HERE / "release_stand_in.py"),
    }
    return GuardSettings(**(defaults | changes))


def shell(script: str) -> tuple[str, str, str]:
    """Return the command line of a script."""
    return ("/bin/sh", "-c", script)


def python(program: str, *arguments: str) -> tuple[str, ...]:
    """Return the command line of a small Python program."""
    return (sys.executable, "-I", "-S", "-c", program, *arguments)


class Supervision:
    """The test process as the supervisor of one guard."""

    def __init__(self, settings: GuardSettings) -> None:
        self.timing = settings.timing
        self.noted = note_children()
        self.guard = GuardHandle.spawn(settings)
        self.heard: list[wire.Message] = []
        self.lease_start = system.now()
        self._renewed_at = 0.0

    def start(self, *, lease_start: Instant | None = None, **environment: str) -> None:
        """Begin a candidacy and ask for the command's start."""
        self.lease_start = lease_start or system.now()
        self.guard.send(wire.Candidacy(guid="guid"))
        self.guard.send(wire.Start(lease_start=self.lease_start, environment=environment))

    def wait_for(self, kind: type[M], *, renew: bool = True, deadline: float = 8.0) -> M:
        """Return the first message of a kind, heard already or still to come; renew the lease meanwhile."""
        until = time.monotonic() + deadline
        while time.monotonic() < until:
            for message in self.heard:
                if isinstance(message, kind):
                    return message
            self.turn(renew=renew)
        raise AssertionError(f"no {kind.__name__} within {deadline} s; heard {self.heard}")

    def turn(self, *, renew: bool = True, wait: float = 0.05) -> None:
        """Do what a supervisor does in one turn of its loop."""
        poll = select.poll()
        poll.register(self.guard.fileno(), select.POLLIN)
        poll.poll(wait * 1000)
        self.heard += self.guard.receive()
        if self.guard.closed:
            return
        self.guard.flush()
        if time.monotonic() - self._renewed_at > self.timing.renewal_interval:
            self._renewed_at = time.monotonic()
            self.guard.send(wire.Beat(number=len(self.heard)))
            if renew:
                self.lease_start = system.now()
                self.guard.send(wire.Extend(lease_start=self.lease_start))

    def kinds(self) -> list[str]:
        """Return what was heard, beats and notes left out, as names."""
        return [type(m).__name__ for m in self.heard if not isinstance(m, wire.BeatAnswer | wire.Note)]

    def notes(self) -> list[str]:
        return [message.event for message in self.heard if isinstance(message, wire.Note)]

    def held(self) -> float:
        """Return how old the lease is."""
        return system.now().held_since(self.lease_start)

    def close(self) -> None:
        end_everything(self.guard, noted=self.noted, within=5)
        self.guard.close()


class StandIn:
    """A supervisor in a process of its own; `renew` and `beats` say what it does while the command runs."""

    def __init__(self, *command: str, mark: str, directory: Path, **spec: Any) -> None:
        self.released = directory / "released.json"
        self._stderr = directory / "stderr"
        self._stdout = directory / "stdout"
        spec = {"renew": True, "beats": True, "start": True, "mark": mark, "command": command} | spec
        spec.setdefault("release", {}).update(file=str(self.released), mark=mark)
        with self._stdout.open("wb") as stdout, self._stderr.open("wb") as stderr:
            self.process = subprocess.Popen(
                bound_to_us(sys.executable, str(HERE / "stand_in.py"), json.dumps(spec)),
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=os.environ | {"PYTHONPATH": f"{ROOT}:{HERE}:{HERE.parent}", "STAND_IN": mark},
            )
        self.guard_pid = int(self.wait_for("Ready").split()[1])

    def lines(self) -> list[str]:
        """Return what it has heard from its guard, one message a line; a line that is being written is none yet."""
        return self._stdout.read_text().rpartition("\n")[0].splitlines()

    def stderr(self) -> str:
        return self._stderr.read_text()

    def wait_for(self, kind: str, deadline: float = 8.0) -> str:
        def find() -> str | None:
            return next((line for line in self.lines() if line.split()[0] == kind), None)

        return wait_until(find, deadline=deadline, what=f"{kind} at the stand-in") or ""

    def release_was(self, deadline: float = 8.0) -> dict[str, Any]:
        """Return what the release program wrote down."""
        content = wait_until(
            lambda: self.released.read_text() if self.released.exists() else "", deadline=deadline, what="a release"
        )
        return dict(json.loads(content))

    def guard_has_ended(self) -> bool:
        status = system.process_status(self.guard_pid)
        return status is None or status.state == "Z"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        print("\n".join([*self.lines(), self.stderr()]))
        self.process.kill()
        self.process.wait()
        # Its guard ends by itself then, after releasing; if it does not, that is for the test to have found out.
        wait_until(self.guard_has_ended, deadline=10, what="the guard's end")
        # It is ours since then, and would be a zombie that other tests meet.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self.guard_pid, 0)


def nothing_left(mark: str, deadline: float = 3.0) -> None:
    """Wait until no process of the command lives."""
    try:
        wait_until(lambda: not marked(mark), deadline=deadline, what="the end of everything of the command")
    finally:
        kill_marked(mark)


def leaf_of(pid: int) -> str:
    """Return the name of the control group that a process is in."""
    content = Path(f"/proc/{pid}/cgroup").read_text()
    return next(line for line in content.splitlines() if line.startswith("0::")).rpartition("/")[2]


__all__ = ["Scope", "StandIn", "Supervision", "leaf_of", "make_settings", "nothing_left", "python", "shell"]
