"""What others wrote made harmless: of one line, and nothing in it steers a terminal.

It owns how a character that is not shown is told.  It must not know where a text is shown, nor how much of it.
"""

from __future__ import annotations


def harmless(text: str) -> str:
    """Return a text with the escape of whatever in it is not printable."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
