"""A model of the supervisor's process: ``candidacy.step`` and the loop around it, as ``zkleader.supervisor`` has it."""

from collections import deque
from collections.abc import Callable

from model_client import Client
from model_command import Surroundings
from model_guard import Guard

from zkleader.core import candidacy, wire
from zkleader.core.actions import (
    Action,
    DropConnection,
    End,
    ExtendLease,
    Finish,
    Outcome,
    Send,
    StartCommand,
    StopCommand,
    Tell,
)
from zkleader.core.events import (
    CommandFailed,
    CommandGone,
    CommandStarted,
    CommandStopping,
    CommandTooLate,
    Event,
    GuardFailed,
    LeaveAsked,
    Tick,
)
from zkleader.core.lease import Instant
from zkleader.core.records import Identity
from zkleader.core.turn import Memory, Rules


class Supervisor:
    """One ``zkleader run``.

    ``guids`` makes names; ``ended`` is told of its end, ``guards`` of every guard that it executes.
    """

    def __init__(
        self,
        around: Surroundings,
        *,
        rejoins: bool,
        guids: Callable[[], str],
        ended: Callable[["Supervisor", Outcome], None],
        guards: Callable[[Guard], None],
    ) -> None:
        self.alive = True
        self.frozen = False
        self._guards = guards
        self.guard = Guard(around, self)
        guards(self.guard)
        self.client: Client
        self.state: candidacy.State
        self._around = around
        self._rejoins = rejoins
        self._guids = guids
        self._ended = ended
        self._stuck_at: float | None = None
        self._blocked_until = 0.0
        self._started = False
        self._failed = False
        self._lease_start: Instant | None = None
        self._inbox: deque[tuple[Client, Event]] = deque()
        self._heard: deque[wire.Message] = deque()
        self._deferred: list[Callable[[], None]] = []
        self._wakes_at: float | None = None
        self._outcome: Outcome | None = None
        self._begin(Memory(began=around.clocks.now()))

    def _begin(self, memory: Memory) -> None:
        around = self._around
        identity = Identity(id=f"host-{around.host}", host="h", pid=1, command="c", version="0")
        rules = Rules(election=around.election, identity=identity, timing=around.timing, connect_timeout=15.0)
        self._outcome = None
        guid = self._guids()
        self.note(f"begins candidacy {guid}")
        self._tell_guard(wire.Candidacy(guid=guid))
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
        self.wake()

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
        self._inbox.append((self.client, LeaveAsked(signal=15)))
        self.wake()

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

    def hear(self, guard: Guard, message: wire.Message) -> None:
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
        if self._around.timeline.now < self._blocked_until:
            self.wake(self._blocked_until - self._around.timeline.now)
            return
        if by_timer:
            self._around.judge.ticked(self._around.host)
        guard_first = self._around.timeline.chance(0.5)
        if guard_first:
            self._hear_guard()
        while self._inbox:
            client, event = self._inbox.popleft()
            if client is self.client:
                self._step(event)
        if not guard_first:
            self._hear_guard()
        self._judge_guard()
        self._step(Tick())
        if self._outcome is not None:
            self._finished(self._outcome)
        if self.alive:
            self._sleep()

    def _sleep(self) -> None:
        now, timing = self._around.clocks.now(), self._around.timing
        seconds = timing.renewal_interval
        held = self.state.chain.held
        if self._started and held is not None and now.held_since(held.lease_start) >= timing.stop_after:
            seconds = timing.kill_allowance / 8
        due = candidacy.next_step_in(self.state, now)
        by_timer = due is not None and due < seconds
        seconds = due if by_timer and due is not None else seconds
        self.wake(self._around.clocks.true_seconds(seconds + 0.001), by_timer=by_timer)

    def _step(self, event: Event) -> None:
        if self._outcome is not None:
            return
        now = self._around.clocks.now()
        self.state, done = candidacy.step(self.state, event, now)
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
            case StartCommand(lease_start=lease_start, token=token):
                self._started = True
                self._lease_start = lease_start
                self._tell_guard(wire.Start(lease_start=lease_start, environment={"ZKLEADER_TOKEN": str(token)}))
            case ExtendLease(lease_start=lease_start):
                assert self._lease_start is not None
                self._around.judge.lease_extended(self._lease_start, now)
                self._lease_start = lease_start
                self._tell_guard(wire.Extend(lease_start=lease_start))
            case StopCommand(cause=cause):
                self._tell_guard(wire.Stop(cause=cause))
            case _:
                self._tell_guard(wire.KillNow())

    def _finished(self, outcome: Outcome) -> None:
        self.note(f"finished: {outcome.end.value} {outcome.reason}")
        self.client.close()
        again = outcome.end is End.CANDIDACY_LOST or (outcome.end is End.LOST and self._rejoins)
        if self._started or not again:
            self.guard.hear(wire.Dismiss())
        if not again:
            self._end()
            self._ended(self, outcome)
            return
        self._blocked_until = self._around.timeline.now + self._around.timeline.between(0.0, 0.05)
        if self._started:
            self._replace_guard()
        self._begin(self.state.memory)

    def _replace_guard(self) -> None:
        self._started = self._failed = False
        self._heard.clear()
        self.guard = Guard(self._around, self)
        self._guards(self.guard)

    # ---- the guard

    def _tell_guard(self, message: wire.Message) -> None:
        self.guard.hear(message)

    def _hear_guard(self) -> None:
        while self._heard and self._outcome is None:
            event = _event(self._heard.popleft())
            if event is not None:
                self._step(event)

    def _judge_guard(self) -> None:
        around, guard, now = self._around, self.guard, self._around.clocks.now()
        if self._failed or self._outcome is not None:
            return
        silent = 0.0 if guard.frozen_at is None else around.timeline.now - guard.frozen_at
        held, timing = self.state.chain.held, around.timing
        is_killing_time = self._started and held is not None and now.held_since(held.lease_start) >= timing.kill_after
        if guard.alive and silent < (timing.kill_allowance / 4 if is_killing_time else timing.guard_silence):
            return
        self._failed = True
        guard.kill()
        took = around.timeline.between(0.0, 0.1)
        self._blocked_until = around.timeline.now + took  # end_everything waits for the proof
        self._inbox.append((self.client, GuardFailed(reason="guard_died", proven=True)))


def _event(message: wire.Message) -> Event | None:
    match message:
        case wire.Started(pid=pid):
            return CommandStarted(pid=pid)
        case wire.TooLate():
            return CommandTooLate()
        case wire.ExecFailed(errno=errno):
            return CommandFailed(errno=errno)
        case wire.Stopping(cause=cause):
            return CommandStopping(cause=cause)
        case wire.Gone(cause=cause, wait_status=wait_status, in_time=in_time):
            return CommandGone(cause=cause, wait_status=wait_status, in_time=in_time)
        case _:
            return None
