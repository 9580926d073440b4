"""``--config``: what the configuration file says becomes the defaults of the settings.

It owns which tables and keys there are, and which table is whose.  It must not know what a setting is for, but for the
election's name, which chooses a table.  It does not promise that the values can work: ``zkleader.config`` says that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Mapping
from typing import Any

import click

from zkleader.cli import config_file
from zkleader.cli.config_file import ConfigFile, Table
from zkleader.cli.settings import (
    CONNECTION,
    RUN,
    Origins,
    Setting,
    Source,
    Strength,
    in_line,
    note_origins,
    settings_of,
    source_of,
)
from zkleader.cli.values import Count, Duration, ExitStatusValue, Signal
from zkleader.config import ConfigurationProblem, UsageProblem, election_path

ELECTION = "election"
"""The table with one table for each election, and the setting that names one."""

_NUMERIC = (Duration, ExitStatusValue, Signal, Count)
"""The types of values for which a number may stand in the file."""

_Found = tuple[Table, dict[str, Any]]
"""A table, and what it says by the names of parameters."""


class ConfigOption(click.Option):
    """The option.

    It must be eager, so that the settings are looked at after it.  It is handed the whole command line, because the
    election chooses a table.
    """

    def handle_parse_result(
        self, ctx: click.Context, opts: Mapping[str, Any], args: list[str]
    ) -> tuple[Any, list[str]]:
        """Read the file, unless all that is wanted is help."""
        path, args = super().handle_parse_result(ctx, opts, args)
        note_origins(ctx, Origins(command_line=opts))
        asked = ctx.command.get_help_option(ctx)
        if asked is None or not opts.get(str(asked.name)):
            try:
                file = config_file.read(path, is_named=source_of(self, ctx).strength > Strength.DEFAULT)
                if file is not None:
                    _apply(file, ctx, opts)
            except ConfigurationProblem:
                if not ctx.resilient_parsing:  # while completing, a file that cannot be used says nothing
                    raise
        return path, args


def _apply(file: ConfigFile, ctx: click.Context, opts: Mapping[str, Any]) -> None:
    """Make what the file says the defaults of this subcommand's settings."""
    for name in file.content:
        if name not in (CONNECTION, RUN, ELECTION):
            raise ConfigurationProblem(
                f"cannot use {config_file.quote_key(name)} in {file.path}: there are only the tables [connection], "
                '[run] and [election."NAME"]'
            )
    settings = settings_of(ctx.command)
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    elections: dict[str, _Found] = {}

    def take(table: Table, found: dict[str, Any], strength: Strength) -> None:
        place = f"{table.title} of {file.path}"
        for name in found.keys() & settings.keys():  # click would give the others to what is called alike
            values[name] = found[name]
            sources[name] = Source(strength=strength, place=place, name=table.name_of(settings[name].key))

    # Tables that this subcommand does not use are not looked into: at three in the morning a slip in [run] must keep
    # nobody from asking who leads.
    for name in sorted({setting.table for setting in settings.values()}):
        table, known = file.table(name), _keys(ctx, name)
        take(table, _values(ctx, table, known), Strength.FILE)
        if name == RUN:
            known.pop(ELECTION, None)  # the table's name says that
            elections = _elections(ctx, file, known)
            own = elections.get(_election(ctx, opts, values))
            if own is not None:
                take(*own, Strength.FILE_OF_ELECTION)
            # What is in force is checked with all the rest, and its refusal told in the result.
            for other in elections.values():
                if other is not own:
                    _check(ctx, *other)
    ctx.default_map = values
    note_origins(ctx, Origins(command_line=opts, path=file.path, sources=sources, elections=tuple(elections)))


def _check(ctx: click.Context, table: Table, found: Mapping[str, Any]) -> None:
    """Refuse what cannot work, whatever else is said; what other options can make fit is left to them."""
    settings = settings_of(ctx.command)
    for name in found.keys() & settings.keys():
        setting = settings[name]
        if setting.check is not None:
            try:
                setting.check(setting.type_cast_value(ctx, found[name]))
            except UsageProblem as problem:
                raise ConfigurationProblem(f"cannot use {table.name_of(setting.key)}: {problem}") from None


def _keys(ctx: click.Context, table: str) -> dict[str, Setting]:
    """Return the settings that a table may have by their keys: those of `run`, which has all, whichever reads it."""
    root = ctx.find_root().command
    run = root.get_command(ctx, RUN) if isinstance(root, click.Group) else None
    settings = settings_of(run or ctx.command).values()
    return {setting.key: setting for setting in settings if setting.table == table}


def _elections(ctx: click.Context, file: ConfigFile, known: Mapping[str, Setting]) -> dict[str, _Found]:
    """Return the tables of elections by path.  All are checked: what is wrong in one is found before it is needed."""
    elections: dict[str, _Found] = {}
    for name, table in file.subtables(ELECTION).items():
        where = f"{table.title} of {file.path}"
        try:
            path = election_path(name, "")
        except UsageProblem as problem:
            raise ConfigurationProblem(f"cannot use {where}: {problem}") from None
        if path in elections:
            raise ConfigurationProblem(f"cannot use {where}: {elections[path][0].title} is the same election")
        elections[path] = table, _values(ctx, table, known)
    return elections


def _election(ctx: click.Context, opts: Mapping[str, Any], values: Mapping[str, Any]) -> str:
    """Return the path of the election that is meant; empty if none is, or none that can be, which is said later."""
    name, words = opts.get(ELECTION), opts.get("command")
    setting = settings_of(ctx.command).get(ELECTION)
    if setting is not None:
        name = name or os.environ.get(str(setting.envvar)) or values.get(ELECTION)
    command = words[0] if isinstance(words, tuple) and words else ""
    with contextlib.suppress(UsageProblem):
        # An argument that is not there click tells by a mark of its own.
        return election_path(name if isinstance(name, str) else None, command)
    return ""


def _values(ctx: click.Context, table: Table, known: Mapping[str, Setting]) -> dict[str, Any]:
    """Return what a table says, by the names of parameters and as the command line would give it."""
    values = {}
    for key, value in table.content.items():
        where = table.name_of(key)
        if key not in known:
            raise ConfigurationProblem(f"cannot use {where}: {_why_unknown(ctx, key, known)}")
        try:
            values[str(known[key].name)] = _value(ctx, known[key], value)
        except click.BadParameter as error:
            raise ConfigurationProblem(f"cannot use {where}: {in_line(error.message)}") from None
    return values


def _why_unknown(ctx: click.Context, key: str, known: Collection[str]) -> str:
    import difflib  # noqa: PLC0415 # only for this error

    for table in (CONNECTION, RUN):
        if key in _keys(ctx, table):
            return f"it belongs into [{table}]"
    close = difflib.get_close_matches(key.replace("_", "-"), known, n=1)
    return "no option is called that" + (f" (did you mean {close[0]}?)" if close else "")


def _value(ctx: click.Context, setting: Setting, value: Any) -> str | bool:
    """Return a value as the command line would give it.

    Raises:
        BadParameter: the option does not take it.
    """
    if setting.is_flag:
        if not isinstance(value, bool):
            raise click.BadParameter("it takes true or false")
        return value
    takes_number = isinstance(setting.type, _NUMERIC)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not isinstance(value, str) and not (takes_number and is_number):
        raise click.BadParameter("it takes a string" + (" or a number" if takes_number else ""))
    if "\0" in str(value):  # no command line has it, so nobody is prepared for it
        raise click.BadParameter("it has a character that cannot be in it")
    setting.type_cast_value(ctx, str(value))
    return str(value)
