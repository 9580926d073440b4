"""A model of a hook: it acts as a command does, fails, takes too long, ignores signals, and leaves things behind.

What it leaves acts on until it is killed: an on-lost that a successor's on-elected overlaps with has not undone what it
was for.
"""

from typing import TYPE_CHECKING

from model_command import Command, Surroundings

from zkleader.core import guard_events, wire
from zkleader.core.acts import Act
from zkleader.core.lease import Instant

if TYPE_CHECKING:
    from model_guard import Guard

FAILS, LEAVES, LINGERS = 0.15, 0.2, 0.2
"""How often a hook fails, leaves something behind, and takes much longer than it should."""

LATE = 0.5
"""Seconds by which the end of a hook that is killed for its time-out may be late, beyond what killing may take."""


class Hook(Command):
    """Everything of one hook."""

    def __init__(
        self, around: Surroundings, guard: "Guard", lease_start: Instant, token: int, slot: int, act: Act
    ) -> None:
        super().__init__(around, guard, lease_start, token, slot)
        self.act = act
        self._began = around.timeline.now
        self._wait_status = 0
        is_calm = around.mood.is_calm
        self._wait_status = 0 if is_calm or not around.timeline.chance(FAILS) else 3 << 8
        self._leaves = not is_calm and around.timeline.chance(LEAVES)
        lingers = not is_calm and around.timeline.chance(LINGERS)
        longest = 1.5 * max(around.timing.lease, around.hooks.timeout) if lingers else 0.05
        self._takes = around.timeline.between(0.0, longest)

    @property
    def has_succeeded(self) -> bool:
        """Whether its first process has ended well."""
        return self._first_reaped and self._wait_status == 0

    def finish(self, wait_status: int) -> None:
        """End by itself, with this status, but for what it leaves behind."""
        if self._over or self._first_reaped or not self.acts or self.hangs:
            return
        self._first_reaped = True
        self._wait_status = wait_status
        self.guard.notice(guard_events.FirstReaped(wait_status=wait_status, alone=not self._leaves))
        if not self._leaves:
            self.end()

    def leave_leftovers(self) -> None:
        """Let the first process end, and something of it stay."""
        self._leaves = True
        self.finish(0)

    def end(self, *, status: int = 0) -> None:
        """Be gone, all of it."""
        if not self._first_reaped:
            self._wait_status = status
        super().end(status=status)

    def took_too_long(self) -> bool:
        """Whether it was there for longer than anything of it may be.

        A guard that was frozen is the supervisor's to judge, and what hangs is nobody's.
        """
        around = self._around
        longest = around.hooks.timeout + around.timing.kill_allowance + LATE
        return not self.guard.was_frozen and around.timeline.now - self._began > 1.1 * longest

    def _execute(self) -> None:
        if self.is_frozen and not self._over and not self.is_killed:
            self._deferred.append(self._execute)
            return
        if self._over or self.is_killed:
            self.end(status=9)
            return
        timing = self._around.timing
        latest = timing.stop_after if self.act is Act.ON_ELECTED else timing.kill_after
        if self._around.clocks.now().held_since(self._lease_start) >= latest:
            self.guard.notice(guard_events.NotExecuted(refusal=wire.TooLate()))
            self.end(status=127 << 8)
            return
        self.acts = True
        self._around.judge.begins(self)
        self.guard.notice(guard_events.Executed(pid=1))
        self._around.timeline.after(self._takes, lambda: self._when_it_may(self._finish))

    def _finish(self) -> None:
        self.finish(self._wait_status)
