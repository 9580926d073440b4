"""At most once per period over all hosts: whether an arrival's period is done already, and when that period began.

It owns what ``last_run`` in the lease record means.  All times are milliseconds of the ensemble's clock, taken from
znode stats; a host's clock is never asked what time it is, so hosts may disagree about that as they like.  It must not
know how a record is read or written.  It does not promise that a run happens once only: one that ended, and could not
be recorded, happens again.

A period begins with its first claim.  Whoever comes (begins to campaign) within half a period after that belongs to it,
however long they then take to reach the queue, and wait in it: a crontab line strikes on all hosts at about the same
time, some of them a little late, and the next time it strikes is about a period later.
"""

from __future__ import annotations

from typing import Any

from zkleader.core import records
from zkleader.core.records import LeaseRecord, Stat
from zkleader.core.value import Value


class LastRun(Value):
    """The last run as a record tells it; ``status`` None: it was begun and has not been told to have ended."""

    start: int
    """When its period began."""
    status: int | None


def last_run_of(record: LeaseRecord, stat: Stat) -> LastRun | None:
    """Return what the record says of the last run; None if there was none, or it cannot be understood."""
    told = record.content.get("last_run")
    if not isinstance(told, dict):
        return None
    start, status = told.get("start"), told.get("status")
    if start is None and status is None:
        start = records.claimed_at(record, stat)
    if not isinstance(start, int) or not isinstance(status, int | None):
        return None
    return LastRun(start=start, status=status)


def is_done(last: LastRun | None, arrived: int, period: float, *, retry_failed: bool) -> bool:
    """Say whether who arrived then finds the run of its period done (``period`` in seconds)."""
    if last is None or last.status is None or not _belongs(arrived, last.start, period):
        return False
    return last.status == 0 or not retry_failed


def begun(last: LastRun | None, arrived: int, period: float, identity: str) -> dict[str, Any]:
    """Return ``last_run`` as a claim writes it.

    A run that was broken off, or failed, is done again *in its period*: counted from the second attempt, the next
    strike of the clock would seem to belong to it.  When a new one begins only the answer to the claim tells.
    """
    start = last.start if last is not None and _belongs(arrived, last.start, period) else None
    return {"start": start, "token": None, "id": identity, "status": None, "end": None}


def ended(old: LeaseRecord, *, token: int, elected_at: int, status: int) -> dict[str, Any]:
    """Return ``last_run`` as the release writes it: the run has ended by itself, with this exit status."""
    told: dict[str, Any] = old.content["last_run"]
    start = told["start"] if told["start"] is not None else elected_at
    return told | {"start": start, "token": token, "status": status}


def _belongs(arrived: int, start: int, period: float) -> bool:
    return arrived < start + period * 1000 / 2
