"""Settings: options that the configuration file may give as well; where their values are from, and which of two holds.

It owns the precedence: the command line, then the environment, then the file's table of the election, then its other
tables, then the default.  It must not know what a setting is for, nor how the file is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

import click
from click.core import ParameterSource

from zkleader.cli.values import Flag
from zkleader.core.value import Value

CONNECTION = "connection"
RUN = "run"
"""The tables of the file that hold settings."""

_META = __name__


class Setting(click.Option):
    """An option that the file may give as well: under its long name, in ``table``.

    ``excludes`` names the parameter that contradicts it, ``needs`` those of which it takes one to have an effect, or
    several together.
    ``check`` raises UsageProblem for a value that cannot work, whatever the others are.
    """

    def __init__(
        self,
        *args: Any,
        table: str,
        excludes: str | None = None,
        needs: str | tuple[str | tuple[str, ...], ...] = (),
        check: Callable[[Any], object] | None = None,
        **kwargs: Any,
    ) -> None:
        if kwargs.get("is_flag"):
            kwargs["type"] = Flag()
        super().__init__(*args, **kwargs)
        self.table = table
        self.excludes = excludes
        ways = (needs,) if isinstance(needs, str) else needs
        self.needs = tuple((way,) if isinstance(way, str) else way for way in ways)
        """The ways in which it has an effect: what it takes together for each."""
        self.check = check
        self.absent = False if self.is_flag else kwargs.get("default")
        """The value that says that it is not given."""

    @property
    def key(self) -> str:
        """Its name in the file."""
        return max(self.opts, key=len).lstrip("-")


Adding = Callable[[Any], Any]
"""What adds an option to a subcommand: click's decorators."""


def together(*options: Adding) -> Adding:
    """Return what adds these options to a subcommand, in this order."""

    def add(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class Strength(IntEnum):
    """How strong a source is: what the greater one says holds."""

    DEFAULT = 0
    FILE = 1
    FILE_OF_ELECTION = 2
    ENVIRONMENT = 3
    COMMAND_LINE = 4


class Source(Value):
    """Where a value is from: ``place`` in general, ``name`` as what is to blame for the value."""

    strength: Strength
    place: str
    name: str


class Origins(Value):
    """What a subcommand was given.

    The words of the command line by parameter; and of the file, if one was read, its path, the sources of its values by
    parameter, and the paths of the elections that it has tables of.
    """

    command_line: Mapping[str, Any]
    path: str | None = None
    sources: Mapping[str, Source] = {}
    elections: tuple[str, ...] = ()


def note_origins(ctx: click.Context, origins: Origins) -> None:
    """Note what the subcommand of this context was given."""
    ctx.meta[_META] = origins


def origins_of(ctx: click.Context) -> Origins:
    """Return what it was given."""
    origins: Origins = ctx.meta[_META]
    return origins


def source_of(parameter: click.Parameter, ctx: click.Context) -> Source:
    """Return where the value of a parameter is from."""
    source = ctx.get_parameter_source(str(parameter.name))
    option = max(parameter.opts, key=len) if isinstance(parameter, click.Option) else parameter.human_readable_name
    if source is ParameterSource.COMMANDLINE:
        return Source(strength=Strength.COMMAND_LINE, place="command line", name=option)
    if source is ParameterSource.ENVIRONMENT:
        variable = str(parameter.envvar)
        return Source(strength=Strength.ENVIRONMENT, place=variable, name=variable)
    if source is ParameterSource.DEFAULT_MAP:
        return origins_of(ctx).sources[str(parameter.name)]
    return Source(strength=Strength.DEFAULT, place="default", name=option)


def in_line(message: str) -> str:
    """Return what click says is wrong in one line, as what follows a colon: an option that it begins with keeps it."""
    words = " ".join(message.split())
    return words[:1].lower() + words[1:].rstrip(".")


def settings_of(command: click.Command) -> dict[str, Setting]:
    """Return the settings of a subcommand by the names of their parameters."""
    return {str(setting.name): setting for setting in command.params if isinstance(setting, Setting)}


def strength_of(name: str) -> Strength:
    """Return how strong the source of a setting of the running subcommand is, by its parameter's name."""
    ctx = click.get_current_context()
    return source_of(settings_of(ctx.command)[name], ctx).strength


def overruled(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those settings among the options that others make void, with the values that say that they are not given.

    Of two that exclude each other the one from the weaker source gives way; if they have one source, neither does: they
    contradict each other.  One that needs another, which is not given or gives way, does so too if it is from a file,
    which may say it for the case, or if a stronger source than its own has decided so.
    """
    ctx = click.get_current_context()
    settings = {name: setting for name, setting in settings_of(ctx.command).items() if name in options}
    decided = {name: source_of(setting, ctx).strength for name, setting in settings.items()}
    void: dict[str, Any] = {}
    for name, setting in settings.items():
        other = setting.excludes
        if other is not None and all(options[each] != settings[each].absent for each in (name, other)):
            weaker, stronger = sorted((name, other), key=decided.__getitem__)
            if decided[weaker] < decided[stronger]:
                void[weaker] = settings[weaker].absent
                decided[weaker] = decided[stronger]
    for name, setting in settings.items():
        if not setting.needs or any(
            all(each not in void and options[each] != settings[each].absent for each in way) for way in setting.needs
        ):
            continue
        needed = [each for way in setting.needs for each in way]
        if Strength.DEFAULT < decided[name] < max(Strength.ENVIRONMENT, *(decided[each] for each in needed)):
            void[name] = setting.absent
    return void
