"""What is said to a guard and by one, in the words of the candidacy and of the log.

It owns the translation: an action of the candidacy's becomes a message, and a message an event, a line of the log, and
what is known of the command's course.  It must not know why anything is said, nor how it gets there.  It does not
promise that every message is news for all three.
"""

from __future__ import annotations

import signal
from typing import Any

from zkleader.config import Config
from zkleader.core import wait_status, wire
from zkleader.core.actions import EndTenure, ExtendLease, KillCommand, StartCommand, StopCommand, TellSuspended
from zkleader.core.events import (
    CommandFailed,
    CommandGone,
    CommandPaused,
    CommandResumed,
    CommandStarted,
    CommandStopping,
    CommandTooLate,
    Event,
    TenureOver,
)
from zkleader.core.value import Value
from zkleader.result import Course


class Line(Value):
    """A line of the log."""

    level: str
    event: str
    facts: dict[str, Any]


def message_of(
    action: StartCommand | ExtendLease | TellSuspended | StopCommand | KillCommand | EndTenure,
    config: Config,
    loss: str,
) -> wire.Message:
    """Return what the guard is told; ``loss`` is why leadership is over, if it is."""
    if isinstance(action, StartCommand):
        environment = {
            "ZKLEADER_TOKEN": str(action.token),
            "ZKLEADER_ELECTION": config.election,
            "ZKLEADER_ID": config.id,
            "ZKLEADER_SLOT": str(action.slot),
        }
        return wire.Start(lease_start=action.lease_start, environment=environment)
    if isinstance(action, ExtendLease):
        return wire.Extend(lease_start=action.lease_start)
    if isinstance(action, TellSuspended):
        return wire.Suspended(suspended_at=action.suspended_at)
    if isinstance(action, StopCommand):
        return wire.Stop(cause=action.cause, reason=loss)
    if isinstance(action, EndTenure):
        return wire.EndTenure(reason=action.reason)
    return wire.KillNow()


def event_of(message: wire.Message) -> Event | None:
    """Return what a message is to the candidacy, if it is anything to it."""
    match message:
        case wire.Started(pid=pid):
            return CommandStarted(pid=pid)
        case wire.TooLate():
            return CommandTooLate()
        case wire.ExecFailed(errno=errno):
            return CommandFailed(errno=errno)
        case wire.Stopping(cause=cause):
            return CommandStopping(cause=cause)
        case wire.Paused(reason=reason, took=took):
            return CommandPaused(reason=reason, took=took)
        case wire.Resumed(seconds=seconds):
            return CommandResumed(seconds=seconds)
        case wire.Gone(cause=cause, wait_status=status, in_time=in_time, lost=lost, ran=ran):
            return CommandGone(cause=cause, wait_status=status, in_time=in_time, lost=lost, ran=ran)
        case wire.TenureOver(in_time=in_time, lost=lost):
            return TenureOver(in_time=in_time, lost=lost)
        case _:
            return None


def line_of(message: wire.Message) -> Line | None:
    """Return how a message is logged, if the candidacy does not tell of it."""
    match message:
        case wire.Ready(pid=pid, scope=scope, detail=detail):
            return _line("debug", "guard_ready", pid=pid, scope=scope, detail=detail)
        case wire.Stopping(cause=cause):
            return _line("info", "command_stopping", cause=cause.value)
        case wire.FirstEnded(wait_status=status):
            return _line("info", "command_ended", **_ended(status))
        case wire.Gone():
            return _line_of_gone(message)
        case wire.Note(level=level, event=event, facts=facts):
            return Line(level=level, event=event, facts=readable(facts))
        case _:
            return None


def course_after(course: Course, message: wire.Message) -> Course:
    """Return what became of the command so far, with this news of it."""
    match message:
        case wire.Started():
            return course.started()
        case wire.TooLate() | wire.ExecFailed() | wire.Gone():
            return course.not_started()
        case wire.FirstEnded(wait_status=status):
            return course.ended(status)
        case _:
            return course


def readable(facts: dict[str, Any]) -> dict[str, Any]:
    """Name the signal among the facts; those without a name (real-time ones) stay numbers."""
    number = facts.get("signal")
    return facts | {"signal": signal.Signals(number).name} if number in set(signal.Signals) else facts


def _line_of_gone(message: wire.Gone) -> Line:
    return _line(
        "info" if message.in_time else "error",
        "command_gone" if message.ran else "command_not_started",
        cause=message.cause.value,
        in_time=message.in_time,
        signalled=message.signalled,
        killed=message.killed,
        kill_began_after=round(message.kill_began_after, 4),
        gone_after=round(message.gone_after, 4),
        **_ended(message.wait_status),
    )


def _line(level: str, event: str, **facts: Any) -> Line:
    return Line(level=level, event=event, facts=facts)


def _ended(raw: int) -> dict[str, Any]:
    number = wait_status.signal_of(raw)
    return {"status": wait_status.exit_status_of(raw)} if number is None else readable({"signal": number})
