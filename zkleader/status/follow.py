"""Following elections as they change, until somebody ends us.

It owns what counts as a change worth telling, and the pace.  It must not know what is looked at or how it is shown.  It
rides out that ZooKeeper is away, and says so; it does not promise to show every state that there was, only the last.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NoReturn

from zkleader.core.value import Value
from zkleader.core.view import Look
from zkleader.zk.access import UnreachableError

_TICK = 1.0
"""Seconds after which to look again though no watch has fired: ages go on, and a server that is silent is noticed."""

_PACE = 0.2
"""Seconds from one look to the next, at least: a thousand candidates that join are not a thousand looks."""


class Seen(Value):
    """What was seen last; ``lost_for``: so many seconds ago the connection was lost, None if it stands."""

    look: Look
    lost_for: float | None = None

    def is_news_after(self, other: Seen | None) -> bool:
        """Say whether anything else than time, and a renewal, has passed since."""
        return other is None or _essence(self) != _essence(other)


def _essence(seen: Seen) -> object:
    elections = tuple(
        election.but(slots=tuple(slot.but(renewed=None, unrenewed=0.0) for slot in election.slots))
        for election in seen.look.elections
    )
    return seen.lost_for is None, seen.look.but(time=None, elections=elections)


def follow(
    first: Look, look: Callable[[], Look], wait: Callable[[float], None], show: Callable[[Seen], None]
) -> NoReturn:
    """Show what is seen, again and again; what ends that is an exception of theirs."""
    seen, lost_at = Seen(look=first), 0.0
    while True:
        show(seen)
        looked_at = time.monotonic()
        wait(_TICK)
        time.sleep(max(0.0, looked_at + _PACE - time.monotonic()))
        try:
            seen = Seen(look=look())
        except UnreachableError:
            if seen.lost_for is None:
                lost_at = time.monotonic()
            seen = seen.but(lost_for=time.monotonic() - lost_at)
