"""A model of the guard's process: ``termination.step``, and the loop around it as ``zkleader.guard.loop`` has it."""

from collections import deque
from typing import TYPE_CHECKING

from model_command import Command, Surroundings
from model_release import Release

from zkleader.core import guard_actions, guard_events, guard_state, termination, wire
from zkleader.core.guard_state import Phase

if TYPE_CHECKING:
    from model_supervisor import Supervisor

LONGEST_POLL = 0.25
"""As in the guard's loop."""
SILENCE_DOUBT = 0.25
ABSENT_AFTER_INTERVALS = 2
"""As in the guard's watch."""


class Guard:
    """One guard."""

    def __init__(self, around: Surroundings, supervisor: "Supervisor") -> None:
        self.state = guard_state.State(timing=around.timing)
        self.alive = True
        self.frozen_at: float | None = None
        self.was_frozen = False
        self.command: Command | None = None
        self._around = around
        self.supervisor = supervisor
        self._heard: deque[wire.Message] = deque()
        self._noticed: deque[guard_events.Event] = deque()
        self._wakes_at: float | None = None
        self._gone_told = False
        self._heard_at = around.clocks.now().monotonic
        self._doubted_at: float | None = None
        self._release: Release | None = None

    def hear(self, message: wire.Message) -> None:
        """Take a message of the supervisor's."""
        self._heard.append(message)
        self.wake()

    def notice(self, event: guard_events.Event) -> None:
        """Take what the kernel tells."""
        self._noticed.append(event)
        self.wake()

    def wake(self, seconds: float = 0.0) -> None:
        """Be woken, at the latest in so many seconds."""
        at = self._around.timeline.now + seconds + self._around.lateness()
        if self._wakes_at is None or at < self._wakes_at:
            self._wakes_at = at
            self._around.timeline.at(at, lambda: self._run(at))

    def command_hangs(self) -> bool:
        """Whether it has a command that never goes."""
        return self.command is not None and self.command.hangs

    def kill(self) -> None:
        """Be killed: PDEATHSIG takes the command with it."""
        if not self.alive:
            return
        self.alive = False
        self.note("killed")
        if self.command is not None:
            self.command.end(status=9)
        self.supervisor.wake()

    def freeze(self) -> None:
        """Stop running."""
        self.was_frozen = True
        self.frozen_at = self._around.timeline.now

    def thaw(self) -> None:
        """Run again."""
        self.frozen_at = None
        self.wake()

    def note(self, what: str) -> None:
        """Add to the trace."""
        self._around.timeline.note(f"guard {self._around.host}", what)

    def _run(self, at: float) -> None:
        if at != self._wakes_at:
            return
        self._wakes_at = None
        if not self.alive or self.frozen_at is not None:
            return
        gone: list[guard_events.Event] = []
        while self._noticed:
            event = self._noticed.popleft()
            if isinstance(event, guard_events.TreeGone):
                gone.append(event)
            else:
                self._handle(event)
        if self._heard:
            self._heard_at, self._doubted_at = self._around.clocks.now().monotonic, None
        while self._heard:
            self._handle(self._heard.popleft())
        self._watch_supervisor()
        self._handle(guard_events.Tick())
        for event in gone:
            self._handle(event)
        if self.alive:
            self.wake(self._around.clocks.true_seconds(self._seconds_to_wait() + 0.001))

    def _seconds_to_wait(self) -> float:
        now, silence = self._around.clocks.now(), self._around.timing.supervisor_silence
        waits = [max(SILENCE_DOUBT, silence - (now.monotonic - self._heard_at))]
        if (due := termination.due_in(self.state, now)) is not None:
            waits.append(due)
        if self.state.phase is not Phase.IDLE:
            waits.append(LONGEST_POLL)
        return min(waits)

    def _watch_supervisor(self) -> None:
        supervisor, timing = self.supervisor, self._around.timing
        if supervisor.guard is not self and supervisor.alive:
            return  # dismissed
        now = self._around.clocks.now().monotonic
        if not supervisor.alive:
            if not self._gone_told:
                self._gone_told = True
                self._handle(guard_events.SupervisorGone())
        elif self._is_silent(now) and not supervisor.frozen:
            self._handle(guard_events.SupervisorSilent())
        elif self.state.phase is Phase.GONE and (
            supervisor.frozen or now - self._heard_at > ABSENT_AFTER_INTERVALS * timing.renewal_interval
        ):
            self._handle(guard_events.SupervisorAbsent())

    def _is_silent(self, now: float) -> bool:
        if now - self._heard_at <= self._around.timing.supervisor_silence:
            return False
        if self._doubted_at is None:
            self._doubted_at = now
            return False
        return now - self._doubted_at >= SILENCE_DOUBT

    def _handle(self, event: guard_events.Event) -> None:
        before = self.state
        self.state, done = termination.step(self.state, event, self._around.clocks.now())
        self._around.judge.guard_stepped(before, self.state)
        for action in done:
            self._perform(action)

    def _perform(self, action: guard_actions.Action) -> None:
        match action:
            case guard_actions.Spawn(lease_start=lease_start, environment=environment):
                self.note("spawns")
                self.command = Command(self._around, self, lease_start, int(environment["ZKLEADER_TOKEN"]))
            case guard_actions.SendStopSignal():
                self.note(f"stops ({self.state.cause})")
                if self.command is not None:
                    self.command.stop()
            case guard_actions.Kill():
                if self.command is not None:
                    self.command.kill()
            case guard_actions.Report(message=message):
                self.supervisor.hear(self, message)
            case guard_actions.KillSupervisor():
                self.supervisor.die()
            case guard_actions.ReleaseForSupervisor(guid=guid):
                self.note("releases for the supervisor")
                self._release = Release(self._around, guid, lambda: self.notice(guard_events.ReleaseEnded()))
            case guard_actions.AbandonRelease():
                if self._release is not None:
                    self._release.abandon()
            case guard_actions.Exit():
                self.note("exits")
                self.alive = False
