"""The program under test as a real process tree: started, listened to, signalled, and ended to the last process.

Owns one `python -m zkleader ...` and everything that it starts. Every process of it bears a mark in its environment, so
that a daemonised grandchild, or what a killed guard left behind, is found and ended too, and nothing else ever is.
Knows no pytest; the fixture `programs` in conftest.py ends what a failed test leaves.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Literal, Self

from processes import MARK, Process, bound_to_us, children, descendants, kill_marked, lives, look_at, marked
from waiting import wait_until

CHECKOUT = Path(__file__).resolve().parent.parent
# Taken out of what the test run inherited: a test states what its program gets.
FOREIGN = (
    "ZKLEADER_",
    "PYTHONDONTWRITEBYTECODE",
    "WATCHDOG_",
    "NOTIFY_SOCKET",
    "TERM",
    "COLORTERM",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
)
Stream = Literal["stderr", "stdout"]
# How the command lines of our own processes read, whether they are started as modules or as files.
GUARD = ("zkleader.guard", "zkleader/guard/")
OURS = ("-m zkleader", *GUARD, "zkleader.zk.release", "zkleader/zk/release")


class Program:
    """One run of `python -m zkleader ARGS`.

    `env` is added to a cleaned environment (None as a value takes a name out). `bound` has the kernel kill the
    supervisor when the test run dies; it costs some 20 ms of start, so the benchmark goes without. `mark` is for a run
    that somebody else starts for `command`, which cannot hand on its environment. `popen` is the Popen object of the
    supervisor, or of that `command`. `stderr` and `stdout` are the lines so far.
    """

    def __init__(
        self,
        *args: str,
        env: Mapping[str, str | None] | None = None,
        bound: bool = True,
        cwd: str | Path | None = None,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        new_session: bool = True,
        command: tuple[str, ...] = (sys.executable, "-m", "zkleader"),
        mark: str = "",
    ) -> None:
        self.mark = mark or uuid.uuid4().hex
        self.args = args
        self.stderr: list[str] = []
        self.stdout: list[str] = []
        self._told: set[int] = set()
        environment = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        environment[MARK] = self.mark
        environment["ZKLEADER_CONFIG"] = os.devnull  # what lies in /etc is not for tests
        for name, value in (env or {}).items():
            if value is None:
                environment.pop(name, None)
            else:
                environment[name] = value
        line = [*command, *args]
        self.started_at = time.monotonic()
        self.popen = subprocess.Popen(
            bound_to_us(*line) if bound else line,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd or CHECKOUT,
            env=environment,
            start_new_session=new_session,
        )
        self._readers = [self._read(self.popen.stderr, self.stderr), self._read(self.popen.stdout, self.stdout)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Program {self.pid} {' '.join(self.args)} returncode={self.popen.returncode}>\n{self.report()}"

    @staticmethod
    def _read(stream: IO[bytes] | None, lines: list[str]) -> threading.Thread:
        assert stream is not None

        def collect() -> None:
            with stream:
                for raw in stream:
                    lines.append(raw.decode(errors="replace").rstrip("\n"))  # noqa: PERF401 - others read it as it grows

        thread = threading.Thread(target=collect, daemon=True)
        thread.start()
        return thread

    @property
    def pid(self) -> int:
        """The supervisor's pid."""
        return self.popen.pid

    @property
    def returncode(self) -> int | None:
        """The supervisor's return code as Popen gives it (minus the signal's number), None while it runs."""
        return self.popen.poll()

    # Listening. ------------------------------------------------------------------------------------------------------

    def wait_for(
        self,
        wanted: str | re.Pattern[str] | Callable[[str], object],
        *,
        deadline: float = 10.0,
        stream: Stream = "stderr",
        after: int = 0,
    ) -> str:
        """Return the first line, from line number `after` on, in which the pattern is found or for which it is true.

        Fails with everything that the program wrote when there is none in time; at once when the program has ended.
        """
        if isinstance(wanted, str | re.Pattern):
            pattern = re.compile(wanted)
            found: Callable[[str], object] = pattern.search
        else:
            found = wanted
        lines: list[str] = getattr(self, stream)
        until = time.monotonic() + deadline
        seen = after
        while True:
            ended = self.popen.poll() is not None and not any(reader.is_alive() for reader in self._readers)
            is_last = time.monotonic() >= until
            while seen < len(lines):
                seen += 1
                if found(lines[seen - 1]):
                    return lines[seen - 1]
            if ended or is_last:
                why = "the program has ended" if ended else f"not within {deadline:g} s"
                raise AssertionError(f"{stream} of {self.pid} lacks {wanted!r}: {why}\n{self.report()}")
            time.sleep(0.005)

    def wait(self, deadline: float = 15.0) -> int:
        """Return the supervisor's return code; fail when it does not end in time.

        Its output is then complete, unless somebody who outlived it holds the pipe.
        """
        try:
            code = self.popen.wait(deadline)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.pid} still runs after {deadline:g} s\n{self.report()}") from None
        for reader in self._readers:
            for _ in range(10):  # a host that pauses takes one of them, not all
                reader.join(0.1)
        return code

    def report(self) -> str:
        """Return what the program wrote and which processes of it live, for failure messages."""
        parts = [f"  {stream}: {line}" for stream in ("stderr", "stdout") for line in getattr(self, stream)]
        parts += [f"  lives: {process}" for process in self.processes()]
        return "\n".join([f"  returncode: {self.popen.poll()}", *parts])

    # Signals. --------------------------------------------------------------------------------------------------------

    def signal(self, number: int) -> None:
        """Signal the supervisor alone, as kill(1), cron and systemd do. Nothing happens when it has been reaped."""
        self.popen.send_signal(number)

    def signal_group(self, number: int) -> None:
        """Signal the supervisor's process group, as a terminal does on Ctrl-C."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def pause(self) -> None:
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def die_as_host(self) -> list[int]:
        """Freeze every process of the program, then kill them all: nobody of them reacts to anything. Return pids."""
        pids = kill_marked(self.mark)
        self.popen.wait(5)
        return pids

    # The process tree. -----------------------------------------------------------------------------------------------

    def remember(self, *pids: int) -> None:
        """Have these pids ended and looked for too, though they bear no mark (a COMMAND that cleared its environment).

        Only pids that are known to be of this program and alive: a pid that was reused would be killed.
        """
        self._told.update(pids)

    def processes(self) -> list[Process]:
        """Return every living process of the program, whoever its parent is. Zombies are not among them."""
        pids = {*marked(self.mark), *filter(lives, self._told)}
        return [process for process in map(look_at, sorted(pids)) if process is not None and process.state not in "ZX"]

    def guard_pid(self, deadline: float = 10.0) -> int:
        """Return the guard's pid; wait until there is one."""

        def find() -> int | None:
            for pid in children(self.pid):
                process = look_at(pid)
                if process and any(name in process.command for name in GUARD) and process.state not in "ZX":
                    return pid
            return None

        return wait_until(find, deadline=deadline, what=f"a guard below {self.pid}")

    def command_pids(self) -> list[int]:
        """Return the pids of COMMAND's processes: what lives and is neither the supervisor nor a process of ours."""
        return [
            process.pid
            for process in self.processes()
            if process.pid != self.pid and not any(name in process.command for name in OURS)
        ]

    def descendants(self) -> list[int]:
        """Return the pids below the supervisor, zombies included."""
        return descendants(self.pid)

    def control_groups(self) -> list[Path]:
        """Return the control groups that the program has made and not removed."""
        roots = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
        while True:
            try:
                return [leaf for root in roots for leaf in root.glob(f"**/zkleader-{self.pid}-*")]
            except FileNotFoundError:
                continue  # somebody else's has just been removed; how often that is so is bounded by how many there are

    def assert_nothing_left(self, deadline: float = 0.0) -> None:
        """Fail when, after `deadline` seconds at most, any process of the program lives, the supervisor included."""
        try:
            wait_until(lambda: not self.processes(), deadline=deadline, what="no process left")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.report()}") from None

    def close(self) -> None:
        """Kill whatever is left of the program. Below a supervisor that lives, unmarked ones are found by the tree."""
        if self.popen.poll() is None:
            self._told.update(self.descendants())
        kill_marked(self.mark)
        for pid in self._told:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._told.clear()
        with contextlib.suppress(ProcessLookupError):
            self.popen.kill()
        self.popen.wait(10)
        for reader in self._readers:
            reader.join(1)
