"""``zkleader run``: its options, and what becomes of a run that they do not allow.

It owns the command line and its environment variables.  It must not know what follows from them, and does not promise
that the values fit each other: ``run_config`` and ``config`` say that.
"""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from zkleader import __version__
from zkleader.cli.completion import CommandRunner, complete_command, complete_election
from zkleader.cli.connection import blamed, connection_options, log_choice
from zkleader.cli.ending import refusal_of
from zkleader.cli.run_config import checked, config_of
from zkleader.cli.settings import overruled
from zkleader.cli.timing import ENVIRONMENT, timing_options
from zkleader.cli.timing import option_of_run as _option
from zkleader.cli.values import Duration, ExitStatusValue, File, Leaders, Signal
from zkleader.config import (
    Config,
    ConfigurationProblem,
    OnLoss,
    UsageProblem,
    check_identity,
    election_path,
)
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.restart import LONGEST_DELAY, Restart
from zkleader.exit_status import ExitStatus, epilog
from zkleader.hooks import DEFAULT_TIMEOUT, check_hook
from zkleader.log import Log, say_at_once
from zkleader.result import ResultFile

if TYPE_CHECKING:
    from zkleader.metrics_file import MetricsFile

DEFAULT_RESTART_DELAY = 1.0

_EPILOG = (
    epilog({status: status.meaning for status in ExitStatus}, own=" that of COMMAND, or")
    + "\n  128+n  COMMAND died of signal n, or we were told to end by it while waiting."
)


@click.command(
    "run",
    cls=CommandRunner,
    context_settings={"allow_interspersed_args": False},
    options_metavar="[OPTIONS] [--]",
    epilog=_EPILOG,
    short_help="Run a command while this host leads.",
)
@connection_options
@_option(
    "-e",
    "--election",
    metavar="PATH",
    shell_complete=complete_election,
    help="A name below /zkleader, or a path.  [default: COMMAND's base name]",
)
@_option(
    "--id",
    "identity",
    metavar="TEXT",
    check=check_identity,
    help="How this candidate is shown.  [default: the host name]",
)
@_option(
    "--leaders",
    type=Leaders(),
    default=1,
    excludes="once_per",
    help="So many may lead at once, each in a slot of its own.  [default: 1]",
)
@_option("-n", "--nonblock", is_flag=True, excludes="wait", help="End at once when a live candidate is ahead.")
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
@timing_options
@_option("-s", "--signal", "stop_signal", type=Signal(), default="TERM", help="The stop signal.  [default: TERM]")
@_option(
    "--on-disconnect",
    type=click.Choice([choice.value for choice in OnDisconnect]),
    default=OnDisconnect.CONTINUE.value,
    help="While ZooKeeper cannot be reached and the lease runs: go on, freeze COMMAND, or stop it.  "
    "[default: continue]",
)
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
    excludes="once_per",
    help="When COMMAND ends by itself while we lead: end, or start it again.  [default: never]",
)
@_option(
    "--restart-delay",
    type=Duration(),
    default=DEFAULT_RESTART_DELAY,
    needs=("restart", ("on_elected", "on_loss")),
    help=f"Before it is started, or rejoins after a failed hook; doubles up to {LONGEST_DELAY:g}s.  [default: 1s]",
)
@_option(
    "--once-per",
    type=Duration(),
    metavar="PERIOD",
    help="Run once per PERIOD over all hosts: a run of this period that has ended is not repeated.",
)
@_option(
    "--retry-failed",
    is_flag=True,
    needs="once_per",
    help="With --once-per: a run that ended with another status than 0 is repeated.",
)
@_option(
    "--on-elected",
    metavar="CMD",
    check=partial(check_hook, option="--on-elected"),
    help="Run by the shell before COMMAND starts; if it fails: step down.",
)
@_option(
    "--on-lost",
    metavar="CMD",
    check=partial(check_hook, option="--on-lost"),
    help="Run by the shell when all of COMMAND is gone, before others may lead.",
)
@_option(
    "--hook-timeout",
    type=Duration(),
    default=DEFAULT_TIMEOUT,
    needs=("on_elected", "on_lost"),
    help="Then a hook is killed.  [default: 10s]",
)
@_option("--result", type=File(), help="Write the outcome there as JSON, whole or not at all.")
@_option("--metrics-textfile", type=File(), help="Write metrics there, for node exporter's textfile collector.")
@click.option("--print-config", is_flag=True, help="Print what is in force, and from where, as a file; then end.")
@click.argument(
    "command", metavar="COMMAND [ARG]...", nargs=-1, type=click.UNPROCESSED, shell_complete=complete_command
)
def run(**options: Any) -> None:
    """Campaign in an election; run COMMAND while leader; end with its exit status.

    COMMAND is stopped, with everything that it has started, when leadership is lost for whatever reason, and is gone
    before another host's COMMAND starts.
    """
    if not options["command"] and not options["print_config"]:
        raise click.MissingParameter(ctx=click.get_current_context(), param=run.params[-1])
    result_file: ResultFile | None = None
    try:
        if options["print_config"]:
            click.echo(_in_force(options))
            return
        if options["result"] is not None:
            result_file = ResultFile(options["result"])
        form, loudness = log_choice(options["log_format"], verbose=options["verbose"], quiet=options["quiet"])
        log = Log(form, loudness)
        config = config_of(options)
        metrics_file = _metrics_file(options["metrics_textfile"], config)
    except Exception as problem:  # noqa: BLE001 # it is raised again
        error = blamed(problem) if isinstance(problem, UsageProblem) else problem
        if result_file is not None:
            _write_refusal(result_file, error if isinstance(error, ConfigurationProblem) else problem)
        raise error from None
    log.bind(election=config.election)
    for name in _unknown_environment():
        log.event("warning", "environment_ignored", name=name, reason="no option of run is called that")
    from zkleader.cli.process import supervise  # noqa: PLC0415 # neither help nor a wrong option needs it

    supervise(config, log, result_file, metrics_file)


