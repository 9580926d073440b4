"""How a run ends: an outcome, or a refusal, to an exit status, and to the one line that says why.

It owns these translations.  It must not know how an outcome came about, and ends nothing itself (``process`` does).
"""

from __future__ import annotations

import errno
import os
import signal

from zkleader import result
from zkleader.config import CommandProblem, Config, ConfigurationProblem, UsageProblem, show
from zkleader.core import wait_status
from zkleader.core.actions import End, Outcome
from zkleader.core.records import KNOWN
from zkleader.core.value import Value
from zkleader.core.wait_status import SIGNAL_BASE
from zkleader.exit_status import ExitStatus
from zkleader.log import Log
from zkleader.result import Result
from zkleader.zk.access import NotPermittedError, in_sentence


class Ending(Value):
    """How to end: with a status, or, where the command died of a signal, of the same."""

    status: int
    signal: int | None = None


_MISSING = (errno.ENOENT, errno.ENOTDIR)

_STATUSES = {
    End.UNREACHABLE: ExitStatus.UNREACHABLE,
    End.LOST: ExitStatus.LOST,
    End.LOST_LATE: ExitStatus.LOST_LATE,
    End.RESIGNED: ExitStatus.LOST,
    End.HOOK_FAILED: ExitStatus.LOST,
    End.NOT_PERMITTED: ExitStatus.NOT_PERMITTED,
    End.NEWER_FORMAT: ExitStatus.CONFIGURATION,
    End.GUARD_FAILED: ExitStatus.INTERNAL,
    End.REFUSED: ExitStatus.INTERNAL,
}


def ending_of(outcome: Outcome, config: Config) -> Ending:
    """Return how to end after an outcome."""
    if outcome.end is End.COMMAND_ENDED:
        number = wait_status.signal_of(outcome.number)
        return Ending(status=wait_status.exit_status_of(outcome.number), signal=number)
    if outcome.end is End.LEFT:
        return Ending(status=SIGNAL_BASE + outcome.number, signal=outcome.number)
    if outcome.end is End.DONE:
        return Ending(status=0)
    if outcome.end is End.NOT_RECORDED:
        # Not 0, whatever the command says: it will be run again.
        return Ending(status=wait_status.exit_status_of(outcome.number) or ExitStatus.LOST)
    if outcome.end is End.NOT_ELECTED:
        return Ending(status=config.conflict_status)
    if outcome.end is End.NOT_EXECUTED:
        return Ending(status=ExitStatus.NOT_FOUND if outcome.number in _MISSING else ExitStatus.CANNOT_EXECUTE)
    return Ending(status=_STATUSES[outcome.end])


def refusal_of(problem: Exception) -> Result:
    """Return how a run ends that was refused, or failed, before it began."""
    if isinstance(problem, UsageProblem):
        return Result(outcome=result.USAGE, reason=str(problem), exit_status=ExitStatus.USAGE)
    if isinstance(problem, ConfigurationProblem):
        return Result(outcome=result.CONFIGURATION, reason=str(problem), exit_status=ExitStatus.CONFIGURATION)
    if isinstance(problem, CommandProblem):
        status = ExitStatus.CANNOT_EXECUTE if problem.found else ExitStatus.NOT_FOUND
        return Result(outcome=End.NOT_EXECUTED.value, reason="not_executed", exit_status=status)
    reason = f"{type(problem).__name__}: {problem}"
    return Result(outcome=result.INTERNAL_ERROR, reason=reason, exit_status=ExitStatus.INTERNAL)


def _why_not_executed(number: int, config: Config) -> str:
    if number in _MISSING and os.path.exists(config.executable):
        return "its interpreter was not found"
    return os.strerror(number).lower()


def _how_a_hook_ended(raw: int, limit: float) -> str:
    number = wait_status.signal_of(raw)
    if number is None:
        return f"ended with status {wait_status.exit_status_of(raw)}"
    # Whether it was we who have killed it for that the outcome does not say; the event hook_killed does.
    why = f" (killed, if it took longer than --hook-timeout {show(limit)})" if number == signal.SIGKILL else ""
    return f"died of signal {number}{why}"


def tell(outcome: Outcome, config: Config, log: Log, trouble: str) -> None:
    """Say in one line what ended us, if it is an error; a change of state is an event."""
    command, reason = config.command_name, outcome.reason
    lines = {
        End.UNREACHABLE: f"cannot reach ZooKeeper at {config.access.hosts} within {show(config.connect_timeout)}"
        + (f": {in_sentence(trouble)}" if trouble else ""),
        End.NOT_PERMITTED: f"cannot {reason}: {NotPermittedError.of(reason, trouble).why}",
        End.NEWER_FORMAT: f"cannot take part in {config.election}: {reason}, and this version knows {KNOWN}",
        End.REFUSED: f"cannot {reason}",
        End.NOT_EXECUTED: f"cannot run {os.fsdecode(config.argv[0])}: {_why_not_executed(outcome.number, config)}",
        End.HOOK_FAILED: f"cannot start {command}: --on-elected "
        + _how_a_hook_ended(outcome.number, config.hook_timeout),
        End.LOST_LATE: f"cannot confirm that all of {command} was gone in time: leadership lost ({reason})",
        End.NOT_RECORDED: f"cannot record that {command} was run: it may be run again in this period",
        End.GUARD_FAILED: f"internal error: {reason.replace('_', ' ')}; nothing of {command} is left",
    }
    if outcome.end in lines:
        log.say(lines[outcome.end])
    else:
        log.event("info", "ended", outcome=outcome.end.value, reason=reason)
