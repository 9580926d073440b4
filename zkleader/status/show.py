"""Showing what was seen in the form that was asked for: a table or JSON, once or as it changes.

It owns that choice.  It must not know how elections are read.
"""

from __future__ import annotations

from zkleader.core.view import Look
from zkleader.status import document, table
from zkleader.status.follow import Seen
from zkleader.status.output import Output
from zkleader.status.table import Line, Mark
from zkleader.status.text import duration


class Show:
    """Shows, on standard output, one election or all below a path."""

    def __init__(self, *, below: str | None, as_json: bool) -> None:
        self._below = below
        self._as_json = as_json
        self._output = Output()
        self._told: Seen | None = None

    def once(self, look: Look) -> None:
        """Show a look.

        Raises:
            OSError: it cannot be written.
        """
        if self._as_json:
            self._output.write_text(document.render(look))
        else:
            self._output.write(self._lines(Seen(look=look)))

    def again(self, seen: Seen) -> None:
        """Show what is seen now: over what was shown before, or, where that cannot be, if it has changed.

        Raises: as above; also when nobody reads any more what is written.
        """
        self._output.check()
        if self._output.can_redraw and not self._as_json:
            self._output.draw(self._lines(seen))
            return
        if not seen.is_news_after(self._told):
            return
        if self._as_json:
            self._output.write_text(document.render(seen.look, is_connected=seen.lost_for is None))
        else:
            between = [] if self._told is None else [Line("")]
            self._output.write(between + self._lines(seen))
        self._told = seen

    def _lines(self, seen: Seen) -> list[Line]:
        lines = table.of_one(seen.look) if self._below is None else table.of_all(seen.look, self._below)
        if seen.lost_for is None:
            return lines
        ago = duration(seen.lost_for)
        return [Line(f"The connection was lost {ago} ago; this was seen before:", Mark.BAD), *lines]
