"""The program: its subcommands, and every error that users can make as one line and one status.

It owns the words for what click refuses.  It must not know any subcommand's options, and imports only the one that is
asked for: COMMAND waits for all that is imported.  It does not promise a status of ``run`` once that supervises: then
the process ends there.
"""

from __future__ import annotations

import errno
import gc
import importlib
import io
import os
import sys
from collections.abc import Iterator, Mapping
from typing import BinaryIO, cast

import click

from zkleader import __version__
from zkleader.cli.ending import refusal_of
from zkleader.cli.settings import in_line, source_of
from zkleader.config import CommandProblem, ConfigurationProblem
from zkleader.errors import RefusedError
from zkleader.exit_status import UNWRITTEN, ExitStatus
from zkleader.log import say_at_once
from zkleader.zk.access import NotPermittedError, UnreachableError

_SUBCOMMANDS = {name.replace("_", "-"): name for name in ("check", "demo", "is_leader", "resign", "run", "status")}
"""The function of each, which is in the module that is called like it."""


class Subcommands(Mapping[str, click.Command]):
    """The subcommands by name, each imported when it is taken; help, for one, takes all."""

    def __getitem__(self, name: str) -> click.Command:
        function = _SUBCOMMANDS[name]
        command: click.Command = getattr(importlib.import_module(f"zkleader.cli.{function}"), function)
        return command

    def __iter__(self) -> Iterator[str]:
        return iter(_SUBCOMMANDS)

    def __len__(self) -> int:
        return len(_SUBCOMMANDS)


@click.group(
    commands=Subcommands(),
    no_args_is_help=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="See zkleader(1), zkleader-run(1) and so on for each command, and zkleader.toml(5).",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Run a command on one host of many: the one that ZooKeeper elected, and never on two at once."""
    if ctx.invoked_subcommand != "run":  # which has more to import, and then does it itself
        gc.enable()


_COMPLETE = "_ZKLEADER_COMPLETE"
"""The variable by which a shell asks what completes a line."""

_NOT_WRITTEN = (errno.EBADF, errno.EPIPE, errno.ENOSPC, errno.EFBIG, errno.EDQUOT, errno.EIO)
"""What a standard output may answer."""


class _Closed(io.RawIOBase):
    """A standard output that whoever started us has closed: what is written to it is an error, as anywhere else."""

    def fileno(self) -> int:
        raise OSError(errno.EBADF, os.strerror(errno.EBADF))

    def writable(self) -> bool:
        return True

    def write(self, _content: object) -> int:
        return self.fileno()


def main() -> int:
    """Run the program; return the exit status (``run`` does not return)."""
    if sys.stdout is None:  # which click and print() would pass over
        sys.stdout = io.TextIOWrapper(cast("BinaryIO", _Closed()), encoding="utf-8", write_through=True)
    try:
        if _COMPLETE in os.environ:
            from zkleader.cli.completion_bash import register  # noqa: PLC0415 # nobody else needs it

            register()
        return int(program.main(prog_name="zkleader", complete_var=_COMPLETE, standalone_mode=False) or 0)
    except click.UsageError as error:
        say_at_once(_line_of(error))
    except (ConfigurationProblem, CommandProblem) as error:
        say_at_once(str(error))
        return refusal_of(error).exit_status
    except UnreachableError as error:
        say_at_once(f"cannot reach ZooKeeper {error}")
        return ExitStatus.UNREACHABLE
    except NotPermittedError as error:
        say_at_once(f"cannot {error}: {error.why}")
        return ExitStatus.NOT_PERMITTED
    except RefusedError as error:
        say_at_once(f"cannot {error}")
        return ExitStatus.INTERNAL
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
    return UNWRITTEN


def _line_of(error: click.UsageError) -> str:
    """Return what was wrong with the command line or the environment, in one line."""
    path = error.ctx.command_path if error.ctx is not None else _path_of(sys.argv[1:2])
    if isinstance(error, click.MissingParameter):
        name = error.param.name if error.param is not None else "argument"
        return f"cannot use the command line: no {name} was given (see {path} --help)"
    if isinstance(error, click.BadParameter) and error.param is not None and error.ctx is not None:
        return f"cannot use {source_of(error.param, error.ctx).name}: {in_line(error.message)}"
    return f"cannot use the command line: {in_line(error.format_message())} (see {path} --help)"


def _path_of(arguments: list[str]) -> str:
    # click's parser does not say where an option lacks its value.
    return " ".join(["zkleader", *(name for name in arguments if name in _SUBCOMMANDS)])
