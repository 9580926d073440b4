"""The options of ``run`` that others share because they speak of what ``run`` would do: lease, grace, stop timeout.

It owns their names, variables and defaults.  It must not know what follows from them, nor whether they fit each other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from zkleader.cli.settings import RUN, Setting, together
from zkleader.cli.values import Duration
from zkleader.config import DEFAULT_GRACE, DEFAULT_LEASE, check_lease
from zkleader.core.lease import Timing

ENVIRONMENT = "ZKLEADER_RUN"
"""Each option of run may also be given in the environment: ``ZKLEADER_RUN_<OPTION>``."""

DEFAULT_STOP_TIMEOUT = 25.0


def option_of_run(*names: str, **settings: Any) -> Callable[[Any], Any]:
    """Return an option of run, which the environment and the file may give as well, by its long name."""
    long = next(name for name in names if name.startswith("--"))
    variable = f"{ENVIRONMENT}_{long.lstrip('-').replace('-', '_').upper()}"
    return click.option(*names, cls=Setting, table=RUN, envvar=variable, **settings)


_OPTIONS = (
    option_of_run(
        "--lease",
        type=Duration(),
        default=DEFAULT_LEASE,
        check=check_lease,
        help="By its end, counted from the last confirmed renewal, all of COMMAND is gone (2s to 60s).  [default: 20s]",
    ),
    option_of_run(
        "-g",
        "--grace",
        type=Duration(may_be_zero=True),
        default=DEFAULT_GRACE,
        help="From the stop signal to SIGKILL when leadership is lost.  [default: 5s]",
    ),
    option_of_run(
        "--stop-timeout",
        type=Duration(may_be_zero=True),
        default=DEFAULT_STOP_TIMEOUT,
        help="The same when asked to stop while leading.  [default: 25s]",
    ),
)


timing_options = together(*_OPTIONS)
"""Adds these options to a subcommand."""


def timing_of(options: Mapping[str, Any]) -> Timing:
    """Return what the options say."""
    return Timing(lease=options["lease"], grace=options["grace"], stop_timeout=options["stop_timeout"])
