"""``zkleader run``: its options, and the Config that they make.

It owns the command line and its environment variables.  It must not know what follows from them, and does not promise
that a value can work: ``config`` says that.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

from zkleader.cli.connection import blamed, connection_options, hosts_of, log_choice
from zkleader.cli.ending import refusal_of
from zkleader.cli.values import Duration, ExitStatusValue, Signal
from zkleader.config import (
    Config,
    OnLoss,
    UsageProblem,
    check_identity,
    check_period,
    check_restart,
    check_timing,
    command_environment,
    election_path,
    find_command,
)
from zkleader.core.lease import Timing
from zkleader.core.restart import LONGEST_DELAY, Restart
from zkleader.exit_status import ExitStatus
from zkleader.log import Log, say_at_once
from zkleader.result import ResultFile

ENVIRONMENT = "ZKLEADER_RUN"
"""Each option of run may also be given in the environment: ``ZKLEADER_RUN_<OPTION>``."""

DEFAULT_LEASE = 20.0
DEFAULT_GRACE = 5.0
DEFAULT_STOP_TIMEOUT = 25.0
DEFAULT_RESTART_DELAY = 1.0

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
    type=ExitStatusValue(),
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
@_option(
    "--restart",
    type=click.Choice([choice.value for choice in Restart]),
    default=Restart.NEVER.value,
    help="When COMMAND ends by itself while we lead: end, or start it again.  [default: never]",
)
@_option(
    "--restart-delay",
    type=Duration(),
    default=DEFAULT_RESTART_DELAY,
    help=f"Before it is started again; doubles up to {LONGEST_DELAY:g}s.  [default: 1s]",
)
@_option(
    "--once-per",
    type=Duration(),
    metavar="PERIOD",
    help="Run once per PERIOD over all hosts: a run of this period that has ended is not repeated.",
)
@_option(
    "--retry-failed", is_flag=True, help="With --once-per: a run that ended with another status than 0 is repeated."
)
@_option("--result", metavar="FILE", help="Write the outcome there as JSON, whole or not at all.")
@click.argument("command", metavar="COMMAND [ARG]...", nargs=-1, type=click.UNPROCESSED, required=True)
def run(**options: Any) -> None:
    """Campaign in an election; run COMMAND while leader; end with its exit status.

    COMMAND is stopped, with everything that it has started, when leadership is lost for whatever reason, and is gone
    before another host's COMMAND starts.
    """
    result_file: ResultFile | None = None
    try:
        result_file = None if options["result"] is None else ResultFile(options["result"])
        form, loudness = log_choice(options["log_format"], verbose=options["verbose"], quiet=options["quiet"])
        log = Log(form, loudness)
        config = _config(options)
    except Exception as problem:
        if result_file is not None:
            _write_refusal(result_file, problem)
        if isinstance(problem, UsageProblem):
            raise blamed(problem) from None
        raise
    log.bind(election=config.election)
    for name in _unknown_environment():
        log.event("warning", "environment_ignored", name=name, reason="no option of run is called that")
    from zkleader.cli.process import supervise  # noqa: PLC0415 # neither help nor a wrong option needs it

    supervise(config, log, result_file)


def _write_refusal(result_file: ResultFile, problem: Exception) -> None:
    try:
        result_file.write(refusal_of(problem))
    except OSError as error:
        say_at_once(f"cannot write the result {result_file.path}: {os.strerror(error.errno or 0).lower()}")


def _unknown_environment() -> list[str]:
    names = {parameter.envvar for parameter in run.params}
    return sorted(name for name in os.environ if name.startswith(f"{ENVIRONMENT}_") and name not in names)


def _config(options: dict[str, Any]) -> Config:
    timing = Timing(lease=options["lease"], grace=options["grace"], stop_timeout=options["stop_timeout"])
    check_timing(timing)
    check_period(options["once_per"], timing, retry_failed=options["retry_failed"])
    restart = Restart(options["restart"])
    source = click.get_current_context().get_parameter_source("restart_delay")
    check_restart(restart, options["once_per"], has_delay=source is not ParameterSource.DEFAULT)
    identity = check_identity(socket.gethostname() if options["identity"] is None else options["identity"])
    command: tuple[str, ...] = options["command"]
    hosts = hosts_of(options["hosts"])
    environment = command_environment()
    search_path = os.fsdecode(environment.get(b"PATH", os.fsencode(os.defpath)))
    executable = find_command(command[0], search_path)
    election = election_path(options["election"], command[0])
    return Config(
        hosts=hosts,
        connect_timeout=options["connect_timeout"],
        election=election,
        id=identity,
        wait=_wait(options),
        conflict_status=options["conflict_exit_code"],
        timing=timing,
        stop_signal=options["stop_signal"],
        on_loss=OnLoss(options["on_loss"]),
        once_per=options["once_per"],
        retry_failed=options["retry_failed"],
        restart=restart,
        restart_delay=options["restart_delay"],
        argv=tuple(os.fsencode(part) for part in command),
        executable=executable,
        environment=environment,
    )


def _wait(options: dict[str, Any]) -> float | None:
    """Return how long to wait for candidates ahead; of -n and -w the one on the command line wins over a variable."""
    wait: float | None = options["wait"]
    if not options["nonblock"]:
        return wait
    if not wait:
        return 0.0
    source = click.get_current_context().get_parameter_source
    by_variable = {name: source(name) is ParameterSource.ENVIRONMENT for name in ("nonblock", "wait")}
    if by_variable["nonblock"] == by_variable["wait"]:
        raise UsageProblem("-n and -w contradict each other: -n is -w 0")
    return wait if by_variable["nonblock"] else 0.0
