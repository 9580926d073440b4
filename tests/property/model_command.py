"""A model of a host's surroundings, and of the command that its guard keeps.

The command is one thing that acts from exec until everything of it is gone; a stubborn one cares for SIGKILL only, and
takes its time even then.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from judge import Judge
from model_ensemble import Ensemble
from virtual_time import Clocks, Timeline

from zkleader.core import guard_events, wire
from zkleader.core.lease import Instant, Timing

if TYPE_CHECKING:
    from model_guard import Guard

SLOW_KILL = 0.12
"""Seconds of the kill allowance that are left for the guard's own lateness."""


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What every process of a host lives in."""

    timeline: Timeline
    ensemble: Ensemble
    judge: Judge
    clocks: Clocks
    timing: Timing
    host: int
    election: str

    def lateness(self) -> float:
        """Draw how late a process is woken: mostly in no time, now and then at a busy moment."""
        return self.timeline.between(0, 0.05) if self.timeline.chance(0.03) else self.timeline.between(0, 0.002)


class Command:
    """Everything of the command."""

    def __init__(self, around: Surroundings, guard: "Guard", lease_start: Instant, token: int) -> None:
        self.token = token
        self.guard = guard
        self.acts = False
        self.hangs = False
        """In the kernel's hands for ever: SIGKILL does nothing to it."""
        self._around = around
        self._lease_start = lease_start
        self._stubborn = around.timeline.chance(0.5)
        self._over = False
        self._first_reaped = False
        self._killed = False
        around.timeline.after(around.timeline.between(0.0005, 0.02), self._execute)

    def stop(self) -> None:
        """Take the stop signal."""
        if not self._stubborn and self.acts:
            grace = self._around.timing.grace
            self._around.timeline.after(self._around.timeline.between(0.0, 0.9 * grace), lambda: self.end(status=15))

    def kill(self) -> None:
        """Take SIGKILL: most die at once, some are in the kernel for a while."""
        if self._killed:
            return
        self._killed = True
        # By the host's clocks, which may run 8 % fast, and half a per cent of their own.
        timeline, longest = self._around.timeline, self._around.timing.kill_allowance / 1.09 - SLOW_KILL
        longest *= 0.25 if self.guard.was_frozen else 1.0
        timeline.after(timeline.between(0.0, longest if timeline.chance(0.5) else 0.01), lambda: self.end(status=9))

    def leave_leftovers(self) -> None:
        """Let the first process end, and something of it stay."""
        if self.acts and not self._first_reaped:
            self._first_reaped = True
            self.guard.notice(guard_events.FirstReaped(wait_status=0, alone=False))

    def hang(self) -> None:
        """Never end."""
        self.hangs = True
        self._around.timeline.note(f"host {self._around.host}", "the command hangs for ever")

    def is_out_of_reach(self) -> bool:
        """Whether it hangs beyond the end of its lease: for such a host the promise does not hold."""
        return self.hangs and self.lateness() > 0

    def end(self, *, status: int = 0) -> None:
        """Be gone, all of it."""
        if self._over or self.hangs:
            return
        self._over = True
        if self.acts:
            self.acts = False
            self._around.judge.ends(self)
        if not self._first_reaped:
            self.guard.notice(guard_events.FirstReaped(wait_status=status, alone=True))
        self.guard.notice(guard_events.TreeGone(signalled=1, killed=0))

    def _execute(self) -> None:
        if self._over or self._killed:
            self.end(status=9)
            return
        # The look at the clock just before exec.
        now = self._around.clocks.now()
        if now.held_since(self._lease_start) >= self._around.timing.stop_after:
            self.guard.notice(guard_events.NotExecuted(refusal=wire.TooLate()))
            self.end(status=0)
            return
        self.acts = True
        self._around.judge.begins(self)
        self.guard.notice(guard_events.Executed(pid=1))

    def is_restart_of(self, before: "Command") -> bool:
        """Whether it is another run in the same tenure: of one supervisor, each run with a guard of its own."""
        is_same = self.token == before.token and self.guard.supervisor is before.guard.supervisor
        return is_same and self.guard is not before.guard

    def lateness(self) -> float:
        """Return by how much the end of the holder's lease, less the margin, has passed on the holder's clocks."""
        lease_start = self.guard.state.lease_start
        assert lease_start is not None
        return self._around.clocks.now().held_since(lease_start) - self._around.timing.gone_after
