"""A model of a program that leads by itself, through the library: it stands where a host otherwise has its guard.

What the supervisor's model tells its guard is what the library's board shows, and what this one answers is the
program's word that it has stopped.  It acts as long as the library allows, to the last moment that remains by its own
clocks; after a loss that it is told of it stops when it likes before that.  Frozen it does not act, and it looks at the
clock before it acts again, as programs have to.
"""

from typing import TYPE_CHECKING

from model_command import Surroundings

from zkleader.core import wire
from zkleader.core.acts import Act
from zkleader.core.lease import Instant

if TYPE_CHECKING:
    from model_supervisor import Supervisor

BEFORE_THE_END = 0.001
"""Seconds: an act takes no time here, but to end at the very instant would be late by a rounding."""


class Work:
    """What the program does under one tenure; to the judge it is what a command is."""

    act = Act.COMMAND
    is_frozen = False
    """Never: there is no command."""
    hangs = False
    """Never: nobody waits for a proof that it is gone."""

    def __init__(self, program: "Program", token: int, slot: int, leaders: int) -> None:
        self.token = token
        self.slot = slot
        self.leaders = leaders
        self.acts = True
        self._program = program

    def end(self, *, status: int = 0) -> None:  # noqa: ARG002 # a command has one
        """Stop of its own will."""
        self._program.stop()

    def hang(self) -> None:
        """Be deaf to a loss: it stops by the clock alone, and never says so."""
        self._program.is_deaf = True

    def finish(self, wait_status: int) -> None:
        """Stop of its own will."""
        self.end(status=wait_status)

    def leave_leftovers(self) -> None:
        """Leave nothing behind: there is nothing but the program."""

    def is_restart_of(self, _before: object) -> bool:
        """Whether it is another run in the same tenure."""
        return False

    def took_too_long(self) -> bool:
        """Whether it is a hook that did."""
        return False

    def is_out_of_reach(self) -> bool:
        """Whether the promise does not hold for it."""
        return False

    def lateness(self) -> float:
        """Return by how much the deadline has passed on the program's clocks."""
        return -self._program.remaining()


class Program:
    """One campaign of a program, and its work."""

    frozen_at = None
    """It is frozen with its loop, or not at all."""

    def __init__(self, around: Surroundings, supervisor: "Supervisor") -> None:
        self.supervisor = supervisor
        self.alive = True
        self.is_deaf = False
        self.command: Work | None = None
        self._around = around
        self._lease_start: Instant | None = None
        self._cause = wire.Cause.ENDED
        self._has_said = False

    def hear(self, message: wire.Message) -> None:
        """See what the board shows."""
        match message:
            case wire.Beat(number=number):
                self.supervisor.hear(self, wire.BeatAnswer(number=number))
            case wire.Start(lease_start=lease_start, environment=environment):
                self._lease_start = lease_start
                self._begin(int(environment["ZKLEADER_TOKEN"]), int(environment["ZKLEADER_SLOT"]))
            case wire.Extend(lease_start=lease_start):
                self._lease_start = lease_start
            case wire.Stop(cause=cause):
                self._cause = cause
                longest = self.remaining() if cause.is_final_loss else self._around.timing.stop_timeout
                seconds = self._around.timeline.between(0.0, max(0.0, longest))
                self._around.timeline.after(seconds, lambda: self.supervisor.when_awake(self._stop_as_told))
            case wire.KillNow():
                self.stop()
            case wire.Dismiss():
                self.alive = False

    def remaining(self) -> float:
        """Return the seconds that remain, as a holder counts them."""
        assert self._lease_start is not None
        return self._around.timing.gone_after - self._around.clocks.now().held_since(self._lease_start)

    def stop(self) -> None:
        """Stop working, and say so."""
        self._end_work()
        self._say()

    def wake(self) -> None:
        """Be gone with the process."""
        if not self.supervisor.alive:
            self.alive = False
            self._end_work()

    def kill(self) -> None:
        """Be killed, with all that there is."""
        self.supervisor.die()

    def freeze(self) -> None:
        """Be stopped, all of it."""
        self.supervisor.freeze()

    def thaw(self) -> None:
        """Be continued."""
        self.supervisor.thaw()

    def command_hangs(self) -> bool:
        """Whether it has work that never ends."""
        return False

    def _begin(self, token: int, slot: int) -> None:
        assert self._lease_start is not None
        if self._around.clocks.now().held_since(self._lease_start) >= self._around.timing.stop_after:
            self._say()
            return
        self.command = Work(self, token, slot, self._around.leaders)
        self._around.judge.begins(self.command)
        self._look_at_the_clock()

    def _look_at_the_clock(self) -> None:
        if self.command is None or not self.command.acts:
            return
        left = self.remaining()
        if left > BEFORE_THE_END:
            self._around.timeline.after(left / 2, self._look_at_the_clock)
            return
        self._end_work()
        if not self.is_deaf:
            self.supervisor.when_awake(self._say)

    def _stop_as_told(self) -> None:
        if not (self.is_deaf and self._cause.is_final_loss):
            self.stop()

    def _end_work(self) -> None:
        if self.command is not None and self.command.acts:
            self.command.acts = False
            self._around.judge.ends(self.command)

    def _say(self) -> None:
        """Resign."""
        if not self.alive or self._has_said:
            return
        self._has_said = True
        self._around.timeline.note(f"host {self._around.host}", "the program has stopped")
        gone = wire.Gone(
            cause=self._cause,
            wait_status=0,
            in_time=self.remaining() > 0,
            signalled=0,
            killed=0,
            kill_began_after=0.0,
            gone_after=0.0,
            lost=False,
        )
        self.supervisor.hear(self, gone)
