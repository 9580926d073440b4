"""Options that every subcommand has: where ZooKeeper is, and how loud to be.

It owns their names, variables and defaults.  It must not know what a subcommand does, and does not promise that
anything answers there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from zkleader.cli.values import Duration
from zkleader.config import UsageProblem
from zkleader.log import Format, Loudness, default_format, default_loudness
from zkleader.zk.hosts import Hosts, parse_hosts

DEFAULT_HOSTS = "127.0.0.1:2181"
DEFAULT_CONNECT_TIMEOUT = 15.0

_OPTIONS = (
    click.option(
        "-z",
        "--hosts",
        metavar="HOST:PORT[,...][/CHROOT]",
        envvar="ZKLEADER_HOSTS",
        default=DEFAULT_HOSTS,
        help=f"The servers of the ensemble; the chroot is created if missing.  [default: {DEFAULT_HOSTS}]",
    ),
    click.option(
        "--connect-timeout",
        type=Duration(),
        envvar="ZKLEADER_CONNECT_TIMEOUT",
        default=DEFAULT_CONNECT_TIMEOUT,
        help="Give up reaching ZooKeeper for the first time after this.  [default: 15s]",
    ),
    click.option(
        "--log-format",
        type=click.Choice([form.value for form in Format]),
        envvar="ZKLEADER_LOG_FORMAT",
        help="Form of log lines on standard error.  [default: console on a terminal, else logfmt]",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Log everything."),
    click.option("-q", "--quiet", is_flag=True, help="Log errors only."),
)


def connection_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add these options to a subcommand."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def hosts_of(text: str) -> Hosts:
    """Return the servers that the option names.

    Raises:
        UsageProblem: it names none.
    """
    try:
        return parse_hosts(text)
    except ValueError as error:
        raise UsageProblem(str(error), "--hosts") from None


def blamed(problem: UsageProblem) -> click.UsageError:
    """Return what click would raise for it, so that an option's variable is named where that gave the value."""
    context = click.get_current_context()
    parameters = [parameter for parameter in context.command.params if problem.option in parameter.opts]
    if parameters:
        return click.BadParameter(str(problem), context, parameters[0])
    return click.UsageError(str(problem), context)


def log_choice(log_format: str | None, *, verbose: bool, quiet: bool) -> tuple[Format, Loudness]:
    """Return how to log.

    Raises:
        UsageProblem: loud and quiet at once.
    """
    if verbose and quiet:
        raise UsageProblem("-v and -q contradict each other")
    form = Format(log_format) if log_format is not None else default_format()
    if verbose:
        return form, Loudness.VERBOSE
    return form, Loudness.QUIET if quiet else default_loudness()
