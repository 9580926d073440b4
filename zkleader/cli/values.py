"""The types of option values: durations, signals and exit statuses, the way timeout(1) and kill(1) take them; files.

It owns their forms.  It must not know which option a value is for, and does not promise that values fit each other.
"""

from __future__ import annotations

import re
import signal
from typing import TYPE_CHECKING, Any

import click

from zkleader.cli.items import as_file, items
from zkleader.core.records import MOST_LEADERS

if TYPE_CHECKING:
    from zkleader.cli.items import Items

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "": 1.0}
_DURATION = r"(?P<number>[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?P<unit>ms|s|m|h|d)?"
_LONGEST = 10 * 365 * 86400.0
"""Seconds; a duration of more than ten years is a slip."""

_GREATEST_STATUS = 255

_REAL_TIME = r"(?:SIG)?RTM(?P<end>IN|AX)(?P<offset>[+-][0-9]+)?"
_DO_NOT_END = frozenset({"STOP", "TSTP", "TTIN", "TTOU", "CONT", "CHLD", "URG", "WINCH"})


class Duration(click.ParamType):  # type: ignore[type-arg] # not a generic before click 8.4
    """A duration in seconds: ``500ms``, ``10``, ``10s``, ``1.5m``, ``2h``, ``1d``."""

    name = "duration"

    def __init__(self, *, may_be_zero: bool = False) -> None:
        self._may_be_zero = may_be_zero

    def get_metavar(self, *_args: Any, **_kwargs: Any) -> str:
        """Return how help names it."""
        return "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        if isinstance(value, float):
            return value
        found = re.fullmatch(_DURATION, value.strip())
        if found is None:
            self.fail(f"'{value}' is not a duration (like 500ms, 10, 10s, 1.5m, 2h, 1d)", param, ctx)
        seconds = float(found["number"]) * _UNITS[found["unit"] or ""]
        if seconds == 0 and not self._may_be_zero:
            self.fail(f"'{value}' must be more than zero", param, ctx)
        if seconds > _LONGEST:
            self.fail(f"'{value}' is longer than ten years", param, ctx)
        return seconds


class Flag(click.types.BoolParamType):
    """Whether a flag is given, as a variable says it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> bool:
        """Return whether it is."""
        try:
            return bool(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"'{value}' is neither 1 (given) nor 0 (not given)", param, ctx)


class ExitStatusValue(click.ParamType):  # type: ignore[type-arg] # as above
    """An exit status, 0 to 255."""

    name = "status"

    def get_metavar(self, *_args: Any, **_kwargs: Any) -> str:
        """Return how help names it."""
        return "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        text = value.strip()
        if not (text.isascii() and text.isdigit() and int(text) <= _GREATEST_STATUS):
            self.fail(f"'{value}' is not an exit status (0 to {_GREATEST_STATUS})", param, ctx)
        return int(text)


class Signal(click.ParamType):  # type: ignore[type-arg] # as above
    """A signal by name or number: ``TERM``, ``SIGTERM``, ``15``, ``RTMIN+3``."""

    name = "signal"

    def get_metavar(self, *_args: Any, **_kwargs: Any) -> str:
        """Return how help names it."""
        return "SIGNAL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        if isinstance(value, int):
            return value
        number = _signal_number(value.strip().upper())
        if number is None:
            self.fail(f"'{value}' is not a signal", param, ctx)
        names = {member.name.removeprefix("SIG") for member in signal.Signals if member == number}
        if names & _DO_NOT_END:
            self.fail(f"'{value}' does not end a process", param, ctx)
        return number

    def shell_complete(self, *arguments: Any) -> Items:
        """Return the names that begin as the last argument does."""
        begun = arguments[-1].upper()
        names = [member.name.removeprefix("SIG") for member in signal.Signals]
        return items(name for name in names if name.startswith(begun) and name not in _DO_NOT_END)


class Count(click.ParamType):  # type: ignore[type-arg] # as above
    """A whole number."""

    name = "number"
    least: int
    most: int

    def get_metavar(self, *_args: Any, **_kwargs: Any) -> str:
        """Return how help names it."""
        return "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        text = str(value).strip()
        if not (text.isascii() and text.isdigit() and len(text) <= 9 and self.least <= int(text) <= self.most):
            self.fail(f"'{value}' is not a number from {self.least} to {self.most}", param, ctx)
        return int(text)


class Leaders(Count):
    """How many may lead."""

    least, most = 1, MOST_LEADERS


class Slot(Count):
    """One of the slots that they lead in."""

    least, most = 0, MOST_LEADERS - 1


class File(click.ParamType):  # type: ignore[type-arg] # as above
    """The name of a file, which shells complete; whether there is one is somebody else's business."""

    name = "file"

    def get_metavar(self, *_args: Any, **_kwargs: Any) -> str:
        """Return how help names it."""
        return "FILE"

    def shell_complete(self, *arguments: Any) -> Items:
        """Return what has the shell complete it."""
        return as_file(arguments[-1])


def _signal_number(name: str) -> int | None:
    if name.isascii() and name.isdigit():
        return int(name) if int(name) in signal.valid_signals() else None
    if found := re.fullmatch(_REAL_TIME, name):
        base = signal.SIGRTMIN if found["end"] == "IN" else signal.SIGRTMAX
        number = base + int(found["offset"] or 0)
        return number if signal.SIGRTMIN <= number <= signal.SIGRTMAX else None
    member = signal.Signals.__members__.get(f"SIG{name.removeprefix('SIG')}")
    return int(member) if member is not None else None
