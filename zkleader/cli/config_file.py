"""The configuration file: read once, and refused unless it is safe and makes sense.

It owns the file's form: who may write to it, TOML, and the spelling of tables and keys.  It must not know which tables
and keys there are: ``settings`` does.  It does not promise that nobody can put another file in its place: whoever may
write to its directory can.
"""

from __future__ import annotations

import json
import os
import re
import stat
from typing import Any

from zkleader import named_file
from zkleader.config import ConfigurationProblem
from zkleader.core.value import Value
from zkleader.named_file import FileProblem

DEFAULT_PATH = "/etc/zkleader.toml"
"""Read if it is there; one that was named has to be."""

_LARGEST = 256 * 1024
"""Bytes; a thousand elections fit in, and what is larger was not meant to be one."""

_BARE_KEY = r"[A-Za-z0-9_-]+"


class Table(Value):
    """One table of a file; ``title`` is how it is written there."""

    path: str
    title: str
    content: dict[str, Any]

    def name_of(self, key: str) -> str:
        """Return how to name a key of it to the user."""
        return f"{quote_key(key)} in {self.title} of {self.path}"


class ConfigFile(Value):
    """What a file says, by the names of its tables."""

    path: str
    content: dict[str, Any]

    def table(self, name: str) -> Table:
        """Return a table, which is empty if the file has none of that name.

        Raises:
            ConfigurationProblem: it is something else.
        """
        return self._table(f"[{name}]", self.content.get(name, {}))

    def subtables(self, name: str) -> dict[str, Table]:
        """Return the tables within a table, by their names.

        Raises:
            ConfigurationProblem: something there is no table.
        """
        content = self.table(name).content
        return {inner: self._table(f"[{name}.{quote_key(inner)}]", content[inner]) for inner in content}

    def _table(self, title: str, content: Any) -> Table:
        if not isinstance(content, dict):
            raise ConfigurationProblem(f"cannot use {title} of {self.path}: it is not a table")
        return Table(path=self.path, title=title, content=content)


def read(path: str, *, is_named: bool) -> ConfigFile | None:
    """Return what a file says; None if there is none and nobody has named it, or for ``/dev/null``.

    Raises:
        ConfigurationProblem: it cannot be read, is not safe, or is not TOML.
    """
    if path == os.devnull:  # how people say "no file", whatever lies in /etc
        return None
    try:
        content = named_file.read(path, _LARGEST, _check)
    except FileProblem as problem:
        # A link that leads nowhere was meant to lead somewhere.  Without the file that should say so, all would be led
        # on this host's own server: two leaders.  So one that may not be read is an error too.
        if problem.is_missing and not is_named and not os.path.lexists(path):
            return None
        raise ConfigurationProblem(f"cannot use the configuration file {path}: {problem}") from None
    return ConfigFile(path=path, content=_parse(path, content))


def _check(status: os.stat_result) -> None:
    """Refuse a file that others may change.

    As ssh does, whatever it says: who may write to it chooses the servers that elect, and thereby who leads, which
    servers are shown our secrets, and which file ``result`` replaces.  Its owner may, whatever its mode is now.
    """
    if status.st_uid not in (0, os.geteuid()):
        raise FileProblem(f"it belongs to user {status.st_uid}, neither to root nor to us")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise FileProblem("group or others may write to it (chmod go-w)")


def _parse(path: str, content: bytes) -> dict[str, Any]:
    import tomllib  # noqa: PLC0415 # most hosts have no file, and the command is waiting

    try:
        text = content.decode()
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        reason = f"line {line} is not UTF-8"
    except RecursionError:
        reason = "it is nested too deeply"
    except ValueError as error:
        # Where the text ends too early tomllib tells no line.
        end = f"at the end of line {len(text.splitlines())}"
        reason = str(error).replace("at end of document", end)
        reason = reason[:1].lower() + reason[1:]
    raise ConfigurationProblem(f"cannot read the configuration file {path}: {reason}")


def quote(text: str) -> str:
    """Return a text as TOML's string."""
    # JSON's strings are TOML's but for this character, which TOML wants to be escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007F")


def quote_key(text: str) -> str:
    """Return a text as TOML's key."""
    return text if re.fullmatch(_BARE_KEY, text) else quote(text)
