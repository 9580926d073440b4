"""The znodes that we write: candidates and lease records, as JSON.

They are of format 1; lease records that state more than one leader are of format 2, from which versions that know of
only one stay away.

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
FORMAT_OF_SEVERAL = 2
"""Of a lease record that states how many may lead, more than one."""
KNOWN = "formats 1 and 2"
MOST_LEADERS = 100
_LONGEST_LEASE_MS = round(LONGEST_LEASE * 1000)
_NOBODYS: dict[str, Any] = {"holder": "", "beat": 0, "lease_ms": _LONGEST_LEASE_MS, "token": None}
"""What stands in a record that nobody is known to have held."""
_STATEMENT = ("format", "leaders", "leaders_before")
"""The fields that say how many may lead."""


class Stat(NamedTuple):
    """What ZooKeeper tells of a znode beside its data (zxids are 64 bit; times in ms of the ensemble's clock)."""

    czxid: int
    mzxid: int
    version: int
    mtime: int
    ctime: int
    owner: int = 0
    """The session of an ephemeral one; 0 for any other."""


class Identity(Value):
    """Who a candidate is, for people; safety uses only the guid."""

    id: str
    host: str
    pid: int
    command: str
    version: str


class ResignRequest(Value):
    """Somebody's request to a leader to step down in order; it means the tenure with this token and no other."""

    token: int
    user: str
    """Who asks, for people, and where."""
    host: str


class Unreadable(Value):
    """Not a record of any format that we know; ``reason`` says why."""

    reason: str


class NewerFormat(Value):
    """Written by a later version of zkleader; must not be touched."""

    format: int


class LeaseRecord(Value):
    """A lease record; ``content`` is all of it, unknown fields included."""

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
    def stated(self) -> int | None:
        """How many may lead; None: it was made anew, and that is not known."""
        if not self.holder and not self.released:
            return None
        return int(self.content["leaders"]) if self.content["format"] == FORMAT_OF_SEVERAL else 1

    @property
    def before(self) -> int | None:
        """The number that was stated before, while a change of it is provisional; 0: it was not known."""
        told = self.content.get("leaders_before")
        return told if type(told) is int and 0 <= told <= MOST_LEADERS else None

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
    if number > FORMAT_OF_SEVERAL:
        return NewerFormat(format=number)
    return content


def parse_lease_record(data: bytes, stat: Stat) -> LeaseRecord | Unreadable | NewerFormat:
    """Return the lease record in the data, whose stat is ``stat``, or what is wrong with it.

    The race: between a writer's read and its write the record is deleted and made anew, up to the version that the
    writer expects.  ZooKeeper compares versions alone and applies the write, over a record that says that somebody
    unknown may lead.  So each write names the znode that it is meant for, by its czxid; one that has hit another says
    no more than what it has overwritten: that it was made anew.  That holds from the instant when it is applied,
    whoever reads it, and whatever becomes of its writer.
    """
    content = _load(data)
    if not isinstance(content, dict):
        return content
    wanted: dict[str, type] = {"holder": str, "beat": int, "lease_ms": int, "released": bool}
    if content["format"] == FORMAT_OF_SEVERAL:
        wanted["leaders"] = int
    for field, kind in wanted.items():
        if type(content.get(field)) is not kind:
            return Unreadable(reason=f"field {field} is missing or of the wrong type")
    if not 0 < content["lease_ms"] <= _LONGEST_LEASE_MS:
        return Unreadable(reason=f"lease_ms {content['lease_ms']} is out of range")
    if content["format"] == FORMAT_OF_SEVERAL and not 1 <= content["leaders"] <= MOST_LEADERS:
        return Unreadable(reason=f"leaders {content['leaders']} is out of range")
    if content.get("czxid", stat.czxid) != stat.czxid:
        content |= _NOBODYS | {"released": False, "id": ""}
    return LeaseRecord(content=content)


def parse_candidate(data: bytes) -> dict[str, Any] | Unreadable | NewerFormat:
    """Return a candidate's fields, or what is wrong with them."""
    return _load(data)


def resign_request_in(candidate: dict[str, Any]) -> ResignRequest | None:
    """Return the request that stands in a candidate's fields; None if there is none that can be understood."""
    told = candidate.get("resign")
    if not isinstance(told, dict) or type(told.get("token")) is not int:
        return None
    return ResignRequest(token=told["token"], user=str(told.get("user") or ""), host=str(told.get("host") or ""))


def _dump(content: dict[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode("utf-8", "replace")


def candidate_data(identity: Identity, lease: float, *, kept: dict[str, Any] | None = None) -> bytes:
    """Return the data of a candidate's znode; ``kept`` is what stands there, with fields that others have written."""
    return _dump(
        (kept or {})
        | {
            "format": FORMAT,
            "id": identity.id,
            "host": identity.host,
            "pid": identity.pid,
            "command": identity.command,
            "lease_ms": round(lease * 1000),
            "version": identity.version,
        },
    )


def asked_to_resign(candidate: dict[str, Any], request: ResignRequest) -> bytes:
    """Return the data of a candidate's znode with a request in it; ``candidate`` are its fields, if any can be read."""
    return _dump({"format": FORMAT} | candidate | {"resign": request.as_dict()})


def new_record(*, released: bool, leaders: int = 1) -> bytes:
    """Return a lease record for an election, or a slot, that has none.

    Unreleased, it is waited out with the longest lease: there may be a leader who is just being told.
    """
    return _dump({"released": released} | _NOBODYS | _stating(leaders))


def _stating(leaders: int) -> dict[str, Any]:
    return {"format": FORMAT} if leaders == 1 else {"format": FORMAT_OF_SEVERAL, "leaders": leaders}


def _restating(content: dict[str, Any], leaders: int) -> dict[str, Any]:
    """Return fields with another statement."""
    return {name: value for name, value in content.items() if name not in _STATEMENT} | _stating(leaders)


def claimed(
    old: LeaseRecord | Unreadable,
    stat: Stat,
    *,
    guid: str,
    beat: int,
    lease: float,
    identity: Identity,
    last_run: dict[str, Any] | None = None,
    leaders: int = 1,
    before: int | None = None,
) -> LeaseRecord:
    """Return the record that claims leadership over ``old``, whose stat is ``stat``; ``last_run`` None: unchanged.

    It states ``leaders``; ``before``: it changes the statement from that number (0: from an unknown one).
    The token is the zxid of this very write, so it cannot stand in it; the first renewal writes it.
    """
    content = _restating(_ended(old, stat, guid), leaders)
    if before is not None:
        content["leaders_before"] = before
    if last_run is not None:
        content["last_run"] = last_run
    content |= {
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
        "czxid": stat.czxid,
    }
    return LeaseRecord(content=content)


def _ended(old: LeaseRecord | Unreadable, stat: Stat, guid: str = "") -> dict[str, Any]:
    """Return the fields of a record that may be claimed, with what it says of the tenure that has ended."""
    content = completed(old, stat) if isinstance(old, LeaseRecord) else {}
    if isinstance(old, LeaseRecord) and old.holder not in ("", guid) and not old.released:
        content["previous"] = _previous(old, stat, reason="lapsed", status=None) | {"ended": stat.mtime}
    return content


def restated(old: LeaseRecord | Unreadable, stat: Stat, leaders: int) -> LeaseRecord:
    """Return the record of a slot that may be claimed, and is only told how many may lead now."""
    content = _restating(_ended(old, stat), leaders)
    if not isinstance(old, LeaseRecord) or not old.released:
        content |= _NOBODYS | {"released": True, "id": ""}
    return LeaseRecord(content=content | {"czxid": stat.czxid})


def renewed(old: LeaseRecord, *, beat: int, token: int, elected_at: int) -> LeaseRecord:
    """Return the record that renews ``old``, and confirms what it states."""
    content = old.content | {"beat": beat, "token": token, "elected_at": elected_at}
    content.pop("leaders_before", None)
    return LeaseRecord(content=content)


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
    content = completed(old, stat) | {
        "beat": beat,
        "released": True,
        "previous": _previous(old, stat, reason=reason, status=status),
    }
    if last_run is not None:
        content["last_run"] = last_run
    return LeaseRecord(content=content)


def token_of(record: LeaseRecord, stat: Stat) -> int:
    """Return the fencing token of the tenure: that of a record which was never renewed is the claim itself."""
    told = record.content.get("token")
    return told if type(told) is int else stat.mzxid


def claimed_at(record: LeaseRecord, stat: Stat) -> int | None:
    """Return when the record was claimed, in ms; None if nothing tells."""
    if record.content.get("token") is None:
        return stat.mtime  # it was never renewed, so what stands there is the claim itself
    told = record.content.get("elected_at")
    return told if isinstance(told, int) else None


def encode(record: LeaseRecord) -> bytes:
    """Return the data of a lease record's znode."""
    return _dump(record.content)


def completed(old: LeaseRecord, stat: Stat) -> dict[str, Any]:
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
    return {"id": old.holder_id, "token": token_of(old, stat), "ended": None, "reason": reason, "status": status}
