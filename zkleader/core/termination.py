"""When the command starts, is stopped, is killed, and who releases for it: the guard's state machine.

It owns the order of things inside the guard: nothing starts late, the stop signal goes out in time, SIGKILL follows in
time, and only proof makes a command gone.  It must not know processes, sockets or clocks: events and the present
instant go in, actions come out, and the guard's loop performs them.  It does not promise that a kill takes effect; it
goes on asking for it until the proof arrives.
"""

from __future__ import annotations

from zkleader.core import wire
from zkleader.core.guard_actions import (
    AbandonRelease,
    Action,
    ContinueCommand,
    Exit,
    ForwardSignal,
    Kill,
    KillSupervisor,
    ReleaseForSupervisor,
    Report,
    SendStopSignal,
    Spawn,
)
from zkleader.core.guard_events import (
    Event,
    Executed,
    FirstReaped,
    FirstStopped,
    NotExecuted,
    ReleaseEnded,
    SupervisorAbsent,
    SupervisorGone,
    SupervisorSilent,
    Tick,
    TreeGone,
)
from zkleader.core.guard_state import COMMAND_EXISTS, Limit, Phase, State, Supervisor
from zkleader.core.lease import Instant
from zkleader.core.wire import Cause

RELEASE_AT_MOST = 10.0
"""Seconds that releasing for the supervisor may take: it outlasts a slow server, not an ensemble that is away."""

RELEASE_AT_LEAST = 2.0
"""Seconds it is given even when the lease is nearly over: time to start an interpreter and connect once."""

KILL_REPEAT_SHORTEST = 0.001
"""Seconds between the first passes of SIGKILL: a tree that forks while it is searched must be met again at once."""

KILL_REPEAT_LONGEST = 0.25
"""Seconds between passes later on: what has not gone by then sits in the kernel, and hurrying does not help."""

KILL_REPEAT_FRACTION = 0.05
"""The interval between passes, as a fraction of the time since the first."""

Outcome = tuple[State, tuple[Action, ...]]


def step(state: State, event: Event, now: Instant) -> Outcome:
    """Return the state after an event and what is to be done, in this order.

    Deadlines are looked at on Tick alone.  The loop hands in everything that has arrived before it ticks, so a renewal
    that waits in the socket is counted before a deadline that it moves is judged.
    """
    if isinstance(event, wire.Message):
        state, actions = _hear(state, event, now)
    else:
        state, actions = _notice(state, event, now)
    state, last = _conclude(state, now)
    return state, (*actions, *last)


def under_latest_lease(messages: list[wire.Message]) -> list[wire.Message]:
    """Return what was said at once, with a start put under the latest renewal that was said behind it.

    A guard that comes late to its socket, because its interpreter started slowly or it was frozen, finds both.  Taken
    one by one the start would be judged by a deadline that has been moved already, and be refused for good.
    """
    return [
        _renewed(message, messages[index + 1 :]) if isinstance(message, wire.Start) else message
        for index, message in enumerate(messages)
    ]


def due_in(state: State, now: Instant) -> float | None:
    """Return in how many seconds a Tick will change something, zero if it would already, None if never."""
    limits: list[float] = []
    if state.phase in COMMAND_EXISTS and state.loss is None:
        limits.append(_stop_limit(state).left(now))
    if state.phase in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING):
        limits.append(_kill_in(state, now))
    if state.phase is Phase.KILLING and state.kill_began is not None:
        elapsed = now.held_since(state.kill_began)
        limits.append(min(KILL_REPEAT_LONGEST, max(KILL_REPEAT_SHORTEST, KILL_REPEAT_FRACTION * elapsed)))
    if state.phase is Phase.RELEASING and state.release_limit is not None:
        # Past it the program is killed again now and then: one that does not end at once sits in the kernel.
        left = state.release_limit.left(now)
        limits.append(left if left > 0 else KILL_REPEAT_LONGEST)
    return max(0.0, min(limits)) if limits else None


