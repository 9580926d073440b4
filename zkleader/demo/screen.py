"""What is shown, on whatever standard output is: a terminal of any width, a dumb one, a pipe or a file.

It owns width, colour, encoding, and the one live line at the bottom of a terminal.  It must not know what the lines
say.  Where standard output is no terminal there are plain lines and no escape codes.
"""

from __future__ import annotations

import os
import shutil

from zkleader.demo.loop import Loop
from zkleader.demo.timeline import LETTERS, SIGNS, Marks, usable

_ERASE = "\r\x1b[K"
_COLOURS = {"good": "\x1b[1;32m", "bad": "\x1b[1;31m", "fault": "\x1b[33m", "leads": "\x1b[32m"}
_PLAIN = "\x1b[0m"


class Screen:
    """Lines, and below them a live one where that is possible."""

    def __init__(self, loop: Loop, output: int, encoding: str) -> None:
        self._loop = loop
        self._output = output
        self._encoding = encoding
        self._is_terminal = os.isatty(output) and os.environ.get("TERM", "dumb") != "dumb"
        self._has_colours = self._is_terminal and "NO_COLOR" not in os.environ
        self._live = ""
        self.marks: Marks = SIGNS if self._can_show(SIGNS.leads) else LETTERS

    def _can_show(self, sign: str) -> bool:
        try:
            sign.encode(self._encoding)
        except (UnicodeEncodeError, LookupError):
            return False
        return True

    @property
    def width(self) -> int:
        """The columns there are now: windows are resized."""
        if "COLUMNS" in os.environ or not os.isatty(self._output):
            return shutil.get_terminal_size().columns
        return os.get_terminal_size(self._output).columns or 80

    def show(self, lines: list[str], kind: str = "") -> None:
        """Write lines that stay; ``kind`` chooses a colour where there are colours."""
        colour = _COLOURS.get(kind, "") if self._has_colours else ""
        end = _PLAIN if colour else ""
        erase, self._live = (_ERASE if self._live else ""), ""
        text = "".join(f"{colour}{_printable(line)}{end}\n" for line in lines)
        self._loop.write(f"{erase}{text}".encode(self._encoding, "replace"))

    def show_live(self, line: str) -> None:
        """Write the line at the bottom anew."""
        # A terminal that takes nothing (Ctrl-S) must not have a minute of these before it when it does again.
        if self._is_terminal and line != self._live and not self._loop.backlog:
            self._live = line
            self._loop.write(f"{_ERASE}{line[: usable(self.width)]}".encode(self._encoding, "replace"))

    def close(self) -> None:
        """Take the live line away."""
        if self._live:
            self._live = ""
            self._loop.write(_ERASE.encode())


def _printable(line: str) -> str:
    """Return a line without what would steer the terminal; a command's output may hold anything."""
    return "".join(character if character.isprintable() else "?" for character in line)
