"""The show: three candidates on a stage, five faults in their leader, and the end of everything that was started.

It owns the order of things and the words for them.  It must not know how a fault is done, nor what a verdict is.  It
promises to leave nothing behind, however it ends, unless it is itself killed: then the kernel ends the server and the
candidates, and the temporary directory is left.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence

from zkleader.demo import timeline, witness
from zkleader.demo.candidate import GRACE, LEASE, Candidate
from zkleader.demo.faults import FAULTS, Fault
from zkleader.demo.loop import Loop
from zkleader.demo.proxy import Proxy
from zkleader.demo.screen import Screen
from zkleader.demo.server import Server, ServerUnavailableError, find_classpath, find_java
from zkleader.demo.timeline import Tenure, Verdict
from zkleader.exit_status import ExitStatus
from zkleader.guard import cgroup
from zkleader.guard.descendants import Noted, choose_lister, note_children
from zkleader.guard.process_tree import SearchScope
from zkleader.guard.system import become_subreaper, process_status

HOSTS = "abc"

_LOOK_SECONDS = 1.2
"""For so long one looks at a leader at work, before the next fault."""

_DEADLINE = 40.0
"""Seconds for whatever must happen; a takeover takes at most some six, on a machine that does nothing else."""

_STOP_PATIENCE = 5.0
"""Seconds for candidates to end in order: their stop timeout and the closing of sessions."""

_KILL_PATIENCE = 10.0
_OUTPUT_PATIENCE = 2.0
_LONGEST_BACKLOG = 1 << 16


class Problem(Exception):  # noqa: N818 # the message is for the user, who made it
    """The show cannot go on: COMMAND is not fit for it."""


class Stage:
    """What is on it, and the clock of the show."""

    def __init__(
        self,
        loop: Loop,
        screen: Screen,
        directory: str,
        command: Sequence[str],
        *,
        noted: frozenset[Noted],
        leaves: set[str],
    ) -> None:
        self._loop = loop
        self._noted = noted
        self._list = choose_lister()
        self._screen = screen
        self._began_at = time.monotonic()
        self._is_running = False
        self._beats: timeline.Beats | None = None
        if not command:
            self._beats = timeline.Beats()
            path = f"{directory}/beats"
            self._beats_file = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            command = (sys.executable, "-I", "-S", os.path.abspath(witness.__file__), path)
        self._server = Server(directory)
        self.candidates = [
            Candidate(name, loop, Proxy(loop, self._server.port), command, told=self._quote, leaves=leaves)
            for name in HOSTS
        ]
        for candidate in self.candidates:
            candidate.on_change = self._look
        loop.on_turn = self._turn

    # ---- the script

    def play(self) -> Verdict:
        """Play the show from the first candidate to the verdict."""
        self._server.wait_until_serving(self._loop)
        self._screen.show(
            timeline.wrapped(
                f"A private ZooKeeper. Hosts {', '.join(HOSTS)} run zkleader with a lease of {LEASE} s and a grace of "
                f"{GRACE} s. {self._screen.marks.leads} leads, {self._screen.marks.waits} waits, "
                f"{self._screen.marks.cut_off} frozen or cut off, {self._screen.marks.gone} gone.",
                self._screen.width,
            )
        )
        self._screen.show([timeline.header_line(HOSTS)])
        self._began_at = time.monotonic()
        self._is_running = True
        for candidate in self.candidates:
            candidate.start()
            self._wait(lambda candidate=candidate: candidate.has_joined, f"{candidate.name} to join")  # type: ignore[misc]
        self._next_leader(0)
        for number, fault in enumerate(FAULTS, start=1):
            self._loop.pause(_LOOK_SECONDS)
            self._strike(fault, f"{number}/{len(FAULTS)} {fault.name.upper()}")
        self._loop.pause(_LOOK_SECONDS)
        return self._finish()

    def _strike(self, fault: Fault, title: str) -> None:
        self._wait(lambda: self._leader() is not None, "a leader")
        leader, seen = self._leader(), len(self._tenures())
        assert leader is not None, "it was waited for"
        self._tell(f"{title}: {fault.text.format(leader.name, leader.name)}", "fault")
        leader.may_end = True
        fault.does(leader)
        self._next_leader(seen)
        if fault.lasts:
            self._loop.pause(_LOOK_SECONDS / 2)
            leader.recover()
        self._wait(lambda: leader.has_ended, f"the end of {leader.name}")
        how = _ending(leader.status)
        self._look()
        leader.start()
        self._wait(lambda: leader.has_joined, f"{leader.name} to join")
        self._tell(f"{leader.name} ended {how}, and is started again.")

    def _next_leader(self, seen: int) -> None:
        """Wait for one more tenure than were seen, and tell of it."""
        self._wait(lambda: len(self._tenures()) > seen, "the next leader")
        *earlier, tenure = self._tenures()[: seen + 1]
        gap = f", gap {max(0.0, tenure.first - earlier[-1].last):.2f} s" if earlier else ""
        self._tell(f"{tenure.host} leads, token {tenure.token}{gap}", "leads")

    def _finish(self) -> Verdict:
        """Stop all in order, those who wait first, and judge."""
        for candidate in sorted(self.candidates, key=lambda candidate: candidate.is_acting):
            candidate.may_end = True
            candidate.signal(signal.SIGTERM)
            self._wait(lambda candidate=candidate: candidate.has_ended, f"the end of {candidate.name}")  # type: ignore[misc]
        self._loop.wait(lambda: not self._left(), _STOP_PATIENCE)
        self._look()
        self._is_running = False
        end = self._now()
        self._tell("all are stopped")
        tenures = self._tenures()
        verdict = timeline.judge(tenures, wanted=len(FAULTS), left=len(self._left()))
        relative = [
            tenure.but(first=tenure.first - self._began_at, last=tenure.last - self._began_at) for tenure in tenures
        ]
        width = self._screen.width
        lanes = timeline.picture(HOSTS, relative, self._screen.marks, end=end, width=width)
        self._screen.show(["", *lanes, ""])
        self._screen.show(timeline.wrapped(verdict.line(), width), "good" if verdict.is_good else "bad")
        return verdict

    # ---- what is seen

    def _tenures(self) -> list[Tenure]:
        if self._beats is not None:
            return self._beats.tenures()
        return timeline.in_order(tenure for candidate in self.candidates for tenure in candidate.tenures)

    def _leader(self) -> Candidate | None:
        """Return the host of the latest tenure, if its command lives."""
        acting = [candidate for candidate in self.candidates if candidate.is_acting]
        return max(acting, key=lambda candidate: candidate.tenures[-1].token, default=None)

    def _look(self) -> None:
        for candidate in self.candidates:
            was_acting = candidate.is_acting
            candidate.look()
            if was_acting and not candidate.is_acting and self._is_running:
                self._tell(f"{candidate.name}'s command is gone")
        if self._beats is not None:
            while content := os.read(self._beats_file, 1 << 20):
                self._beats.take(content)

    def _turn(self) -> None:
        self._look()
        if self._is_running:
            self._check()
            self._screen.show_live(f"{self._now():5.1f}  {' '.join(map(self._lane, self.candidates))}")

    def _check(self) -> None:
        """Look for what nobody has done."""
        if self._server.has_ended:
            raise ServerUnavailableError("cannot go on: ZooKeeper has ended")
        for candidate in self.candidates:
            if candidate.may_end or not candidate.has_ended:
                continue
            how = f"{candidate.name} ended {_ending(candidate.status)}"
            if candidate.status not in (ExitStatus.LOST, ExitStatus.LOST_LATE):
                raise Problem(f"cannot go on: {how} by itself; COMMAND must run until it is stopped")
            self._tell(f"{how}, and no fault of ours: this machine is too busy. It is started again.")
            candidate.start()

    def _wait(self, fact: Callable[[], bool], what: str) -> None:
        if not self._loop.wait(fact, _DEADLINE):
            raise TimeoutError(f"waited {_DEADLINE:g} s in vain for {what}")

    def _left(self) -> list[int]:
        """Return the processes below us that live, but for the server and whoever was there before us."""
        others = {self._server.pid, *(noted.pid for noted in self._noted)}
        found = [pid for pid in self._list(os.getpid(), recursive=False) if pid not in others]
        statuses = ((pid, process_status(pid)) for pid in found)
        return [pid for pid, status in statuses if status is not None and status.state != "Z"]

    # ---- what is told

    def _now(self) -> float:
        return time.monotonic() - self._began_at

    def _lane(self, candidate: Candidate) -> str:
        marks = self._screen.marks
        if candidate.is_acting:
            return marks.leads
        if candidate.is_cut_off:
            return marks.cut_off
        return marks.gone if candidate.has_ended else marks.waits

    def _tell(self, text: str, kind: str = "") -> None:
        lanes = [self._lane(candidate) for candidate in self.candidates]
        self._screen.show(timeline.event_line(self._now(), lanes, text, self._screen.width), kind)

    def _quote(self, name: str, text: str) -> None:
        # A command that floods is not waited for, nor kept for later.
        if self._loop.backlog < _LONGEST_BACKLOG:
            self._tell(f"{name}: {text}")

    # ---- the end

    def close(self) -> None:
        """End the candidates in order, as far as they do so in time.  The rest is killed by ``end_everything``."""
        self._is_running = False
        for candidate in self.candidates:
            candidate.recover()
            candidate.signal(signal.SIGTERM)
        self._loop.wait(lambda: all(candidate.has_ended for candidate in self.candidates), _STOP_PATIENCE)


def _ending(status: int) -> str:
    """Return a return code in words."""
    return f"of {signal.Signals(-status).name}" if status < 0 else f"with status {status}"


def perform(command: Sequence[str], *, output: int, encoding: str) -> Verdict:
    """Perform the demonstration on this standard output; leave nothing.

    Without a command the built-in witness is run, and the verdict is from what it wrote; else from the starts and ends
    of that command's first process.

    Raises:
        ServerUnavailableError: there is no ZooKeeper, or it has ended.
        Problem: the command is not fit for it.
        TimeoutError: something did not happen.
        Asked: a signal came.
        OSError: standard output cannot be written to.
    """
    find_java()
    find_classpath()
    noted = note_children()
    become_subreaper()
    loop = Loop(output)
    screen = Screen(loop, output, encoding)
    # Signals only enqueue, so nothing can come between a thing and the promise to remove it.
    with contextlib.ExitStack() as end:
        directory = tempfile.mkdtemp(prefix="zkleader-demo-")
        end.callback(shutil.rmtree, directory, ignore_errors=True)
        leaves: set[str] = set()
        end.callback(_remove_control_groups, leaves)
        end.callback(_kill_all, noted)
        stage = Stage(loop, screen, directory, command, noted=noted, leaves=leaves)
        end.callback(stage.close)
        end.callback(_write_rest, loop, screen)
        end.callback(loop.begin_closing)
        return stage.play()


def _write_rest(loop: Loop, screen: Screen) -> None:
    """Write what is unwritten, while its reader reads."""
    with contextlib.suppress(OSError):
        screen.close()
        loop.wait(lambda: not loop.backlog, _OUTPUT_PATIENCE)
    loop.give_up_output()


def _kill_all(noted: frozenset[Noted]) -> None:
    """End all processes that are left, the server too: every orphan of ours is our child, so none is elsewhere."""
    scope = SearchScope(noted=noted)
    until = time.monotonic() + _KILL_PATIENCE
    scope.kill()
    while not scope.reap().childless and time.monotonic() < until:
        scope.kill()
        time.sleep(0.005)


def _remove_control_groups(leaves: set[str]) -> None:
    """Remove what guards that were killed could not; nothing lives in them any more."""
    for leaf in leaves:
        if os.path.isdir(leaf):
            cgroup.remove(leaf)
