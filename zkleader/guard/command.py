"""The command and its hooks as their guard has them: started one after the other, signalled, killed, proven gone.

It owns the way from fork to exec, the first process for as long as its number is its own, the scope that holds all the
rest, and the counts for the report.  It must not know why or when: the loop performs here what ``core.termination``
decides.  It does not promise that a signal has any effect; only `is_gone` says what is left.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import NamedTuple

from zkleader.core import deadlines
from zkleader.core.acts import Act
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.job import Place
from zkleader.core.lease import Instant
from zkleader.guard import process_tree, spawn, system
from zkleader.guard.cgroup import Leaf, NoControlGroupError
from zkleader.guard.program import program_of
from zkleader.guard.reserve import Reserve
from zkleader.guard.settings import GuardSettings, Scope


class Reaped(NamedTuple):
    """What one round of reaping means for the command."""

    first: int | None
    """The wait status of the first process, raw, if it has just been reaped."""
    alone: bool
    """Whether the first process has just been reaped and nothing else lives."""
    others: list[tuple[int, int]]
    """Pid and raw wait status of every other child that was reaped."""


class Stop(NamedTuple):
    """A stop of the first process."""

    pid: int
    signal: int


class Command:
    """What one guard runs, one at a time, before, while and after it runs: the command, or a hook."""

    def __init__(self, settings: GuardSettings) -> None:
        self._settings = settings
        self._scope: process_tree.SearchScope
        self._leaf: Leaf | None
        self._scope, self._leaf = process_tree.open_scope(
            settings.supervisor_pid, search_only=settings.scope is Scope.SEARCH
        )
        try:
            self._hold_freezer()
        except NoControlGroupError:
            self._scope.close()
            raise
        self._reserve = Reserve()
        self._starting: spawn.Starting | None = None
        self._first: int | None = None
        """The first process, until it is reaped: only so long may it be signalled by its number."""
        self._stop: Stop | None = None
        """The last one."""
        self._program = program_of(Act.COMMAND, settings)
        self._is_scope_fresh = True
        self._kill_passes = 0
        self.was_executed = False
        """Whether it ever ran, as far as the start's news tell."""
        self.signalled = 0
        """How many living processes the stop signal met."""
        self.killed = 0
        """How many the first pass of SIGKILL met."""
        self.leaf_is_emptying = False
        """Whether all that is missing for the proof is that the kernel counts the last process no more."""

    @property
    def scope_kind(self) -> str:
        """How everything of it is found."""
        return self._scope.kind

    @property
    def scope_detail(self) -> str:
        """The path of its control group, or why there is none."""
        return self._scope.detail

    @property
    def refused(self) -> int:
        """How many of its processes may not be signalled by us."""
        return len(self._scope.refused)

    @property
    def leaf_events(self) -> int | None:
        """A descriptor that says POLLPRI when its control group becomes empty or frozen, while there is one."""
        return self._leaf.events if self._leaf is not None else None

    @property
    def start_news(self) -> int | None:
        """A descriptor to poll for `read_start`, while a start is under way."""
        return self._starting.fileno() if self._starting is not None else None

    @property
    def first_lives(self) -> bool:
        """Whether the first process was not reaped yet, or how its start went is not known."""
        return self._first is not None or self._starting is not None

    @property
    def _shares_group(self) -> bool:
        """Whether others are in its process group: then nothing is ever sent to the group."""
        return self._program.place is Place.SHARED

    def _hold_freezer(self) -> None:
        """Have what freezes the control group at hand, if it may be needed.

        It was tried before campaigning.  Should it be gone since, there is no command that may not be frozen.

        Raises:
            NoControlGroupError: it is.
        """
        if self._settings.on_disconnect is OnDisconnect.PAUSE:
            if self._leaf is None:
                raise NoControlGroupError(f"cannot freeze a command: {self._scope.detail}")
            self._leaf.hold_freezer()

    def start(self, act: Act, lease_start: Instant, added: dict[str, str], *, frozen: bool = False) -> None:
        """Fork a child that executes the command, or a hook, with this added to its environment.

        ``frozen``: it does nothing before it is thawed.

        Nothing of what was started before is left, so that the scope is this one's alone.

        Raises:
            OSError: there is none; nothing exists then.
            NoControlGroupError: it could not be frozen.
        """
        self._program = program_of(act, self._settings)
        if not self._is_scope_fresh:
            # The one before may have divided its control group, or made it one that cannot be joined.
            self._leaf = self._scope.renew()
            if act is not Act.ON_LOST:  # which is never frozen
                self._hold_freezer()
            self._reserve = Reserve()
            self._kill_passes = self.signalled = self.killed = 0
            self.was_executed = False
        self._is_scope_fresh = False
        if frozen:
            self.freeze(frozen=True)
        self._starting = spawn.start(self._settings, self._program, added, lease_start, self._leaf)
        self._first = self._starting.pid

    def read_start(self) -> tuple[int, spawn.Verdict] | None:
        """Return the first process's pid and how the start went, once; None while that is open."""
        verdict = self._starting.read() if self._starting is not None else None
        if self._starting is None or verdict is None:
            return None
        pid, self._starting = self._starting.pid, None
        self.was_executed = verdict.executed
        return pid, verdict

    def reap(self) -> Reaped:
        """Reap what has ended.  Only here, so that a pid not seen here yet is still the process that it was."""
        reaping = self._scope.reap()
        first = None
        others = []
        for pid, status in reaping.ended:
            # The race: its number may be another's, and reaped too, before this round is over; the first counts.
            if pid == self._first:
                self._first, first = None, status
            else:
                others.append((pid, status))
        # Whatever it left is our child by now; a search could miss it, the kernel says whether there is any.
        alone = first is not None and reaping.childless and not self._scope.is_inhabited()
        return Reaped(first=first, alone=alone, others=others)

    def read_stop(self) -> Stop | None:
        """Return a stop of the first process, once for each; never reaps."""
        if self._first is None:
            return None
        try:
            stop = os.waitid(os.P_PID, self._first, os.WSTOPPED | os.WNOHANG)
        except ChildProcessError:
            return None  # It has ended since; the next round reaps it.
        if stop is None:
            return None
        self._stop = Stop(self._first, stop.si_status)
        return self._stop

    def present_stop(self) -> Stop | None:
        """Return the stop that lasts, though `read_stop` may have returned it; None if the first process runs."""
        self.read_stop()
        status = system.process_status(self._first) if self._first is not None else None
        return self._stop if status is not None and status.is_stopped else None

    def send_stop_signal(self) -> None:
        """Send the stop signal to everything of it."""
        self._reserve.give_up()
        group = None if self._shares_group else self._first
        self.signalled = self._scope.send(self._program.stop_signal, group)
        # A stopped process takes a handled signal only when it is continued.
        self._scope.send(signal.SIGCONT, group)

    def forward(self, number: int, *, to_group: bool) -> bool:
        """Send a signal to the first process or its group, if it is not reaped; False when the kernel refuses."""
        if self._first is None:
            return True
        try:
            # Not reaped yet, so neither number can be a stranger's.
            if to_group and self._shares_group:
                # It may have left the group for one of its own since.
                return self._scope.send_to_members(number, os.getpgid(self._first))
            os.killpg(self._first, number) if to_group else os.kill(self._first, number)
        except ProcessLookupError:
            return True
        except PermissionError:
            return False
        return True

    def freeze(self, *, frozen: bool) -> None:
        """Have all of it that is in its control group stand still, or go on; what has left that is not reached.

        Raises:
            OSError: the kernel refuses, which is no state to go on in.
        """
        assert self._leaf is not None, "without a control group nothing was started"
        self._leaf.freeze(frozen=frozen)

    def is_frozen(self) -> bool:
        """Say whether all of it that is in its control group stands still."""
        return self._leaf is not None and self._leaf.is_frozen()

    def kill(self) -> None:
        """Make one pass of SIGKILL over everything of it."""
        self._reserve.give_up()
        met = self._scope.kill()
        self._kill_passes += 1
        self.killed = met if self._kill_passes == 1 else self.killed

    def is_gone(self) -> bool:
        """Say whether everything of it is proven gone; ask it once `first_lives` is false."""
        self.leaf_is_emptying = False
        self._reserve.give_up()
        if not self._scope.reap().childless:
            return False
        if self._scope.is_unpopulated():
            return True
        # A process that somebody has moved there is no reason to hurry: it may live for long.
        self.leaf_is_emptying = not self._scope.is_inhabited()
        return False

    def kill_until_gone(self) -> None:
        """Kill it and wait for the proof, whatever stands in the way."""
        self._reserve.give_up()
        pause = deadlines.KILL_REPEAT_SHORTEST
        while True:
            # What is short now, descriptors or memory, may have been the fault; it passes, the command would not.
            with contextlib.suppress(OSError, MemoryError):
                self._scope.kill()
                if self.is_gone():
                    break
            time.sleep(pause)
            pause = min(2 * pause, deadlines.KILL_REPEAT_LONGEST)
        self.remove_leaf()

    def remove_leaf(self) -> bool:
        """Remove the control group of a command that is gone or never was; False when that is not possible."""
        self._leaf = None
        return self._scope.close()
