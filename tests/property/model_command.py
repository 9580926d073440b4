"""A model of a host's surroundings, and of the command that its guard keeps.

The command is one thing that acts from exec until everything of it is gone; a stubborn one cares for SIGKILL only, and
takes its time even then.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judge import Judge
from model_ensemble import Ensemble
from virtual_time import Clocks, Timeline

from zkleader.core import guard_events, wire
from zkleader.core.acts import Act, Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import Instant, Timing

if TYPE_CHECKING:
    from model_guard import Guard

SLOW_KILL = 0.12
"""Seconds of the kill allowance that are left for the guard's own lateness."""


@dataclass
class Mood:
    """How hooks behave: calm ones do what they are there for."""

    is_calm: bool = False


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
    hooks: Hooks
    mood: Mood
    leaders: int = 1
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE

    def lateness(self) -> float:
        """Draw how late a process is woken: mostly in no time, now and then at a busy moment."""
        return self.timeline.between(0, 0.05) if self.timeline.chance(0.03) else self.timeline.between(0, 0.002)


@dataclass(frozen=True, kw_only=True)
class Job:
    """A command that ends by itself after so many seconds, with this raw wait status, and is to run once per period."""

    takes: float
    wait_status: int
    once_per: float
    """Seconds."""
    retry_failed: bool


class Command:
    """Everything of the command."""

    act = Act.COMMAND

    def __init__(self, around: Surroundings, guard: "Guard", lease_start: Instant, token: int, slot: int) -> None:
        self.token = token
        self.slot = slot
        self.leaders = around.leaders
        """So many may act, as its host has it."""
        self.guard = guard
        self.acts = False
        self.hangs = False
        """In the kernel's hands for ever: neither SIGKILL nor freezing does anything to it."""
        self.is_frozen = guard.freezes
        """Forked into a frozen control group, it stands still before its first instruction."""
        self._deferred: list[Callable[[], None]] = []
        """What it does as soon as it goes on."""
        self._around = around
        self._lease_start = lease_start
        self._stubborn = around.timeline.chance(0.5)
        self._over = False
        self._first_reaped = False
        self.is_killed = False
        around.timeline.after(around.timeline.between(0.0005, 0.02), self._execute)

    def stop(self) -> None:
        """Take the stop signal."""
        if not self._stubborn and self.acts:
            grace = self._around.timing.grace
            seconds = self._around.timeline.between(0.0, 0.9 * grace)
            self._when_it_may(lambda: self._around.timeline.after(seconds, lambda: self._when_it_may(self._obey)))

    def _obey(self) -> None:
        self.end(status=15)

    def freeze(self) -> None:
        """Stand still."""
        self.is_frozen = True

    def thaw(self) -> None:
        """Go on."""
        self.is_frozen = False
        deferred, self._deferred = self._deferred, []
        for happen in deferred:
            happen()

    def _when_it_may(self, happen: Callable[[], None]) -> None:
        """Do something of its own, now or when it goes on."""
        self._deferred.append(happen) if self.is_frozen else happen()

    @property
    def may_act(self) -> bool:
        """Whether it may do anything at this moment."""
        return self.acts and not self.is_frozen and not self.is_killed and not self.hangs

    def kill(self) -> None:
        """Take SIGKILL, frozen or not: most die at once, some are in the kernel for a while."""
        if self.is_killed:
            return
        self.is_killed = True
        # By the host's clocks, which may run 8 % fast, and half a per cent of their own.
        timeline, longest = self._around.timeline, self._around.timing.kill_allowance / 1.09 - SLOW_KILL
        longest *= 0.25 if self.guard.was_frozen else 1.0
        timeline.after(timeline.between(0.0, longest if timeline.chance(0.5) else 0.01), lambda: self.end(status=9))

    @property
    def has_succeeded(self) -> bool:
        """Whether it is a hook that has ended well."""
        return False

    def took_too_long(self) -> bool:
        """Whether it is a hook that was there beyond its time-out."""
        return False

    def leave_leftovers(self) -> None:
        """Let the first process end, and something of it stay."""
        if self.acts and not self._first_reaped:
            self._first_reaped = True
            self._around.judge.ends_by_itself(self, 0)
            self.guard.notice(guard_events.FirstReaped(wait_status=0, alone=False))

    def hang(self) -> None:
        """Never end."""
        self.hangs = True
        self._around.timeline.note(f"host {self._around.host}", "the command hangs for ever")

    def is_out_of_reach(self) -> bool:
        """Whether it hangs beyond the end of its lease: for such a host the promise does not hold."""
        return self.hangs and self.lateness() > 0

    def finish(self, wait_status: int) -> None:
        """End by itself, with this status."""
        if self.acts and not self._first_reaped and not self.hangs:
            self._around.judge.ends_by_itself(self, wait_status)
        self.end(status=wait_status)

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
        if self.is_frozen and not self._over and not self.is_killed:
            self._deferred.append(self._execute)
            return
        if self._over or self.is_killed:
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
        job = self.guard.supervisor.job
        if job is not None:
            self._around.timeline.after(job.takes, lambda: self.finish(job.wait_status))

    def is_restart_of(self, before: "Command") -> bool:
        """Whether it is another run, or a hook, in the same tenure: one guard has all of them."""
        return self.token == before.token and self.guard is before.guard and self is not before

    def lateness(self) -> float:
        """Return by how much the end of the holder's lease, less the margin, has passed on the holder's clocks."""
        lease_start = self.guard.state.lease_start
        assert lease_start is not None
        return self._around.clocks.now().held_since(lease_start) - self._around.timing.gone_after
