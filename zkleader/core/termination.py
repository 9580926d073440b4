"""When the command starts, is stopped, is killed, and who releases for it: the guard's state machine.

It owns what the guard's deadlines lead to: nothing starts late, the stop signal goes out in time, SIGKILL follows in
time, and only proof makes anything gone; when they are is ``deadlines``', what follows what is ``sequence``'s.  Hooks
are stopped and killed as the command is, and by their time-out; on-lost gets no stop signal, and what a hook leaves
behind is killed at once.  It must not know processes, sockets or clocks: events and the present instant go in, actions
come out, and the guard's loop performs them.  It does not promise that a kill takes effect; it goes on asking for it
until the proof arrives.
"""

from __future__ import annotations

from zkleader.core import deadlines, pausing, sequence, wire
from zkleader.core.acts import Act
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.guard_actions import (
    AbandonRelease,
    Action,
    ContinueCommand,
    Exit,
    ForwardSignal,
    Kill,
    KillSupervisor,
    LookForStop,
    ReleaseForSupervisor,
    Report,
    SendStopSignal,
)
from zkleader.core.guard_events import (
    Event,
    Executed,
    FirstReaped,
    FirstStopped,
    Frozen,
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
    state, actions = pausing.freeze_or_thaw(state, actions, now, by_clock=isinstance(event, Tick))
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
        case wire.Suspended(suspended_at=suspended_at):
            return pausing.suspend(state, suspended_at), ()
        case wire.Stop(cause=cause, reason=reason):
            state = state.but(reason=state.reason or reason)
            if state.phase in COMMAND_EXISTS:
                return _stop(state, cause, now)
            # A loss that is told before the start that it makes void: that start must not happen.
            return state.but(loss=_first_loss(state, cause)), ()
        case wire.EndTenure(reason=reason):
            if state.phase is Phase.VACANT:
                return sequence.end_tenure(state, reason, now)
            # The race: a deadline or a loss has had on-lost run already, and its end is told when there is one.
            return state, () if state.phase in COMMAND_EXISTS else (sequence.told_over(state),)
        case wire.KillNow():
            return _kill_now(state, now)
        case wire.Forward():
            if state.act is not Act.COMMAND:
                # A hook is not meant; and kept for the command it would come before that has a handler, and kill it.
                return state, ()
            if state.phase is Phase.STARTING:
                # The race: before the command is executed its process is still ours, and would ignore the signal.
                return state.but(forwards=(*state.forwards, message)), ()
            return state, (_forward(message),) if state.phase in (Phase.RUNNING, Phase.STOPPING) else ()
        case wire.Continue(is_continued=is_continued):
            # Whatever the phase: no deadline depends on it, and one that is being stopped needs it to end.
            orders = () if is_continued or state.act is not Act.COMMAND else (ContinueCommand(),)
            # The race: it may have been stopped again since; that was told before the answer, and so was no news.
            return state, (*orders, Report(message=wire.Continued()), LookForStop())
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
            is_hook = state.act is not Act.COMMAND
            told = sequence.started(state, pid) if is_hook else Report(message=wire.Started(pid=pid))
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
            told_of = (sequence.not_executed(state, refusal),) if state.act is not Act.COMMAND else ()
            if state.act is Act.ON_ELECTED and isinstance(refusal, wire.ExecFailed):
                state = state.but(cause=state.cause or Cause.HOOK_FAILED)
            state = state.but(refusal=refusal, loss=late, kill_began=now, phase=Phase.KILLING)
            return state, (*told_of, Kill())
        case FirstStopped():
            # News for the terminal's sake only: that it is stopped moves no deadline.  A hook has no terminal.
            told_of = (Report(message=wire.FirstStopped(**event.as_dict())),) if state.act is Act.COMMAND else ()
            return state, told_of
        case Frozen():
            return pausing.is_whole(state, now)
        case FirstReaped():
            return _first_reaped(state, event, now)
        case TreeGone():
            exists = state.phase in COMMAND_EXISTS and state.lease_start is not None
            return sequence.follow(state, event, now) if exists else (state, ())
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
                if state.phase is Phase.VACANT:
                    state = state.but(loss=_first_loss(state, Cause.SUPERVISOR_GONE))
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
    final = state.loss is not None or state.supervisor is not Supervisor.ANSWERING
    if state.phase not in (Phase.IDLE, Phase.VACANT) or final:
        return state, (Report(message=wire.TooLate()),)
    state = state.but(lease_start=message.lease_start, environment=message.environment)
    if deadlines.stop_limit(state).left(now) <= 0:
        # The lease that this guard was kept for is over before it began: the guard is used up.
        phase = Phase.GONE if state.act is None else Phase.VACANT
        state = state.but(phase=phase, cause=Cause.DEADLINE, loss=Cause.DEADLINE)
        return state, (Report(message=wire.TooLate()),)
    return sequence.begin(state, now)


def _extend(state: State, lease_start: Instant) -> State:
    """Count a renewal, unless leadership is over or the lease would move backwards."""
    # Finality: what was lost stays lost, or a release for a frozen supervisor would not be safe.
    if state.loss is not None or state.lease_start is None or state.phase not in (*COMMAND_EXISTS, Phase.VACANT):
        return state
    # Confirmations of an attempt in doubt may arrive after that of a later one.
    return state.but(lease_start=lease_start) if lease_start.is_after(state.lease_start) else state


def _renewed(start: wire.Start, said_behind: list[wire.Message]) -> wire.Start:
    for message in said_behind:
        if isinstance(message, wire.Stop | wire.KillNow):
            break
        if isinstance(message, wire.Extend) and message.lease_start.is_after(start.lease_start):
            start = start.but(lease_start=message.lease_start)
    return start


def _stop(state: State, cause: Cause, now: Instant) -> Outcome:
    """Begin to stop for a cause, or bring SIGKILL forward if stopping has begun already."""
    if state.act is Act.ON_LOST:
        # It is what there is to do about any of them, and has its own time; the lease's SIGKILL is for it too.
        return state.but(loss=_first_loss(state, cause)), ()
    patience = state.timing.stop_timeout if cause is Cause.ASKED else state.timing.grace
    limit = Limit(now, patience)
    if state.kill_limit is not None and state.kill_limit.left(now) <= limit.left(now):
        limit = state.kill_limit
    first_loss = _first_loss(state, cause)
    state = state.but(kill_limit=limit, loss=first_loss)
    if state.phase is Phase.KILLING:
        if state.act is Act.ON_ELECTED and state.cause is None:
            # The race: it has succeeded, and what it left behind is just being killed; the command must not follow.
            return state.but(cause=cause, stop_began=now), (Report(message=wire.Stopping(cause=cause)),)
        return state, ()
    told: tuple[Action, ...] = ()
    starting = state.phase is Phase.STARTING
    begins = state.phase in (Phase.STARTING, Phase.RUNNING) and state.cause is None
    if begins:
        state = state.but(cause=cause, stop_began=now)
        told = (Report(message=wire.Stopping(cause=cause)),)
    # A stop signal might meet a process that has not executed the command between two dispositions, and be lost.  Asked
    # while the lease is healthy, it waits for the news of the start; a loss waits for nothing, and SIGKILL is not lost.
    if starting and cause is Cause.ASKED and deadlines.kill_in(state, now) > 0:
        return state, told
    if not starting and begins:
        state = state.but(phase=Phase.STOPPING)
    # A frozen command could not act on the stop signal, and after a loss nothing thaws it: who waits for its end, a
    # successor perhaps, need not wait out its grace.
    in_vain = state.freezing is not None and state.loss is not None
    if starting or in_vain or deadlines.kill_in(state, now) <= 0:
        return state.but(phase=Phase.KILLING, kill_began=now), (*told, Kill())
    return state, (*told, SendStopSignal()) if begins else ()


def _kill_now(state: State, now: Instant) -> Outcome:
    """SIGKILL without waiting, as one who asks twice wants it: the command, or what goes before it.

    The race: the second request may come just after what it was meant for is gone; on-lost is not to suffer for that.
    """
    if state.phase not in (Phase.STARTING, Phase.RUNNING, Phase.STOPPING) or state.act is Act.ON_LOST:
        return state, ()
    told: tuple[Action, ...] = ()
    if state.cause is None:
        state = state.but(cause=Cause.ASKED, stop_began=now)
        told = (Report(message=wire.Stopping(cause=Cause.ASKED)),)
    return state.but(phase=Phase.KILLING, kill_began=now), (*told, Kill())


def _tick(state: State, now: Instant) -> Outcome:
    """Judge every deadline."""
    actions: tuple[Action, ...] = ()
    if deadlines.has_stop(state) and deadlines.stop_limit(state).left(now) <= 0:
        cause = Cause.OVERDUE if state.on_disconnect is OnDisconnect.STOP else Cause.DEADLINE
        if state.phase is Phase.VACANT:
            return state.but(loss=cause), ()
        state, actions = _stop(state, cause, now)
    is_hook = state.act is not Act.COMMAND
    if is_hook and state.phase in (Phase.STARTING, Phase.RUNNING) and deadlines.kill_in(state, now) <= 0:
        state = state.but(phase=Phase.KILLING, kill_began=now, cause=state.cause or Cause.HOOK_FAILED)
        actions = (*actions, sequence.killed(state, now), Kill())
    elif state.phase in (Phase.STARTING, Phase.STOPPING) and deadlines.kill_in(state, now) <= 0:
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
    if state.act is not Act.COMMAND:
        told = sequence.ended(state, now)
        if state.phase is not Phase.RUNNING or event.alone:
            return state, (told,)
        # Whatever it has started in the background is not to be there beside the command, nor after the tenure.
        return state.but(phase=Phase.KILLING, kill_began=now), (told, Kill())
    told = Report(message=wire.FirstEnded(wait_status=event.wait_status))
    if state.phase is Phase.RUNNING and not event.alone:
        stopping, actions = _stop(state, Cause.ENDED, now)
        return stopping, (told, *actions)
    return state, (told,)


def _conclude(state: State, now: Instant) -> Outcome:
    """Once nothing exists: run on-lost after a loss, release for a supervisor that cannot, end when nobody needs us."""
    if state.phase is Phase.VACANT and state.loss is not None:
        state, begun = sequence.end_tenure(state, sequence.reason_of(state), now)
        if state.phase in COMMAND_EXISTS:
            return state, begun
        state, last = _conclude(state, now)
        return state, (*begun, *last)
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
    if nobody and state.phase in (Phase.IDLE, Phase.VACANT, Phase.GONE, Phase.RELEASED):
        return state.but(phase=Phase.EXITED), (Exit(),)
    return state, ()


def _first_loss(state: State, cause: Cause) -> Cause | None:
    return state.loss or (cause if cause.is_final_loss else None)