def _metrics_file(path: str | None, config: Config) -> MetricsFile | None:
    if path is None:
        return None
    from zkleader.metrics import Labels  # noqa: PLC0415 # few want any
    from zkleader.metrics_file import MetricsFile  # noqa: PLC0415 # as above

    labels = Labels(election=config.election, id=config.id, version=__version__, lease=config.timing.lease)
    return MetricsFile(path, labels)


def _write_refusal(result_file: ResultFile, problem: Exception) -> None:
    try:
        result_file.write(refusal_of(problem))
    except OSError as error:
        say_at_once(f"cannot write the result {result_file.path}: {os.strerror(error.errno or 0).lower()}")


def _in_force(options: dict[str, Any]) -> bytes:
    """Return what ``--print-config`` prints; refuse what a run would, in the same order."""
    from zkleader.cli.print_config import text_of  # noqa: PLC0415 # nothing else needs it

    if options["result"] is not None:
        ResultFile(options["result"], takes_away=False)  # which is an earlier run's until the next one
    log_choice(options["log_format"], verbose=options["verbose"], quiet=options["quiet"])
    if options["command"]:
        election: str | None = config_of(options).election
    else:
        checked(options)
        election = None if options["election"] is None else election_path(options["election"], "")
    if options["metrics_textfile"] is not None:
        from zkleader.metrics_file import file_of  # noqa: PLC0415 # few want any

        file_of(options["metrics_textfile"])
    text = text_of(
        click.get_current_context(), election=election, void=overruled(options), ignored=_unknown_environment()
    )
    return text.encode("utf-8", "replace")  # TOML is; arguments and variables need not be


def _unknown_environment() -> list[str]:
    names = {parameter.envvar for parameter in run.params}
    return sorted(name for name in os.environ if name.startswith(f"{ENVIRONMENT}_") and name not in names)
