"""A model of the supervisor's process: ``candidacy.step`` and the loop around it, as ``zkleader.supervisor`` has it."""

from collections import deque
from collections.abc import Callable

from model_client import Client
from model_command import Job, Surroundings
from model_guard import Guard
from model_program import Program
from virtual_time import Violation

from zkleader.core import candidacy, release, wire
from zkleader.core.actions import (
    Action,
    DropConnection,
    End,
    EndTenure,
    ExtendLease,
    Finish,
    Outcome,
    Send,
    StartCommand,
    StopCommand,
    Tell,
    TellSuspended,
)
from zkleader.core.acts import Hooks
from zkleader.core.beats import Beats
from zkleader.core.candidacy_state import Link, Memory, Phase
from zkleader.core.events import (
    Event,
    GuardFailed,
    LeaveAsked,
    Tick,
)
from zkleader.core.lease import Instant, Timing
from zkleader.core.records import Identity
from zkleader.core.restart import Restart
from zkleader.core.rules import Rules
from zkleader.guard_words import event_of

FAREWELL = 2.0
PROOF_PATIENCE = 5.0
"""As in ``zkleader.custody``."""

RESTART_DELAY = 0.05
"""Leases: other faults have to strike in the pauses, and these have to end before somebody must lead again."""


def _leaves_within(timing: Timing, hooks: Hooks) -> float:
    """Return the seconds after which a supervisor that was asked to end must have done so.

    The command's stopping or the silence of its guard, on-lost, then a release that nobody answers, and what a host's
    clocks and haste add.
    """
    on_lost = hooks.timeout + timing.kill_allowance if hooks.on_lost else 0.0
    stopped = max(timing.stop_timeout + timing.kill_allowance, timing.guard_silence)
    return stopped + on_lost * 1.1 + timing.lease * 1.1 + 2.0


