"""Standard output as whatever it is: a terminal of any size, a dumb one, a pipe or a file.

It owns its width, its colours, and drawing over what was drawn before.  It must not know what the lines say.  Where it
is no terminal there are whole lines and no escape codes.
"""

from __future__ import annotations

import errno
import os
import select
import sys
from collections.abc import Sequence

from zkleader.status.table import Line, Mark
from zkleader.status.text import clipped, width

_COLOURS = {Mark.HEADING: "\x1b[1m", Mark.GOOD: "\x1b[32m", Mark.BAD: "\x1b[33m"}
_PLAIN = "\x1b[0m"
_ERASE_BELOW = "\x1b[J"


class Output:
    """Takes lines.

    Every method raises OSError when they cannot be written.
    """

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self.can_redraw = self._is_terminal and os.environ.get("TERM", "dumb") != "dumb"
        self._has_colours = self.can_redraw and "NO_COLOR" not in os.environ
        self._drawn: list[str] = []

    def write_text(self, text: str) -> None:
        """Write a line as it is."""
        self._write(f"{text}\n")

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines that stay; to a terminal no more of each than it has columns."""
        columns = self._size().columns if self._is_terminal else None
        self._write("".join(f"{self._styled(line, columns)}\n" for line in lines))

    def draw(self, lines: Sequence[Line]) -> None:
        """Write lines over those that were drawn before; no more of them than the terminal has rows."""
        columns, rows = self._size()
        if len(lines) >= rows:  # the cursor takes the last row
            left_out = len(lines) - max(0, rows - 2)
            lines = [*lines[: max(0, rows - 2)], Line(f"and {left_out} more lines")]
        # A terminal that has become narrower has broken lines that were whole.
        above = sum(max(1, -(-width(text) // columns)) for text in self._drawn)
        self._drawn = [clipped(line.text, columns) for line in lines]
        up = f"\x1b[{above}A\r" if above else ""
        self._write(up + _ERASE_BELOW + "".join(f"{self._styled(line, columns)}\n" for line in lines))

    def check(self) -> None:
        """Raise what writing would, if nobody can read any more what is written."""
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
        if any(event & select.POLLERR for _, event in poll.poll(0)):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def _size(self) -> os.terminal_size:
        size = os.get_terminal_size(sys.stdout.fileno())
        return os.terminal_size((size.columns or 80, size.lines or 24))

    def _styled(self, line: Line, columns: int | None) -> str:
        text = line.text if columns is None else clipped(line.text, columns)
        colour = _COLOURS.get(line.mark, "") if self._has_colours else ""
        return f"{colour}{text}{_PLAIN}" if colour else text

    @staticmethod
    def _write(text: str) -> None:
        # Whatever the locale can show: names are of others, and their hosts have another one perhaps.
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, "backslashreplace"))
        sys.stdout.buffer.flush()