def _hear(state: State, message: wire.Message, now: Instant) -> Outcome:
    """Take what the supervisor says."""
    if state.supervisor is Supervisor.ABSENT:
        state = state.but(supervisor=Supervisor.ANSWERING)
    match message:
        case wire.Beat(number=number):
            return state, (Report(message=wire.BeatAnswer(number=number)),)
        case wire.Candidacy(guid=guid):
            return state.but(guid=guid), ()
        case wire.Start():
            return _start(state, message, now)
        case wire.Extend(lease_start=lease_start):
            return _extend(state, lease_start), ()
        case wire.Stop(cause=cause):
            if state.phase in COMMAND_EXISTS:
                return _stop(state, cause, now)
            # A loss that is told before the start that it makes void: that start must not happen.
            return state.but(loss=_first_loss(state, cause)), ()
        case wire.KillNow():
            return _kill_now(state, now)
        case wire.Forward():
            if state.phase is Phase.STARTING:
                # The race: before the command is executed its process is still ours, and would ignore the signal.
                return state.but(forwards=(*state.forwards, message)), ()
            return state, (_forward(message),) if state.phase in (Phase.RUNNING, Phase.STOPPING) else ()
        case wire.Continue():
            # Whatever the phase: no deadline depends on it, and one that is being stopped needs it to end.
            return state, (ContinueCommand(), Report(message=wire.Continued()))
        case wire.Dismiss():
            dismissed = state.but(supervisor=Supervisor.DISMISSED_US)
            # Nobody should dismiss the guard of a running command.  If it happens, that is a supervisor that is gone.
            return _stop(dismissed, Cause.SUPERVISOR_GONE, now) if state.phase in COMMAND_EXISTS else (dismissed, ())
        case _:
            raise wire.MalformedMessageError(f"the supervisor does not say {type(message).__name__}")


def _forward(message: wire.Forward) -> ForwardSignal:
    return ForwardSignal(signal=message.signal, to_group=message.to_group)


def _notice(state: State, event: Event, now: Instant) -> Outcome:
    """Take what the loop has found out by itself."""
    match event:
        case Executed(pid=pid):
            told = Report(message=wire.Started(pid=pid))
            if state.phase is not Phase.STARTING:
                return state, (told,)
            held = tuple(_forward(message) for message in state.forwards)
            state = state.but(forwards=())
            if state.cause is not None:  # asked to stop while it started
                return state.but(phase=Phase.STOPPING), (told, *held, SendStopSignal())
            return state.but(phase=Phase.RUNNING), (told, *held)
        case NotExecuted(refusal=refusal):
            if state.phase is not Phase.STARTING:
                # Stopping was told, so its end is told too; whether it would have executed no longer matters.
                return state, ()
            late = _first_loss(state, Cause.DEADLINE) if isinstance(refusal, wire.TooLate) else state.loss
            state = state.but(refusal=refusal, loss=late, kill_began=now, phase=Phase.KILLING)
            return state, (Kill(),)
        case FirstStopped():
            # News for the terminal's sake only: that it is stopped moves no deadline.
            return state, (Report(message=wire.FirstStopped(**event.as_dict())),)
        case FirstReaped():
            return _first_reaped(state, event, now)
        case TreeGone():
            return _tree_gone(state, event, now)
        case Tick():
            return _tick(state, now)
        case SupervisorAbsent():
            absent = state.supervisor is Supervisor.ANSWERING
            return state.but(supervisor=Supervisor.ABSENT if absent else state.supervisor), ()
        case SupervisorSilent():
            stopping, actions = (
                _stop(state, Cause.SUPERVISOR_GONE, now) if state.phase in COMMAND_EXISTS else (state, ())
            )
            return stopping, (KillSupervisor(), *actions)
        case SupervisorGone():
            if state.supervisor is not Supervisor.DISMISSED_US:
                state = state.but(supervisor=Supervisor.GONE)
            return _stop(state, Cause.SUPERVISOR_GONE, now) if state.phase in COMMAND_EXISTS else (state, ())
        case ReleaseEnded():
            return state.but(phase=Phase.RELEASED), ()
        case _:
            raise TypeError(f"no event: {event!r}")