class Supervisor:
    """One ``zkleader run``.

    ``guids`` makes names; ``ended`` is told of its end, ``guards`` of every guard that it executes, which are of this
    ``keeper``'s kind: a `Program` makes it the loop of a program that leads by itself.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        rejoins: bool,
        restart: Restart,
        guids: Callable[[], str],
        ended: Callable[["Supervisor", Outcome], None],
        guards: Callable[[Guard | Program], None],
        keeper: type[Guard | Program] = Guard,
        job: Job | None = None,
    ) -> None:
        self.alive = True
        self.host = around.host
        self.guids: list[str] = []
        """Of its candidacies so far."""
        self.job = job
        """None: the command is a service, which does not end by itself."""
        self.frozen = False
        self._guards = guards
        self._keeper = keeper
        self.guard: Guard | Program = keeper(around, self)
        guards(self.guard)
        self.client: Client
        self.state: candidacy.State
        self._around = around
        self._rejoins = rejoins
        self._restart = restart
        self._guids = guids
        self._ended = ended
        self._stuck_at: float | None = None
        self._blocked_until = 0.0
        self._beats = Beats(timing=around.timing)
        self._asked_at = 0.0
        """CLOCK_MONOTONIC before the last look for news."""
        self._failed = False
        """The guard was ended by us."""
        self._lease_start: Instant | None = None
        self.suspended_at: tuple[float, Instant] | None = None
        """When it last found its connection to be down: true time, and by its clocks."""
        self._asked_since: float | None = None
        """Since when it has been asked to end, and able to."""
        self._asked_taken = False
        self._inbox: deque[tuple[Client | None, Event]] = deque()
        self._heard: deque[wire.Message] = deque()
        self._deferred: list[Callable[[], None]] = []
        self._wakes_at: float | None = None
        self._outcome: Outcome | None = None
        self._begin(Memory(began=around.clocks.now()))

    def _begin(self, memory: Memory) -> None:
        around = self._around
        if self._asked_taken:
            raise Violation(f"host {around.host} was asked to leave, and begins another candidacy")
        identity = Identity(id=f"host-{around.host}", host="h", pid=1, command="c", version="0")
        rules = Rules(
            election=around.election,
            identity=identity,
            timing=around.timing,
            connect_timeout=15.0,
            leaders=around.leaders,
            restart=self._restart,
            restart_delay=around.timing.lease * RESTART_DELAY,
            once_per=self.job.once_per if self.job is not None else None,
            retry_failed=self.job is not None and self.job.retry_failed,
            on_disconnect=around.on_disconnect,
            hooks=around.hooks,
        )
        self._outcome = None
        guid = self._guids()
        self.guids.append(guid)
        self.note(f"begins candidacy {guid}")
        self.guard.hear(wire.Candidacy(guid=guid))
        self.state = candidacy.begin(rules, guid, memory, around.clocks.now())

        def deliver(event: Event) -> None:
            self._inbox.append((client, event))
            self.wake()

        client = Client(around.timeline, around.ensemble, self, host=around.host, timing=around.timing, deliver=deliver)
        self.client = client
        self.wake()

    # ---- what befalls it

    def freeze(self) -> None:
        """Be stopped: no thread runs."""
        self.frozen = True

    def thaw(self) -> None:
        """Be continued."""
        if not self.frozen or not self.alive:
            return
        self.frozen = False
        self._continued()
        deferred, self._deferred = self._deferred, []
        for happen in deferred:
            happen()
        self.wake()

    def stick(self) -> None:
        """Let the main loop hang, while kazoo's threads go on."""
        self._stuck_at = self._around.timeline.now

    def unstick(self) -> None:
        """Let it go on."""
        self._stuck_at = None
        self._continued()
        self.wake()

    def _continued(self) -> None:
        if self._asked_since is not None:
            self._count_patience()

    def command_hangs(self) -> bool:
        """Whether its command never goes."""
        return self.guard.command_hangs()

    def stuck_for(self) -> float:
        """Return for how long the main loop has hung; a stopped one is not stuck."""
        return 0.0 if self._stuck_at is None or self.frozen else self._around.timeline.now - self._stuck_at

    def die(self) -> None:
        """Be killed."""
        if not self.alive:
            return
        self.note("killed")
        self._end()
        self._ended(self, Outcome(end=End.REFUSED, reason="killed"))

    def leave(self) -> None:
        """Be asked to end."""
        self._inbox.append((None, LeaveAsked(signal=15)))
        if self._asked_since is None:
            self._count_patience()
        self.wake()

    @property
    def _leaves_within(self) -> float:
        return _leaves_within(self._around.timing, self._around.hooks)

    def _count_patience(self) -> None:
        self._asked_since = self._around.timeline.now
        self._around.timeline.after(self._leaves_within, self._judge_leaving)

    def _judge_leaving(self) -> None:
        if self.command_hangs():
            return  # asked while the lease is healthy, it rightly goes on renewing
        able = self.is_awake() and self._stuck_at is None and self._asked_since is not None
        if able and self._around.timeline.now >= self._asked_since + self._leaves_within:
            raise Violation(f"host {self._around.host} was asked to leave, and is still there: {self.state.phase}")

    def _end(self) -> None:
        self.alive = False
        self.client.abandon()
        self.guard.wake()

    # ---- the gate of its threads

    def when_awake(self, happen: Callable[[], None]) -> None:
        """Have something happen now, or when it is continued."""
        if self.frozen:
            self._deferred.append(happen)
        elif self.alive:
            happen()

    def is_awake(self) -> bool:
        """Whether its threads run."""
        return self.alive and not self.frozen

    # ---- the loop

    def hear(self, guard: Guard | Program, message: wire.Message) -> None:
        """Take a message of the guard's."""
        if guard is self.guard:
            self._heard.append(message)
            self.wake()

    def wake(self, seconds: float = 0.0, *, by_timer: bool = False) -> None:
        """Be woken, at the latest in so many seconds."""
        at = self._around.timeline.now + seconds + self._around.lateness()
        if self._wakes_at is None or at < self._wakes_at:
            self._wakes_at = at
            self._around.timeline.at(at, lambda: self._run(at, by_timer=by_timer))

    def note(self, what: str) -> None:
        """Add to the trace."""
        self._around.timeline.note(f"host {self._around.host}", what)

    def _run(self, at: float, *, by_timer: bool) -> None:
        if at != self._wakes_at:
            return
        self._wakes_at = None
        if not self.is_awake() or self._stuck_at is not None:
            return
        if self._is_blocked():
            self._sleep()
            return
        if by_timer:
            self._around.judge.ticked(self._around.host)
        guard_first = self._around.timeline.chance(0.5)
        if guard_first:
            self._watch_guard()
        # What comes after the end of a candidacy in one batch is left to the next: a request to end among it counts.
        while self._inbox and self._outcome is None and not self._is_blocked():
            client, event = self._inbox.popleft()
            if client is None:
                self._asked_taken = True
                self._step(event)
            elif client is self.client:
                self._step(event)
        if not guard_first:
            self._watch_guard()
        if not self._is_blocked():
            self._step(Tick())
        if self._outcome is not None:
            self._finished(self._outcome)
        if self.alive:
            self._judge_hanging()
            self._sleep()

    def _judge_hanging(self) -> None:
        """A lease that is over is not held on to because something of the command may still be there."""
        if self.command_hangs() and self.state.loss and self.state.phase in (Phase.STOPPING, Phase.HANDING_OVER):
            over = -release.useful_for(self.state, self._around.clocks.now())
            if over > 1.0 and not self._is_blocked():
                raise Violation(f"host {self._around.host} lost its lease {over:.3f} s ago, and stays for what hangs")

    def _is_blocked(self) -> bool:
        return self._around.timeline.now < self._blocked_until

    def _sleep(self) -> None:
        now = self._around.clocks.now()
        self._asked_at = now.monotonic
        if self._is_blocked():
            self.wake(self._blocked_until - self._around.timeline.now)
            return
        left = [] if self._failed else [self._beats.due_in(now, self._lease_confirmed)]
        if (step_in := candidacy.next_step_in(self.state, now)) is not None:
            left.append(step_in)
        if left:
            self.wake(self._around.clocks.true_seconds(max(0.0, min(left)) + 0.001), by_timer=True)

    def _step(self, event: Event) -> None:
        if self._outcome is not None:
            return
        now = self._around.clocks.now()
        was_up = self.state.link is Link.UP
        self.state, done = candidacy.step(self.state, event, now)
        if was_up and self.state.link is Link.DOWN:
            self.suspended_at = (self._around.timeline.now, now)
        for action in done:
            self._perform(action, now)

    def _perform(self, action: Action, now: Instant) -> None:
        match action:
            case Send(number=number, request=request):
                self._around.judge.requested(self._around.host)
                self.client.send(number, request)
            case DropConnection():
                self.client.drop()
            case Tell(event=event, level=level, facts=facts):
                if level != "debug":
                    self.note(f"{event} {facts}")
            case Finish(outcome=outcome):
                self._outcome = outcome
            case StartCommand(lease_start=lease_start, token=token, slot=slot):
                self._beats = self._beats.but(has_command=True)
                self._lease_start = lease_start
                environment = {"ZKLEADER_TOKEN": str(token), "ZKLEADER_SLOT": str(slot)}
                self._tell_guard(wire.Start(lease_start=lease_start, environment=environment))
            case ExtendLease(lease_start=lease_start):
                assert self._lease_start is not None
                self._around.judge.lease_extended(self._lease_start, now, self._around.timing.lease)
                self._lease_start = lease_start
                self._tell_guard(wire.Extend(lease_start=lease_start))
            case TellSuspended(suspended_at=suspended_at):
                self._tell_guard(wire.Suspended(suspended_at=suspended_at))
            case StopCommand(cause=cause):
                self._tell_guard(wire.Stop(cause=cause, reason=self.state.loss))
            case EndTenure(reason=reason):
                self._tell_guard(wire.EndTenure(reason=reason))
            case _:
                self._tell_guard(wire.KillNow())

    def _finished(self, outcome: Outcome) -> None:
        self.note(f"finished: {outcome.end.value} {outcome.reason}")
        if self.command_hangs() and outcome.end is not End.LOST_LATE:
            raise Violation(f"host {self._around.host} ends as if everything were gone: {outcome}")
        if outcome.end is End.RESIGNED and self.state.chain.held is not None:
            self._around.judge.resigned(self.state.chain.held.token)
        self.client.close()
        rejoins = outcome.end in (End.LOST, End.RESIGNED, End.HOOK_FAILED) and self._rejoins and not self.state.asked_by
        again = rejoins or outcome.end is End.CANDIDACY_LOST
        if self._beats.has_command or not again:
            self._dismiss_guard()
        if not again:
            self._end()
            self._ended(self, outcome)
            return
        self._blocked_until = self._around.timeline.now + self._around.timeline.between(0.0, 0.05)
        if self._beats.has_command:
            self._replace_guard()
        self._begin(self.state.memory)

    def _dismiss_guard(self) -> None:
        self.guard.hear(wire.Dismiss())
        self._around.timeline.after(FAREWELL, self.guard.kill)

    def _replace_guard(self) -> None:
        self._beats = Beats(timing=self._around.timing)
        self._failed = False
        self._heard.clear()
        self.guard = self._keeper(self._around, self)
        self._guards(self.guard)

    # ---- the guard

    @property
    def _lease_confirmed(self) -> Instant | None:
        held = self.state.chain.held
        return held.lease_start if held is not None else None

    def _tell_guard(self, message: wire.Message) -> None:
        if self.guard.alive:
            self.guard.hear(message)
        else:
            self._guard_failed("guard_died")

    def _watch_guard(self) -> None:
        if self._failed or self._is_blocked():
            return
        if self._heard:
            self._beats = self._beats.heard()
        elif not self.guard.alive:
            self._guard_failed("guard_died")
            return
        while self._heard:
            event = event_of(self._heard.popleft())
            if event is not None:
                self._step(event)
        now = self._around.clocks.now()
        if self._beats.due_in(now, self._lease_confirmed) <= 0:
            self._beats = self._beats.sent(now)
            self._tell_guard(wire.Beat(number=self._beats.count))
        if self._beats.is_silent(self._asked_at, now, self._lease_confirmed):
            self._guard_failed("guard_silent")

    def _guard_failed(self, reason: str) -> None:
        if self._outcome is not None or self._failed:
            return
        self._failed = True
        self.note(reason)
        self.guard.kill()
        # What waits for the proof takes its time, and then this is the first that is taken.
        proven = not self.command_hangs()
        took = self._around.timeline.between(0.0, 0.1) if proven else PROOF_PATIENCE
        self._blocked_until = self._around.timeline.now + took
        self._inbox.appendleft((self.client, GuardFailed(reason=reason, proven=proven)))
