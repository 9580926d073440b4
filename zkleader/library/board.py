"""Where a candidate's state is shown: one thread posts, any others look, or wait for the next state.

It owns that hand-over.  It must not know what a state means, but that some are the last.  Whoever is slow sees the
present state and not all that were there between; the last one is never missed, because nothing is shown after it.
"""

from __future__ import annotations

import threading
from typing import NamedTuple

from zkleader.core.lease import Instant
from zkleader.library.states import LAST, State


class Posting(NamedTuple):
    """A state, and the lease under which work may go on: it runs from ``lease_start`` (None: there is none)."""

    state: State
    lease_start: Instant | None


class Board:
    """The present posting of one candidate."""

    def __init__(self, posting: Posting) -> None:
        self._posting = posting
        self._count = 1
        self._changed = threading.Condition()

    @property
    def posting(self) -> Posting:
        """What was posted last; reading it takes no lock, so it may be done anywhere, in a signal handler too."""
        return self._posting

    def post(self, posting: Posting) -> None:
        """Show this from now on, unless the last state is shown.

        The race: a claim is on its way when the program resigns, or when it turns out that we may not read our own
        candidate.  Its answer makes a tenure of what was told to have ended without one, and is for releasing alone.
        The lock is never held by others for longer than a look takes.
        """
        if isinstance(self._posting.state, LAST):
            return
        if posting.state == self._posting.state:  # nobody waits for a lease that goes on
            self._posting = posting
            return
        with self._changed:
            self._posting = posting
            self._count += 1
            self._changed.notify_all()

    def wait_beyond(self, seen: int, timeout: float | None = None) -> tuple[int, State] | None:
        """Return the present state and its number, once that is beyond ``seen`` (0: at once); None: not in time."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._count > seen, timeout):
                return None
            return self._count, self._posting.state
