"""``--print-config``: the settings that are in force, and where each is from, in the form of the file.

It owns the layout.  It must not know what a setting is for.  It holds no secrets, because no setting does: they lie in
files that settings name.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from typing import Any

import click

from zkleader.cli.config_file import quote, quote_key
from zkleader.cli.config_option import ELECTION
from zkleader.cli.settings import CONNECTION, RUN, Setting, Strength, origins_of, settings_of, source_of
from zkleader.config import show

_WIDEST = 40
"""Columns up to which the comments stand below each other."""


def text_of(ctx: click.Context, *, election: str | None, void: Collection[str], ignored: Sequence[str]) -> str:
    """Return a file that says the same as the options of a subcommand, with their sources as comments.

    ``election`` is the path of the one that is meant, None if that is not known; ``void`` names the parameters that
    have no effect because of others, and ``ignored`` the variables that belong to no option.
    """
    file = origins_of(ctx).path
    lines = ["# What is in force, and where it is from.  As a file it says the same."]
    lines.append("# No file was read." if file is None else f"# {_printable(file)} was read.")
    lines += [f"# {_printable(name)} is ignored: no option of {ctx.command.name} is called that." for name in ignored]
    for table in (CONNECTION, RUN):
        settings = {name: setting for name, setting in settings_of(ctx.command).items() if setting.table == table}
        rows = [(f"[{table}]", "")]
        if table == RUN and election is not None:
            rows = [(f"[{ELECTION}.{quote_key(election)}]", _place(settings.pop(ELECTION), ctx))]
        rows += [_row(setting, ctx, is_void=name in void) for name, setting in settings.items()]
        width = max(len(text) for text, _ in rows if len(text) <= _WIDEST)
        lines += [
            "",
            *(f"{assignment:{width}}  # {comment}" if comment else assignment for assignment, comment in rows),
        ]
    return "\n".join(lines)


def _row(setting: Setting, ctx: click.Context, *, is_void: bool) -> tuple[str, str]:
    """Return the line of a setting, and its comment; what is not given is a comment as a whole."""
    value = _given(setting, ctx)
    if value is None:
        return f"#{setting.key} =", _place(setting, ctx)
    text = str(value).lower() if setting.is_flag else quote(str(value))
    if is_void:
        needed = " or ".join(" with ".join(way) for way in setting.needs).replace("_", "-")
        why = f"of no effect without {needed}" if needed else "overruled"
        return f"#{setting.key} = {text}", f"{_place(setting, ctx)}, {why}"
    return f"{setting.key} = {text}", _place(setting, ctx)


def _given(setting: Setting, ctx: click.Context) -> Any:
    """Return a value as it was given, in the words of whoever has given it; None if there is none."""
    name = str(setting.name)
    value = ctx.params[name]
    if setting.is_flag or value is None:
        return value
    strength = source_of(setting, ctx).strength
    if strength is Strength.COMMAND_LINE:
        return origins_of(ctx).command_line[name]
    if strength is Strength.ENVIRONMENT:
        return os.environ[str(setting.envvar)]
    if strength is Strength.DEFAULT:
        return show(value) if isinstance(value, float) else setting.default
    assert ctx.default_map is not None, "it is from there"
    return ctx.default_map[name]


def _place(setting: Setting, ctx: click.Context) -> str:
    source = source_of(setting, ctx)
    described = re.search(r"\[(default: .*)\]$", setting.help or "")
    if source.strength is Strength.DEFAULT and ctx.params[str(setting.name)] is None and described is not None:
        return described[1]
    return _printable(source.place)


def _printable(text: str) -> str:
    """Return a text that cannot end the comment that it stands in."""
    return quote(text)[1:-1] if not text.isprintable() else text