def _start(state: State, message: wire.Start, now: Instant) -> Outcome:
    """Start the command, unless it is too late or anything has ended before."""
    if state.phase in COMMAND_EXISTS:
        # A second start would say of a living command that it is not there, whatever were answered.
        return state, ()
    limit = Limit(message.lease_start, state.timing.stop_after)
    final = state.loss is not None or state.supervisor is not Supervisor.ANSWERING
    if state.phase is not Phase.IDLE or final:
        return state, (Report(message=wire.TooLate()),)
    state = state.but(lease_start=message.lease_start)
    if limit.left(now) <= 0:
        # The lease that this guard was kept for is over before it began: the guard is used up.
        state = state.but(phase=Phase.GONE, cause=Cause.DEADLINE, loss=Cause.DEADLINE)
        return state, (Report(message=wire.TooLate()),)
    spawn = Spawn(lease_start=message.lease_start, environment=message.environment)
    return state.but(phase=Phase.STARTING), (spawn,)


def _extend(state: State, lease_start: Instant) -> State:
    """Count a renewal, unless leadership is over or the lease would move backwards."""
    # Finality: what was lost stays lost, or a release for a frozen supervisor would not be safe.
    if state.loss is not None or state.lease_start is None or state.phase not in COMMAND_EXISTS:
        return state
    return state.but(lease_start=lease_start) if _is_later(lease_start, state.lease_start) else state


def _renewed(start: wire.Start, said_behind: list[wire.Message]) -> wire.Start:
    for message in said_behind:
        if isinstance(message, wire.Stop | wire.KillNow):
            break
        if isinstance(message, wire.Extend) and _is_later(message.lease_start, start.lease_start):
            start = start.but(lease_start=message.lease_start)
    return start


def _is_later(lease_start: Instant, than: Instant) -> bool:
    """Say whether a renewal moves a lease that began at the other instant.

    Confirmations of an attempt in doubt may arrive after that of a later one.  A lease only moves forwards, on both
    clocks: taking one that is later on one of them alone would shorten what the other has promised.
    """
    return lease_start.raw > than.raw and lease_start.boottime > than.boottime


def _stop(state: State, cause: Cause, now: Instant) -> Outcome:
    """Begin to stop for a cause, or bring SIGKILL forward if stopping has begun already."""
    patience = state.timing.stop_timeout if cause is Cause.ASKED else state.timing.grace
    limit = Limit(now, patience)
    if state.kill_limit is not None and state.kill_limit.left(now) <= limit.left(now):
        limit = state.kill_limit
    first_loss = _first_loss(state, cause)
    state = state.but(kill_limit=limit, loss=first_loss)
    if state.phase is Phase.KILLING:
        return state, ()
    told: tuple[Action, ...] = ()
    starting = state.phase is Phase.STARTING
    begins = state.phase in (Phase.STARTING, Phase.RUNNING) and state.cause is None
    if begins:
        state = state.but(cause=cause, stop_began=now)
        told = (Report(message=wire.Stopping(cause=cause)),)
    # A stop signal might meet a process that has not executed the command between two dispositions, and be lost.  Asked
    # while the lease is healthy, it waits for the news of the start; a loss waits for nothing, and SIGKILL is not lost.
    if starting and cause is Cause.ASKED and _kill_in(state, now) > 0:
        return state, told
    if not starting and begins:
        state = state.but(phase=Phase.STOPPING)
    if starting or _kill_in(state, now) <= 0:
        return state.but(phase=Phase.KILLING, kill_began=now), (*told, Kill())
    return state, (*told, SendStopSignal()) if begins else ()


def _kill_now(state: State, now: Instant) -> Outcome:
    """SIGKILL without waiting, as one who asks twice wants it."""
    if state.phase not in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING):
        return state, ()
    told: tuple[Action, ...] = ()
    if state.cause is None:
        state = state.but(cause=Cause.ASKED, stop_began=now)
        told = (Report(message=wire.Stopping(cause=Cause.ASKED)),)
    return state.but(phase=Phase.KILLING, kill_began=now), (*told, Kill())


