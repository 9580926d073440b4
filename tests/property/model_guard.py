"""A model of the guard's process: ``termination.step``, the command that it keeps, and the program that releases.

The command is one thing that acts from exec until everything of it is gone; a stubborn one cares for SIGKILL only, and
takes its time even then.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from judge import Judge
from model_ensemble import Ensemble, Way
from virtual_time import Clocks, Timeline

from zkleader.core import actions, guard_actions, guard_events, guard_state, queue, records, termination, wire
from zkleader.core.guard_state import Phase
from zkleader.core.lease import Instant, Timing

if TYPE_CHECKING:
    from model_supervisor import Supervisor

LONGEST_POLL = 0.25
"""As in the guard's loop."""
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

    def end(self, *, status: int = 0) -> None:
        """Be gone, all of it."""
        if self._over:
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

    def lateness(self) -> float:
        """Return by how much the end of the holder's lease, less the margin, has passed on the holder's clocks."""
        lease_start = self.guard.state.lease_start
        assert lease_start is not None
        return self._around.clocks.now().held_since(lease_start) - self._around.timing.gone_after


class Guard:
    """One guard."""

    def __init__(self, around: Surroundings, supervisor: "Supervisor") -> None:
        self.state = guard_state.State(timing=around.timing)
        self.alive = True
        self.frozen_at: float | None = None
        self.was_frozen = False
        self.command: Command | None = None
        self._around = around
        self._supervisor = supervisor
        self._heard: deque[wire.Message] = deque()
        self._noticed: deque[guard_events.Event] = deque()
        self._wakes_at: float | None = None
        self._gone_told = False
        self._release: _Release | None = None

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

    def kill(self) -> None:
        """Be killed: PDEATHSIG takes the command with it."""
        if not self.alive:
            return
        self.alive = False
        self.note("killed")
        if self.command is not None:
            self.command.end(status=9)
        self._supervisor.wake()

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
        while self._heard:
            self._handle(self._heard.popleft())
        self._watch_supervisor()
        self._handle(guard_events.Tick())
        for event in gone:
            self._handle(event)
        due = termination.due_in(self.state, self._around.clocks.now())
        seconds = LONGEST_POLL if due is None else min(LONGEST_POLL, due + 0.001)
        if self.alive and (self.state.phase is not Phase.IDLE or due is not None):
            self.wake(self._around.clocks.true_seconds(seconds))

    def _watch_supervisor(self) -> None:
        supervisor, timing = self._supervisor, self._around.timing
        if supervisor.guard is not self and supervisor.alive:
            return  # dismissed
        if not supervisor.alive:
            if not self._gone_told:
                self._gone_told = True
                self._handle(guard_events.SupervisorGone())
        elif supervisor.stuck_for() > timing.supervisor_silence + LONGEST_POLL:
            self._handle(guard_events.SupervisorSilent())
        elif self.state.phase is Phase.GONE and (supervisor.frozen or supervisor.stuck_for() > timing.lease / 5):
            self._handle(guard_events.SupervisorAbsent())

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
                self._supervisor.hear(self, message)
            case guard_actions.KillSupervisor():
                self._supervisor.die()
            case guard_actions.ReleaseForSupervisor(guid=guid):
                self.note("releases for the supervisor")
                self._release = _Release(self._around, guid, lambda: self.notice(guard_events.ReleaseEnded()))
            case guard_actions.AbandonRelease():
                if self._release is not None:
                    self._release.abandon()
            case guard_actions.Exit():
                self.note("exits")
                self.alive = False


class _Release:
    """The program that releases for a dead or frozen supervisor, as ``zk.release`` does it."""

    def __init__(self, around: Surroundings, guid: str, ended: Callable[[], None]) -> None:
        self._around = around
        self._guid = guid
        self._ended = ended
        self._over = False
        self._tries = 5
        around.timeline.after(around.timeline.between(0.1, 0.4), self._try)

    def abandon(self) -> None:
        """Be killed."""
        if not self._over:
            self._end()

    def _end(self) -> None:
        self._over = True
        self._ended()

    def _try(self) -> None:
        around, ensemble = self._around, self._around.ensemble
        if self._over:
            return
        reachable = [
            server
            for server in ensemble.servers
            if not server.cut and not ensemble.cuts.get((around.host, server.number), Way.NONE)
        ]
        if not ensemble.quorum or not reachable:
            around.timeline.after(0.1, self._try)
            return
        request = self._request(ensemble.log[around.timeline.random.choice(reachable).view])
        if request is None:
            self._end()
        else:
            around.timeline.after(ensemble.latency(around.host, Way.UP), lambda: self._commit(request))

    def _commit(self, request: actions.Multi) -> None:
        self._around.ensemble.commit(request)  # sent before it may have been abandoned
        if self._over:
            return
        self._tries -= 1
        if self._tries:  # whatever came of it: a further look proves that nothing is left
            self._around.timeline.after(self._around.ensemble.latency(self._around.host, Way.DOWN), self._try)
        else:
            self._end()

    def _request(self, tree: dict[str, object]) -> actions.Multi | None:
        operations: list[actions.SetData | actions.Delete] = []
        path = f"{self._around.election}/lease-0"
        if path in tree:
            data, stat = tree[path].data, tree[path].stat  # type: ignore[attr-defined]
            record = records.parse_lease_record(data)
            if isinstance(record, records.LeaseRecord) and record.holder == self._guid and not record.released:
                freed = records.released(record, stat, beat=record.beat, reason="supervisor_gone", status=None)
                operations.append(actions.SetData(path=path, data=records.encode(freed), version=stat.version))
        prefix = f"{self._around.election}/{queue.candidate_prefix(self._guid)}"
        operations += [actions.Delete(path=path) for path in tree if path.startswith(prefix)]
        return actions.Multi(operations=tuple(operations)) if operations else None
