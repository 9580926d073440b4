"""The program: its subcommands, and every error that users can make as one line and one status.

It owns the words for what click refuses.  It must not know any subcommand's options.  It does not promise a status of
``run`` once that supervises: then the process ends there.
"""

from __future__ import annotations

import errno
import os
import sys

import click
from click.core import ParameterSource

from zkleader import __version__
from zkleader.cli.demo import demo
from zkleader.cli.ending import refusal_of
from zkleader.cli.run import run
from zkleader.config import CommandProblem, ConfigurationProblem
from zkleader.exit_status import ExitStatus
from zkleader.log import say_at_once


@click.group(
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="See zkleader(1), zkleader-run(1) and zkleader-demo(1).",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """Run a command on one host of many: the one that ZooKeeper elected, and never on two at once."""


program.add_command(run)
program.add_command(demo)


_NOT_WRITTEN = (errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)
"""What a standard output may answer."""


def main() -> int:
    """Run the program; return the exit status (``run`` does not return)."""
    try:
        return int(program.main(prog_name="zkleader", standalone_mode=False) or 0)
    except click.UsageError as error:
        say_at_once(_line_of(error))
    except (ConfigurationProblem, CommandProblem) as error:
        say_at_once(str(error))
        return refusal_of(error).exit_status
    except click.Abort:
        return ExitStatus.INTERNAL
    except Exception as error:  # noqa: BLE001 # no traceback reaches a user
        if isinstance(error, OSError) and error.errno in _NOT_WRITTEN:
            return end_unwritten(error)
        say_at_once(f"internal error: {type(error).__name__}: {error}")
        return ExitStatus.INTERNAL
    return ExitStatus.USAGE


def end_unwritten(error: OSError) -> int:
    """Say that help or version could not be written, unless nobody wanted the rest; return the exit status."""
    if error.errno != errno.EPIPE:
        say_at_once(f"cannot write to standard output: {os.strerror(error.errno or 0).lower()}")
    return 1


def _line_of(error: click.UsageError) -> str:
    """Return what was wrong with the command line or the environment, in one line."""
    path = error.ctx.command_path if error.ctx is not None else _path_of(sys.argv[1:2])
    if isinstance(error, click.MissingParameter):
        return f"cannot run: no command was given (see {path} --help)"
    message = " ".join(error.format_message().split())
    if isinstance(error, click.BadParameter) and error.param is not None and error.ctx is not None:
        message = " ".join(error.message.split())
        name = max(error.param.opts, key=len)
        source = error.ctx.get_parameter_source(error.param.name) if error.param.name else None
        if source is ParameterSource.ENVIRONMENT:
            name = str(error.param.envvar)
        return f"cannot use {name}: {_begin_small(message)}"
    return f"cannot run: {_begin_small(message)} (see {path} --help)"


def _begin_small(message: str) -> str:
    """Return a message as what follows a colon: an option that it begins with keeps its letter."""
    return message[:1].lower() + message[1:].rstrip(".")


def _path_of(arguments: list[str]) -> str:
    # click's parser does not say where an option lacks its value.
    return " ".join(["zkleader", *(name for name in arguments if name in program.commands)])
