"""``zkleader run``: options to Config, outcome to exit status."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable
from typing import Any

import click

from zkleader.cli import process
from zkleader.cli.connection import connection_options, hosts_of, log_choice
from zkleader.cli.values import Duration, Signal
from zkleader.config import (
    Config,
    OnLoss,
    UsageProblem,
    check_timing,
    command_environment,
    election_path,
    find_command,
    show,
)
from zkleader.core import wait_status
from zkleader.core.actions import End, Outcome
from zkleader.core.lease import Timing
from zkleader.exit_status import ExitStatus
from zkleader.log import Log

ENVIRONMENT = "ZKLEADER_RUN"
"""Each option of run may also be given in the environment: ``ZKLEADER_RUN_<OPTION>``."""

DEFAULT_LEASE = 20.0
DEFAULT_GRACE = 5.0
DEFAULT_STOP_TIMEOUT = 25.0

_LOG_PATIENCE = 1.0
"""Seconds for which the last lines wait for a standard error that is slow."""

_EPILOG = (
    "\b\nExit status: that of COMMAND, or\n"
    + "\n".join(f"  {status:d}  {status.meaning}" for status in ExitStatus)
    + "\n  128+n  COMMAND died of signal n, or we were told to end by it while waiting."
)


def _option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """Return an option of run, which may also be given in the environment by its long name."""
    long = next(name for name in names if name.startswith("--"))
    variable = f"{ENVIRONMENT}_{long.lstrip('-').replace('-', '_').upper()}"
    return click.option(*names, envvar=variable, **settings)


@click.command(
    "run",
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS] [--]",
    epilog=_EPILOG,
    short_help="Run a command while this host leads.",
)
@connection_options
@_option("-e", "--election", metavar="PATH", help="A name below /zkleader, or a path.  [default: COMMAND's base name]")
@_option("--id", "identity", metavar="TEXT", help="How this candidate is shown.  [default: the host name]")
@_option("-n", "--nonblock", is_flag=True, help="End at once when a live candidate is ahead.")
@_option(
    "-w", "--wait", type=Duration(may_be_zero=True), help="Wait so long for candidates ahead.  [default: for ever]"
)
@_option(
    "-E",
    "--conflict-exit-code",
    type=click.IntRange(0, 255),
    metavar="N",
    default=int(ExitStatus.NOT_ELECTED),
    help="Exit status when not elected in time.  [default: 75]",
)
@_option(
    "--lease",
    type=Duration(),
    default=DEFAULT_LEASE,
    help="By its end, counted from the last confirmed renewal, all of COMMAND is gone (2s to 60s).  [default: 20s]",
)
@_option(
    "-g",
    "--grace",
    type=Duration(may_be_zero=True),
    default=DEFAULT_GRACE,
    help="From the stop signal to SIGKILL when leadership is lost.  [default: 5s]",
)
@_option(
    "--stop-timeout",
    type=Duration(may_be_zero=True),
    default=DEFAULT_STOP_TIMEOUT,
    help="The same when asked to stop while leading.  [default: 25s]",
)
@_option("-s", "--signal", "stop_signal", type=Signal(), default="TERM", help="The stop signal.  [default: TERM]")
@_option(
    "--on-loss",
    type=click.Choice([choice.value for choice in OnLoss]),
    default=OnLoss.EXIT.value,
    help="After losing leadership: exit 79, or campaign again.  [default: exit]",
)
@click.argument("command", metavar="COMMAND [ARG]...", nargs=-1, type=click.UNPROCESSED, required=True)
def run(**options: Any) -> None:
    """Campaign in an election; run COMMAND while leader; end with its exit status.

    COMMAND is stopped, with everything that it has started, when leadership is lost for whatever reason, and is gone
    before another host's COMMAND starts.
    """
    form, loudness = log_choice(options["log_format"], verbose=options["verbose"], quiet=options["quiet"])
    log = Log(form, loudness)
    config = _config(options)
    log.bind(election=config.election)
    for name in _unknown_environment():
        log.event("warning", "environment_ignored", name=name, reason="no option of run is called that")
    process.end(_supervise(config, log), log, _LOG_PATIENCE)


def _unknown_environment() -> list[str]:
    names = {parameter.envvar for parameter in run.params}
    return sorted(name for name in os.environ if name.startswith(f"{ENVIRONMENT}_") and name not in names)


def _config(options: dict[str, Any]) -> Config:
    if options["nonblock"] and options["wait"]:
        raise UsageProblem("cannot use -n and -w together: -n is -w 0")
    timing = Timing(lease=options["lease"], grace=options["grace"], stop_timeout=options["stop_timeout"])
    check_timing(timing)
    identity = socket.gethostname() if options["identity"] is None else options["identity"]
    if not identity.isprintable() or not identity:
        raise UsageProblem("cannot use --id: it is empty or has characters that cannot be shown")
    command: tuple[str, ...] = options["command"]
    hosts = hosts_of(options["hosts"])
    election = election_path(options["election"], command[0])
    environment = command_environment()
    search_path = os.fsdecode(environment.get(b"PATH", os.fsencode(os.defpath)))
    return Config(
        hosts=hosts,
        connect_timeout=options["connect_timeout"],
        election=election,
        id=identity,
        wait=0.0 if options["nonblock"] else options["wait"],
        conflict_status=options["conflict_exit_code"],
        timing=timing,
        stop_signal=options["stop_signal"],
        on_loss=OnLoss(options["on_loss"]),
        argv=tuple(os.fsencode(part) for part in command),
        executable=find_command(command[0], search_path),
        environment=environment,
    )


def _supervise(config: Config, log: Log) -> process.Ending:
    inherited, inbox = process.take_over()
    from zkleader.supervisor import Supervisor  # noqa: PLC0415 # signals are taken before anything takes time

    supervisor = Supervisor(config, log, inbox, inherited)
    try:
        outcome = supervisor.run()
    except Exception as error:  # noqa: BLE001 # no traceback reaches a user, and no command outlives its supervisor
        supervisor.end_command()
        log.say(f"internal error: {type(error).__name__}: {error}")
        return process.Ending(status=ExitStatus.INTERNAL)
    _tell(outcome, config, log, supervisor.trouble)
    return _ending_of(outcome, config)


def _ending_of(outcome: Outcome, config: Config) -> process.Ending:
    if outcome.end is End.COMMAND_ENDED:
        number = wait_status.signal_of(outcome.number)
        return process.Ending(status=wait_status.exit_status_of(outcome.number), signal=number)
    if outcome.end is End.LEFT:
        return process.Ending(status=wait_status.SIGNAL_BASE + outcome.number, signal=outcome.number)
    if outcome.end is End.NOT_ELECTED:
        return process.Ending(status=config.conflict_status)
    if outcome.end is End.NOT_EXECUTED:
        return process.Ending(status=ExitStatus.NOT_FOUND if outcome.number in _MISSING else ExitStatus.CANNOT_EXECUTE)
    return process.Ending(status=_STATUSES[outcome.end])


_MISSING = (errno.ENOENT, errno.ENOTDIR)

_STATUSES = {
    End.UNREACHABLE: ExitStatus.UNREACHABLE,
    End.LOST: ExitStatus.LOST,
    End.LOST_LATE: ExitStatus.LOST_LATE,
    End.NOT_PERMITTED: ExitStatus.NOT_PERMITTED,
    End.NEWER_FORMAT: ExitStatus.CONFIGURATION,
    End.GUARD_FAILED: ExitStatus.INTERNAL,
    End.REFUSED: ExitStatus.INTERNAL,
}


def _why_not_executed(number: int, config: Config) -> str:
    if number in _MISSING and os.path.exists(config.executable):
        return "its interpreter was not found"
    return os.strerror(number).lower()


def _tell(outcome: Outcome, config: Config, log: Log, trouble: str) -> None:
    """Say in one line what ended us, if it is an error; a change of state is an event."""
    command, reason = config.command_name, outcome.reason
    lines = {
        End.UNREACHABLE: f"cannot reach ZooKeeper at {config.hosts} within {show(config.connect_timeout)}"
        + (f": {trouble[:1].lower()}{trouble[1:]}" if trouble else ""),
        End.NOT_PERMITTED: f"cannot {reason}: not permitted",
        End.NEWER_FORMAT: f"cannot take part in {config.election}: {reason}, and this version knows format 1",
        End.REFUSED: f"cannot {reason}",
        End.NOT_EXECUTED: f"cannot run {command}: {_why_not_executed(outcome.number, config)}",
        End.LOST_LATE: f"cannot confirm that all of {command} was gone in time: leadership lost ({reason})",
        End.GUARD_FAILED: f"internal error: {reason.replace('_', ' ')}; {command} was ended",
    }
    if outcome.end in lines:
        log.say(lines[outcome.end])
    else:
        log.event("info", "ended", outcome=outcome.end.value, reason=reason)
