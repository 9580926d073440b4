"""What somebody who watches an election can say of time: how old something is at least.

It owns that reckoning.  No read tells the ensemble's present time, and a host's wall clock must not be compared with
it; so there are lower bounds only, from two sources: for how long one and the same version was looked at, on our own
clock, and by how much the ensemble's clock had moved on when something else was written later.  This module reads no
clock.  It does not promise anything about servers whose clocks disagree with each other, or are stepped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from zkleader.core.records import Stat
from zkleader.core.value import Value

_EPOCH_SHIFT = 32
"""A zxid is the epoch of the ensemble's leader, and a counter below it: in one epoch one server's clock has stamped."""


class FirstSeen(NamedTuple):
    """Since when a version of a znode has been seen (seconds of our clock)."""

    czxid: int
    version: int
    since: float


class Write(NamedTuple):
    """A write that a stat tells of: its zxid, the ensemble's time in ms, and when we learned of it."""

    zxid: int
    time: int
    seen: float


class Sights(Value):
    """All that is remembered from one look to the next."""

    newest: Write | None = None
    by_path: dict[str, FirstSeen]

    def after(self, stats: Mapping[str, Stat], arrived: float) -> Sights:
        """Return what is remembered after a look that has shown these stats, and only these."""
        by_path: dict[str, FirstSeen] = {}
        newest = self.newest
        for path, stat in stats.items():
            before = self.by_path.get(path)
            is_known = before is not None and before[:2] == (stat.czxid, stat.version)
            by_path[path] = before if is_known and before else FirstSeen(stat.czxid, stat.version, arrived)
            for zxid, time in ((stat.czxid, stat.ctime), (stat.mzxid, stat.mtime)):
                if newest is None or zxid > newest.zxid:
                    newest = Write(zxid, time, arrived)
        return Sights(newest=newest, by_path=by_path)

    def time(self, at: float) -> int | None:
        """Return what the ensemble's clock shows at least, in ms, at this instant of ours; None if nothing was seen."""
        return None if self.newest is None else self.newest.time + round(max(0.0, at - self.newest.seen) * 1000)

    def unchanged(self, path: str, stat: Stat, until: float) -> float:
        """Return for how many seconds, at least, this version had stood at an instant when it was the present one."""
        sight, newest = self.by_path[path], self.newest
        looked = until - sight.since
        assert newest is not None
        if newest.zxid <= stat.mzxid or newest.zxid >> _EPOCH_SHIFT != stat.mzxid >> _EPOCH_SHIFT:
            return max(0.0, looked)  # no later write tells, or another server's clock stamped it
        return max(0.0, looked, (newest.time - stat.mtime) / 1000 + until - newest.seen)


NOTHING_SEEN = Sights(by_path={})
