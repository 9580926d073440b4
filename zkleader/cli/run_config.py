"""The Config that the options of ``run`` make, as far as they are in force.

It owns what contradicts what, and the order in which things are refused.  It must not know names of options beyond the
parameters that click makes of them, and does not promise that a value can work: ``zkleader.config`` says that.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from zkleader.cli.connection import access_of
from zkleader.cli.settings import Strength, overruled, strength_of
from zkleader.cli.timing import timing_of
from zkleader.config import (
    Config,
    ConfigurationProblem,
    OnLoss,
    UsageProblem,
    check_files,
    check_identity,
    check_leaders,
    check_period,
    check_restart,
    check_timing,
    command_environment,
    election_path,
    find_command,
)
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.restart import Restart
from zkleader.hooks import check_hooks


def config_of(options: Mapping[str, Any]) -> Config:
    """Return what the options of a run with a COMMAND make.

    Raises:
        UsageProblem, ConfigurationProblem: they do not fit each other, or cannot work.
        CommandProblem: COMMAND cannot be executed.
    """
    settings = checked(options)
    command: tuple[str, ...] = options["command"]
    environment = command_environment()
    search_path = os.fsdecode(environment.get(b"PATH", os.fsencode(os.defpath)))
    return Config(
        **settings,
        executable=find_command(command[0], search_path),
        election=election_path(options["election"], command[0]),
        argv=tuple(os.fsencode(part) for part in command),
        environment=environment,
    )


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the part of a Config that does not depend on COMMAND.

    Raises:
        UsageProblem, ConfigurationProblem: the options do not fit each other, or cannot work.
    """
    void = overruled(options)
    held = {**options, **void}
    timing = timing_of(held)
    check_timing(timing)
    check_period(held["once_per"], timing, retry_failed=held["retry_failed"])
    check_leaders(held["leaders"], held["once_per"])
    restart = Restart(held["restart"])
    has_delay = "restart_delay" not in void and strength_of("restart_delay") > Strength.DEFAULT
    on_loss = OnLoss(held["on_loss"])
    rejoins_after_hook = held["on_elected"] is not None and on_loss is OnLoss.REJOIN
    check_restart(restart, held["once_per"], has_delay=has_delay, rejoins_after_hook=rejoins_after_hook)
    on_disconnect = OnDisconnect(held["on_disconnect"])
    if on_disconnect is OnDisconnect.PAUSE:
        _check_pausing()
    identity = check_identity(socket.gethostname() if held["identity"] is None else held["identity"])
    has_timeout = "hook_timeout" not in void and strength_of("hook_timeout") > Strength.DEFAULT
    hooks = {name: held[name] for name in ("on_elected", "on_lost")}
    check_hooks(**hooks, has_timeout=has_timeout)
    check_files(held["result"], held["metrics_textfile"])
    access = access_of(held)
    if held["nonblock"] and held["wait"]:
        raise UsageProblem("-n and -w contradict each other: -n is -w 0", "--nonblock")
    return {
        "access": access,
        "connect_timeout": held["connect_timeout"],
        "id": identity,
        "leaders": held["leaders"],
        "wait": 0.0 if held["nonblock"] else held["wait"],
        "conflict_status": held["conflict_exit_code"],
        "timing": timing,
        "stop_signal": held["stop_signal"],
        "on_disconnect": on_disconnect,
        "on_loss": on_loss,
        "once_per": held["once_per"],
        "retry_failed": held["retry_failed"],
        "restart": restart,
        "restart_delay": held["restart_delay"],
        **{name: None if text is None else os.fsencode(text) for name, text in hooks.items()},
        "hook_timeout": held["hook_timeout"],
    }


def _check_pausing() -> None:
    """Refuse to pause where no command can be frozen: who finds that out when elected has kept others waiting.

    Raises:
        ConfigurationProblem: there is no control group to be had, or none that freezes.
    """
    from zkleader.guard import cgroup  # noqa: PLC0415 # few want it

    try:
        cgroup.rehearse(freezes=True)
    except cgroup.NoControlGroupError as error:
        raise ConfigurationProblem(f"cannot use --on-disconnect pause: {error}") from None
