"""A model of the guard's process: ``termination.step``, and the loop around it as ``zkleader.guard.loop`` has it."""

from collections import deque
from typing import TYPE_CHECKING

from model_command import Command, Surroundings
from model_hook import Hook
from model_release import Release

from zkleader.core import deadlines, guard_actions, guard_events, guard_state, termination, wire
from zkleader.core.acts import Act
from zkleader.core.guard_state import Phase
from zkleader.core.lease import Instant

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
        self.state = guard_state.State(timing=around.timing, hooks=around.hooks, on_disconnect=around.on_disconnect)
        self.alive = True
        self.frozen_at: float | None = None
        self.was_frozen = False
        self.was_killed = False
        self.thawed_at = 0.0
        """True time."""
        self.freezes = False
        """The control group of its command is frozen."""
        self.told_at: float | None = None
        """True time of the command's start, as asked for."""
        self.confirmed: Instant | None = None
        """The lease as last told by the supervisor."""
        self.suspended_at: Instant | None = None
        """The last suspension that it was told of."""
        self.command: Command | None = None
        self.around = around
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
        at = self.around.timeline.now + seconds + self.around.lateness()
        if self._wakes_at is None or at < self._wakes_at:
            self._wakes_at = at
            self.around.timeline.at(at, lambda: self._run(at))

    def command_hangs(self) -> bool:
        """Whether it has a command that never goes."""
        return self.command is not None and self.command.hangs

    def kill(self) -> None:
        """Be killed: PDEATHSIG takes the command with it."""
        if not self.alive:
            return
        self.alive = False
        self.was_killed = True
        self.note("killed")
        if self.command is not None:
            self.command.end(status=9)
        self.supervisor.wake()

    def freeze(self) -> None:
        """Stop running."""
        self.was_frozen = True
        self.frozen_at = self.around.timeline.now

    def thaw(self) -> None:
        """Run again."""
        self.frozen_at = None
        self.thawed_at = self.around.timeline.now
        self.wake()

    def note(self, what: str) -> None:
        """Add to the trace."""
        self.around.timeline.note(f"guard {self.around.host}", what)

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
            self._heard_at, self._doubted_at = self.around.clocks.now().monotonic, None
        while self._heard:
            message = self._heard.popleft()
            self._note_told(message)
            self._handle(message)
        self._watch_supervisor()
        self._handle(guard_events.Tick())
        for event in gone:
            self._handle(event)
        if self.alive:
            self.wake(self.around.clocks.true_seconds(self._seconds_to_wait() + 0.001))

    def _note_told(self, message: wire.Message) -> None:
        """Keep for the judge what was said, whatever is made of it."""
        if isinstance(message, wire.Start):
            self.told_at = self.around.timeline.now
        if isinstance(message, wire.Start | wire.Extend):
            self.confirmed = message.lease_start
        if isinstance(message, wire.Suspended):
            self.suspended_at = message.suspended_at

    def _seconds_to_wait(self) -> float:
        now, silence = self.around.clocks.now(), self.around.timing.supervisor_silence
        waits = [max(SILENCE_DOUBT, silence - (now.monotonic - self._heard_at))]
        if (due := deadlines.due_in(self.state, now)) is not None:
            waits.append(due)
        if self.state.phase is not Phase.IDLE:
            waits.append(LONGEST_POLL)
        return min(waits)

    def _watch_supervisor(self) -> None:
        supervisor, timing = self.supervisor, self.around.timing
        if supervisor.guard is not self and supervisor.alive:
            return  # dismissed
        now = self.around.clocks.now().monotonic
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
        if now - self._heard_at <= self.around.timing.supervisor_silence:
            return False
        if self._doubted_at is None:
            self._doubted_at = now
            return False
        return now - self._doubted_at >= SILENCE_DOUBT

    def _handle(self, event: guard_events.Event) -> None:
        before = self.state
        self.state, done = termination.step(self.state, event, self.around.clocks.now())
        self.around.judge.guard_stepped(before, self.state)
        for action in done:
            self._perform(action)

    def _freeze(self) -> None:
        self.freezes = True
        if self.command is not None:
            self.command.freeze()
        self.around.timeline.after(self.around.timeline.between(0.0, 0.005), self._notice_frozen)

    def _notice_frozen(self) -> None:
        if self.freezes:
            self.notice(guard_events.Frozen())

    def _perform(self, action: guard_actions.Action) -> None:
        match action:
            case guard_actions.Spawn(act=act, lease_start=lease_start, environment=environment, frozen=frozen):
                token, slot = int(environment["ZKLEADER_TOKEN"]), int(environment["ZKLEADER_SLOT"])
                self.freezes = False
                self.note(f"spawns {act.value}")
                if act is Act.COMMAND:
                    self.command = Command(self.around, self, lease_start, token, slot)
                else:
                    self.command = Hook(self.around, self, lease_start, token, slot, act)
                if frozen:
                    self._freeze()
            case guard_actions.SendStopSignal():
                self.note(f"stops ({self.state.cause})")
                if self.command is not None:
                    self.command.stop()
            case guard_actions.Freeze():
                self.note("freezes")
                self._freeze()
            case guard_actions.Thaw():
                self.note("thaws")
                self.around.judge.thaws(self)
                self.freezes = False
                if self.command is not None:
                    self.command.thaw()
            case guard_actions.Kill():
                if self.command is not None:
                    self.command.kill()
            case guard_actions.Report(message=message):
                self.supervisor.hear(self, message)
            case guard_actions.KillSupervisor():
                self.supervisor.die()
            case guard_actions.ReleaseForSupervisor(guid=guid):
                self.note("releases for the supervisor")
                self._release = Release(self.around, guid, lambda: self.notice(guard_events.ReleaseEnded()))
            case guard_actions.AbandonRelease():
                if self._release is not None:
                    self._release.abandon()
            case guard_actions.Exit():
                self.note("exits")
                self.alive = False
