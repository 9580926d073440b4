"""The znodes that we write: candidates and the lease record, as JSON of format 1.

Every writer changes its own fields and keeps all others, unknown ones too, so that versions can be rolled out one host
at a time.  What others wrote is not trusted: it parses to a value that says what is wrong, never to an exception.
Times in records are milliseconds of the ensemble's clock, taken from znode stats; hosts' clocks are never written.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple, TypeGuard

from zkleader.core.lease import LONGEST_LEASE
from zkleader.core.value import Value

FORMAT = 1
_LONGEST_LEASE_MS = round(LONGEST_LEASE * 1000)


class Stat(NamedTuple):
    """What ZooKeeper tells of a znode beside its data (zxids are 64 bit; times in ms of the ensemble's clock)."""

    czxid: int
    mzxid: int
    version: int
    mtime: int
    ctime: int


class Identity(Value):
    """Who a candidate is, for people; safety uses only the guid."""

    id: str
    host: str
    pid: int
    command: str
    version: str


class Unreadable(Value):
    """Not a record of any format that we know; ``reason`` says why."""

    reason: str


class NewerFormat(Value):
    """Written by a later version of zkleader; must not be touched."""

    format: int


class LeaseRecord(Value):
    """A lease record of format 1; ``content`` is all of it, unknown fields included."""

    content: dict[str, Any]

    @property
    def holder(self) -> str:
        """The guid of the candidacy that last wrote it; empty if there was none yet."""
        return str(self.content["holder"])

    @property
    def beat(self) -> int:
        """Which attempt of the holder wrote it."""
        return int(self.content["beat"])

    @property
    def lease(self) -> float:
        """Seconds that the holder may act after the sending of what it last wrote."""
        return int(self.content["lease_ms"]) / 1000

    @property
    def released(self) -> bool:
        """Whether the holder has said that nothing of its command is left."""
        return bool(self.content["released"])

    @property
    def holder_id(self) -> str:
        """How the holder is shown."""
        return str(self.content.get("id") or "")


def _load(data: bytes) -> dict[str, Any] | Unreadable | NewerFormat:
    try:
        content = json.loads(data)
    except (ValueError, RecursionError):  # RecursionError: nested too deep to be one of ours
        return Unreadable(reason="not JSON")
    if not isinstance(content, dict):
        return Unreadable(reason="not a JSON object")
    number = content.get("format")
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        return Unreadable(reason="no format number")
    if number > FORMAT:
        return NewerFormat(format=number)
    return content


def parse_lease_record(data: bytes) -> LeaseRecord | Unreadable | NewerFormat:
    """Return the lease record in the data, or what is wrong with it."""
    content = _load(data)
    if not isinstance(content, dict):
        return content
    wanted: dict[str, type] = {"holder": str, "beat": int, "lease_ms": int, "released": bool}
    for field, kind in wanted.items():
        if type(content.get(field)) is not kind:
            return Unreadable(reason=f"field {field} is missing or of the wrong type")
    if not 0 < content["lease_ms"] <= _LONGEST_LEASE_MS:
        return Unreadable(reason=f"lease_ms {content['lease_ms']} is out of range")
    return LeaseRecord(content=content)


def parse_candidate(data: bytes) -> dict[str, Any] | Unreadable | NewerFormat:
    """Return a candidate's fields, or what is wrong with them."""
    return _load(data)


def _dump(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def candidate_data(identity: Identity, lease: float) -> bytes:
    """Return the data of a candidate's znode."""
    return _dump(
        {
            "format": FORMAT,
            "id": identity.id,
            "host": identity.host,
            "pid": identity.pid,
            "command": identity.command,
            "lease_ms": round(lease * 1000),
            "version": identity.version,
        },
    )


def new_record(*, released: bool) -> bytes:
    """Return a lease record for an election that has none.

    Unreleased, it is waited out with the longest lease: there may be a leader who is just being told.
    """
    return _dump(
        {"format": FORMAT, "holder": "", "beat": 0, "lease_ms": _LONGEST_LEASE_MS, "released": released, "token": None},
    )


def claimed(
    old: LeaseRecord | Unreadable,
    stat: Stat,
    *,
    guid: str,
    beat: int,
    lease: float,
    identity: Identity,
    last_run: dict[str, Any] | None = None,
) -> LeaseRecord:
    """Return the record that claims leadership over ``old``, whose stat is ``stat``; ``last_run`` None: unchanged.

    The token is the zxid of this very write, so it cannot stand in it; the first renewal writes it.
    """
    content = _completed(old, stat) if isinstance(old, LeaseRecord) else {}
    if isinstance(old, LeaseRecord) and old.holder not in ("", guid) and not old.released:
        content["previous"] = _previous(old, stat, reason="lapsed", status=None) | {"ended": stat.mtime}
    if last_run is not None:
        content["last_run"] = last_run
    content |= {
        "format": FORMAT,
        "holder": guid,
        "beat": beat,
        "lease_ms": round(lease * 1000),
        "released": False,
        "token": None,
        "id": identity.id,
        "host": identity.host,
        "pid": identity.pid,
        "command": identity.command,
        "elected_at": None,
    }
    return LeaseRecord(content=content)


def renewed(old: LeaseRecord, *, beat: int, token: int, elected_at: int) -> LeaseRecord:
    """Return the record that renews ``old``."""
    return LeaseRecord(content=old.content | {"beat": beat, "token": token, "elected_at": elected_at})


def released(
    old: LeaseRecord,
    stat: Stat,
    *,
    beat: int,
    reason: str,
    status: int | None,
    last_run: dict[str, Any] | None = None,
) -> LeaseRecord:
    """Return the record that releases ``old``: nothing of its holder's command is left; ``last_run`` as for a claim."""
    content = _completed(old, stat) | {
        "beat": beat,
        "released": True,
        "previous": _previous(old, stat, reason=reason, status=status),
    }
    if last_run is not None:
        content["last_run"] = last_run
    return LeaseRecord(content=content)


def claimed_at(record: LeaseRecord, stat: Stat) -> int | None:
    """Return when the record was claimed, in ms; None if nothing tells."""
    if record.content.get("token") is None:
        return stat.mtime  # it was never renewed, so what stands there is the claim itself
    told = record.content.get("elected_at")
    return told if isinstance(told, int) else None


def encode(record: LeaseRecord) -> bytes:
    """Return the data of a lease record's znode."""
    return _dump(record.content)


def _completed(old: LeaseRecord, stat: Stat) -> dict[str, Any]:
    """Return the fields of ``old`` with the times that only its stat tells, because a write cannot know its own."""
    content = dict(old.content)
    previous, last_run = content.get("previous"), content.get("last_run")
    if old.released and _lacks(previous, "ended"):
        content["previous"] = previous | {"ended": stat.mtime}
    if _lacks(last_run, "start") and last_run.get("status") is None:
        content["last_run"] = last_run | {"start": claimed_at(old, stat)}
    elif old.released and _lacks(last_run, "end") and last_run.get("status") is not None:
        content["last_run"] = last_run | {"end": stat.mtime}
    return content


def _lacks(told: object, field: str) -> TypeGuard[dict[str, Any]]:
    """Say whether a field of ours is there and not known yet; what others wrote stays as it is."""
    return isinstance(told, dict) and field in told and told[field] is None


def _previous(old: LeaseRecord, stat: Stat, *, reason: str, status: int | None) -> dict[str, Any]:
    # A record without a token was never renewed, so what stands there is the claim itself.
    token = old.content.get("token") or stat.mzxid
    return {"id": old.holder_id, "token": token, "ended": None, "reason": reason, "status": status}
