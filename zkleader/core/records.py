"""The znodes that we write: candidates and the lease record, as JSON of format 1.

Every writer changes its own fields and keeps all others, unknown ones too, so that versions can be rolled out one host
at a time.  What others wrote is not trusted: it parses to a value that says what is wrong, never to an exception.
Times in records are milliseconds of the ensemble's clock, taken from znode stats; hosts' clocks are never written.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from zkleader.core.lease import LONGEST_LEASE
from zkleader.core.value import Value

FORMAT = 1
_LONGEST_LEASE_MS = round(LONGEST_LEASE * 1000)


class Stat(NamedTuple):
    """What ZooKeeper tells of a znode beside its data (zxids are 64 bit; ``mtime`` in ms of the ensemble's clock)."""

    czxid: int
    mzxid: int
    version: int
    mtime: int


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
    except (ValueError, RecursionError):  # RecursionError: nested a thousand deep
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
    old: LeaseRecord | Unreadable, stat: Stat, *, guid: str, beat: int, lease: float, identity: Identity
) -> LeaseRecord:
    """Return the record that claims leadership over ``old``, whose stat is ``stat``.

    The token is the zxid of this very write, so it cannot stand in it; the first renewal writes it.
    """
    content = dict(old.content) if isinstance(old, LeaseRecord) else {}
    if isinstance(old, LeaseRecord) and old.holder and not old.released:
        content["previous"] = _previous(old, stat, reason="lapsed", status=None) | {"ended": stat.mtime}
    elif isinstance(content.get("previous"), dict) and content["previous"].get("ended") is None:
        # Who released could not know when the ensemble would commit it; that stands in the stat of what it wrote.
        content["previous"] = content["previous"] | {"ended": stat.mtime}
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


def released(old: LeaseRecord, stat: Stat, *, beat: int, reason: str, status: int | None) -> LeaseRecord:
    """Return the record that releases ``old``: nothing of its holder's command is left."""
    previous = _previous(old, stat, reason=reason, status=status)
    return LeaseRecord(content=old.content | {"beat": beat, "released": True, "previous": previous})


def encode(record: LeaseRecord) -> bytes:
    """Return the data of a lease record's znode."""
    return _dump(record.content)


def _previous(old: LeaseRecord, stat: Stat, *, reason: str, status: int | None) -> dict[str, Any]:
    # A record without a token was never renewed, so what stands there is the claim itself.
    token = old.content.get("token") or stat.mzxid
    return {"id": old.holder_id, "token": token, "ended": None, "reason": reason, "status": status}
