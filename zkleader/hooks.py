"""Hooks as the user gives them: what can be known of one before anybody campaigns.

It owns these checks.  It must not know when a hook is run.  That the shell understands it does not promise that the
programs which it names are there: only running it tells.
"""

from __future__ import annotations

import os

from zkleader.config import UsageProblem

SHELL = "/bin/sh"
"""Runs hooks."""

DEFAULT_TIMEOUT = 10.0

_PATIENCE = 5.0
"""Seconds for a shell to read a line."""


def check_hook(text: str, option: str) -> None:
    """Refuse a command line that cannot be one.

    Raises:
        UsageProblem: it is empty, or the shell does not understand it.
    """
    if not text.strip():
        raise UsageProblem("it is empty", option)
    if not os.access(SHELL, os.X_OK):
        raise UsageProblem(f"there is no {SHELL} to run it", option)
    import subprocess  # noqa: PLC0415 # few have hooks

    try:
        # Read, and not executed.
        read = subprocess.run(  # noqa: S603 # that it is run is what the user wants
            [SHELL, "-n", "-c", text], check=False, stdin=subprocess.DEVNULL, capture_output=True, timeout=_PATIENCE
        )
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise UsageProblem(f"the shell cannot read it: {error}", option) from None
    if read.returncode:
        told = " ".join(read.stderr.decode("utf-8", "replace").split())
        raise UsageProblem(f"the shell does not understand it: {told}", option)


def check_hooks(on_elected: str | None, on_lost: str | None, *, has_timeout: bool) -> None:
    """Refuse what `check_hook` does, and a time-out for nothing.

    Raises:
        UsageProblem: one of them cannot be, or there is none to have a time-out.
    """
    for option, text in (("--on-elected", on_elected), ("--on-lost", on_lost)):
        if text is not None:
            check_hook(text, option)
    if has_timeout and on_elected is None and on_lost is None:
        raise UsageProblem("it needs --on-elected or --on-lost", "--hook-timeout")
