"""What is run in a tenure, one after the other: on-elected, the command, perhaps again, on-lost.

It owns these words, and whether there are hooks.  It must not know what a hook does.  It does not promise that each of
them runs: an on-elected that fails keeps the command from running, and on-lost runs only while there is time for it.
"""

from __future__ import annotations

from enum import Enum

from zkleader.core.value import Value


class Act(Enum):
    """One of them; nothing of it is left when the next one begins."""

    ON_ELECTED = "on_elected"
    COMMAND = "command"
    ON_LOST = "on_lost"

    @property
    def is_hook(self) -> bool:
        """Whether it is run for the command's sake, and has a time-out."""
        return self is not Act.COMMAND


class Hooks(Value):
    """Which hooks there are."""

    on_elected: bool = False
    on_lost: bool = False
    timeout: float = 10.0
    """Seconds that each of them may take."""
