"""Descriptors that are kept for the moment in which there are none to be had.

Killing a control group takes an open file, and so does every look for a process: a guard that cannot open any more must
still end its command in time.  It owns the spare ones and nothing else.  It does not help where the whole host has no
open file to give; there a search goes on until one is to be had.
"""

from __future__ import annotations

import os

from zkleader.guard.system import close_quietly

SPARE = 4
"""A search holds two at once, a process and what is read of it; a release begins with one.  And one for a thread of the
supervisor's that is just reconnecting."""


class Reserve:
    """Spare descriptors, until they are needed."""

    def __init__(self) -> None:
        self._spare = [os.open("/dev/null", os.O_RDONLY) for _ in range(SPARE)]

    def give_up(self) -> None:
        """Let them be used, for good: whoever has to kill goes on until all is gone.  What starts next has its own."""
        while self._spare:
            close_quietly(self._spare.pop())