def _tick(state: State, now: Instant) -> Outcome:
    """Judge every deadline."""
    actions: tuple[Action, ...] = ()
    if state.phase in COMMAND_EXISTS and state.loss is None and _stop_limit(state).left(now) <= 0:
        state, actions = _stop(state, Cause.DEADLINE, now)
    if state.phase in (Phase.STARTING, Phase.STOPPING) and _kill_in(state, now) <= 0:
        state = state.but(phase=Phase.KILLING, kill_began=now)
        actions = (*actions, Kill())
    elif state.phase is Phase.KILLING and Kill() not in actions:
        actions = (*actions, Kill())
    if state.phase is Phase.RELEASING and state.release_limit is not None and state.release_limit.left(now) <= 0:
        actions = (*actions, AbandonRelease())
    return state, actions


def _first_reaped(state: State, event: FirstReaped, now: Instant) -> Outcome:
    """Note the status; what the first process has left behind is stopped."""
    state = state.but(wait_status=event.wait_status)
    if state.refusal is not None:
        return state, ()
    told = Report(message=wire.FirstEnded(wait_status=event.wait_status))
    if state.phase is Phase.RUNNING and not event.alone:
        stopping, actions = _stop(state, Cause.ENDED, now)
        return stopping, (told, *actions)
    return state, (told,)


def _tree_gone(state: State, event: TreeGone, now: Instant) -> Outcome:
    """Tell of the end, with what the proof and the clocks say about it."""
    if state.phase not in COMMAND_EXISTS or state.lease_start is None:
        return state, ()
    cause = state.cause or Cause.ENDED
    if state.refusal is not None:
        return state.but(phase=Phase.GONE, cause=cause), (Report(message=state.refusal),)
    began = state.stop_began or now
    gone = wire.Gone(
        cause=cause,
        wait_status=state.wait_status,
        in_time=now.held_since(state.lease_start) <= state.timing.gone_after,
        signalled=event.signalled,
        killed=event.killed,
        kill_began_after=state.kill_began.held_since(began) if state.kill_began is not None else 0.0,
        gone_after=now.held_since(began),
        lost=state.loss is not None,
    )
    return state.but(phase=Phase.GONE, cause=cause), (Report(message=gone),)


def _conclude(state: State, now: Instant) -> Outcome:
    """Once nothing of a command exists: release for a supervisor that cannot, and end when nobody needs us."""
    if state.phase in (Phase.IDLE, Phase.GONE) and state.guid is not None:
        # Only what was lost is released for a supervisor that may come back: everything else it still wants to
        # release itself, and it could not tell our release from a thief's.
        lost_by_absent = state.phase is Phase.GONE and state.loss is not None
        absent = state.supervisor is Supervisor.ABSENT and lost_by_absent
        if state.supervisor is Supervisor.GONE or absent:
            left = RELEASE_AT_MOST
            if state.lease_start is not None:
                left = state.timing.lease - now.held_since(state.lease_start)
            limit = Limit(now, min(RELEASE_AT_MOST, max(RELEASE_AT_LEAST, left)))
            state = state.but(phase=Phase.RELEASING, release_limit=limit)
            return state, (ReleaseForSupervisor(guid=state.guid or ""),)
    nobody = state.supervisor in (Supervisor.GONE, Supervisor.DISMISSED_US)
    if nobody and state.phase in (Phase.IDLE, Phase.GONE, Phase.RELEASED):
        return state.but(phase=Phase.EXITED), (Exit(),)
    return state, ()


def _first_loss(state: State, cause: Cause) -> Cause | None:
    return state.loss or (cause if cause.is_final_loss else None)


def _stop_limit(state: State) -> Limit:
    assert state.lease_start is not None, "a command exists only under a lease"
    return Limit(state.lease_start, state.timing.stop_after)


def _kill_in(state: State, now: Instant) -> float:
    """Seconds until SIGKILL: what the causes ask for, and never past the lease's own."""
    assert state.lease_start is not None, "a command exists only under a lease"
    lease = Limit(state.lease_start, state.timing.kill_after).left(now)
    return min(lease, state.kill_limit.left(now)) if state.kill_limit is not None else lease
