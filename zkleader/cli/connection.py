"""Options that every subcommand has: where ZooKeeper is, how loud to be, and the file that says so.

It owns their names, variables and defaults.  It must not know what a subcommand does, and does not promise that
anything answers there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click

from zkleader.cli import config_file
from zkleader.cli.config_option import ConfigOption
from zkleader.cli.settings import CONNECTION, Setting, Strength, overruled, source_of, strength_of, together
from zkleader.cli.values import Duration, File
from zkleader.config import DEFAULT_CONNECT_TIMEOUT, ConfigurationProblem, UsageProblem, show
from zkleader.log import Format, Log, Loudness, default_format, default_loudness
from zkleader.reaching import reach
from zkleader.zk.access import Access, UnreachableError

DEFAULT_HOSTS = "127.0.0.1:2181"

_LOG_PATIENCE = 1.0
"""Seconds for which a line waits for a standard error that is slow."""


def _option(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """Return an option that the file may give as well."""
    return click.option(*names, cls=Setting, table=CONNECTION, **settings)


_OPTIONS = (
    _option(
        "-z",
        "--hosts",
        metavar="HOST:PORT[,...][/CHROOT]",
        envvar="ZKLEADER_HOSTS",
        default=DEFAULT_HOSTS,
        help=f"The servers of the ensemble; run creates a chroot that is missing.  [default: {DEFAULT_HOSTS}]",
    ),
    _option(
        "--connect-timeout",
        type=Duration(),
        envvar="ZKLEADER_CONNECT_TIMEOUT",
        default=DEFAULT_CONNECT_TIMEOUT,
        help="Give up reaching ZooKeeper for the first time after this.  [default: 15s]",
    ),
    _option(
        "--auth-file",
        type=File(),
        envvar="ZKLEADER_AUTH_FILE",
        help="Who we are: 'digest USER:PASSWORD' or 'sasl USER:PASSWORD', one line each; for our eyes only (0600).",
    ),
    _option(
        "--acl",
        metavar="SCHEME:ID:PERMS[,...]",
        envvar="ZKLEADER_ACL",
        help="Of the znodes that we create.  [default: all may do all; with --auth-file all for us, others may read]",
    ),
    _option("--tls", is_flag=True, envvar="ZKLEADER_TLS", help="Speak TLS, and verify servers by their names."),
    _option(
        "--tls-ca",
        type=File(),
        envvar="ZKLEADER_TLS_CA",
        help="The authorities to trust (PEM).  [default: the system's]",
    ),
    _option("--tls-cert", type=File(), envvar="ZKLEADER_TLS_CERT", help="Our own certificate (PEM)."),
    _option(
        "--tls-key",
        type=File(),
        envvar="ZKLEADER_TLS_KEY",
        help="Its private key (PEM, not encrypted).  [default: in --tls-cert]",
    ),
    _option(
        "--tls-no-verify",
        is_flag=True,
        envvar="ZKLEADER_TLS_NO_VERIFY",
        help="Trust any server: for finding out what is wrong.",
    ),
    _option(
        "--log-format",
        type=click.Choice([form.value for form in Format]),
        envvar="ZKLEADER_LOG_FORMAT",
        help="Form of log lines on standard error.  [default: console on a terminal, else logfmt]",
    ),
    _option("-v", "--verbose", is_flag=True, help="Log everything."),
    _option("-q", "--quiet", is_flag=True, excludes="verbose", help="Log errors only."),
    click.option(
        "--config",
        cls=ConfigOption,
        is_eager=True,
        expose_value=False,
        type=File(),
        envvar="ZKLEADER_CONFIG",
        default=config_file.DEFAULT_PATH,
        help=f"A file of settings; the default one may be missing.  [default: {config_file.DEFAULT_PATH}]",
    ),
)

_OF_TLS = ("tls_ca", "tls_cert", "tls_key", "tls_no_verify")
"""The options that say how to speak it."""


connection_options = together(*_OPTIONS)
"""Adds these options to a subcommand."""


def access_of(options: dict[str, Any]) -> Access:
    """Return the way to the ensemble that the options name.

    Raises:
        UsageProblem, ConfigurationProblem: they name none, or what they say cannot be used.
    """
    said = {name: options[name] for name in ("hosts", "auth_file", "acl", "tls", *_OF_TLS) if options[name] is not None}
    if not said["tls"]:
        # Who says more strongly that there is to be no TLS need not take back what goes with it.
        for name in [name for name in _OF_TLS if said.get(name) and strength_of(name) < strength_of("tls")]:
            del said[name]
    return reach(**said)


@contextlib.contextmanager
def reaching(access: Access, within: float) -> Iterator[None]:
    """Have an ensemble that is not reached told with where it was looked for, and how long, as ``run`` does."""
    try:
        yield
    except UnreachableError as error:
        raise UnreachableError(f"at {access.hosts} within {show(within)}: {error}") from None


def blamed(problem: UsageProblem) -> click.UsageError | ConfigurationProblem:
    """Return what to raise for it, so that what has given the value is named: an option, its variable, a file's key."""
    context = click.get_current_context()
    # What is an option of `run` may be an argument elsewhere.
    names = {problem.option, (problem.option or "").removeprefix("--")}
    for parameter in context.command.params:
        if names & {*parameter.opts}:
            source = source_of(parameter, context)
            if source.strength in (Strength.FILE, Strength.FILE_OF_ELECTION):
                return ConfigurationProblem(f"cannot use {source.name}: {problem}")
            return click.BadParameter(str(problem), context, parameter)
    return click.UsageError(str(problem), context)


def log_choice(log_format: str | None, *, verbose: bool, quiet: bool) -> tuple[Format, Loudness]:
    """Return how to log; of loud and quiet that from the stronger source holds.

    Raises:
        UsageProblem: both are from one source.
    """
    given = {"verbose": verbose, "quiet": quiet}
    given |= overruled(given)
    if all(given.values()):
        raise UsageProblem("-v and -q contradict each other", "--verbose")
    form = Format(log_format) if log_format is not None else default_format()
    if given["verbose"]:
        return form, Loudness.VERBOSE
    return form, Loudness.QUIET if given["quiet"] else default_loudness()


def visit_log(options: dict[str, Any]) -> Log:
    """Return the log of a subcommand that only visits the ensemble: without -v there is nothing to tell.

    Raises:
        UsageProblem: loud and quiet at once.
    """
    verbose, quiet = options["verbose"], options["quiet"]
    form, loudness = log_choice(options["log_format"], verbose=verbose, quiet=quiet)
    return Log(form, Loudness.CRON if loudness is default_loudness() else loudness)


def tell_connected(log: Log, server: str, session_timeout: float | None) -> None:
    """Log that a visit has reached a server; nothing else is logged by one."""
    log.event("info", "connected", server=server, session_timeout=session_timeout)
    log.close(_LOG_PATIENCE)
