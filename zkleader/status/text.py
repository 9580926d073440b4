"""Words for people: what others wrote made harmless, columns that line up, instants and durations.

It owns these.  It must not know what they tell of.  What it returns is of one line, and cannot steer a terminal.
"""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import pairwise

from zkleader.harmless import harmless

_CUT = "..."

_LONGEST = 64
"""Columns of one text that others wrote: nobody's name may push all others off the screen."""

_UNITS = ((86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


def printable(text: str | None) -> str:
    """Return a text that others wrote as it may be shown; a hyphen where there is none."""
    if text is None:
        return "-"
    return clipped(harmless(text), _LONGEST)


def width(text: str) -> int:
    """Return how many columns a terminal gives to a text."""
    return sum(map(_columns, text))


def _columns(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):  # drawn over the one before
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def clipped(text: str, columns: int) -> str:
    """Return as much of a text as so many columns hold; where something is missing it ends with dots."""
    if width(text) <= columns:
        return text
    kept, left = "", columns - len(_CUT)
    for character in text:
        left -= _columns(character)
        if left < 0:
            break
        kept += character
    return (kept + _CUT)[:columns] if columns < len(_CUT) else kept + _CUT


def aligned(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> list[str]:
    """Return rows with their columns lined up, those with these numbers at the right."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(_padded(row, widths, right)).rstrip() for row in rows]


def _padded(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> Iterator[str]:
    for number, (text, columns) in enumerate(zip(row, widths, strict=True)):
        blanks = " " * (columns - width(text))
        yield blanks + text if number in right else text + blanks


def stamp(ms: int, *, has_ms: bool = False) -> str:
    """Return an instant of the ensemble's clock (RFC 3339, UTC)."""
    whole = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ms // 1000))
    return f"{whole}.{ms % 1000:03d}Z" if has_ms else f"{whole}Z"


def duration(seconds: float) -> str:
    """Return a duration the way options take it, in its two greatest units: ``3m5s``, ``2d``."""
    left = int(seconds)
    for (unit, name), (lesser, lesser_name) in pairwise(_UNITS):
        if left >= unit:
            rest = left % unit // lesser
            return f"{left // unit}{name}" + (f"{rest}{lesser_name}" if rest else "")
    return f"{left}s"
