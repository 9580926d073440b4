"""A candidacy driven by hand: instants and events in, actions out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from zkleader.core import candidacy, records
from zkleader.core.actions import (
    Action,
    Create,
    Delete,
    Finish,
    Get,
    ListNames,
    Multi,
    Outcome,
    Request,
    Send,
    Sync,
    Tell,
)
from zkleader.core.candidacy_state import Memory
from zkleader.core.events import (
    Answer,
    Answered,
    Applied,
    CommandStarted,
    Connected,
    Content,
    Created,
    Event,
    Names,
    Tick,
    Touched,
)
from zkleader.core.lease import Instant, Timing
from zkleader.core.records import Identity, Stat
from zkleader.core.rules import Rules

ELECTION = "/zkleader/job"
RECORD = f"{ELECTION}/lease-0"
GUID = "guid"
OWN = f"{GUID}-n_0000000007"
TIMING = Timing(lease=20, grace=5, stop_timeout=25)
IDENTITY = Identity(id="me", host="host", pid=1, command="job", version="0")


def at(seconds: float) -> Instant:
    """Return an instant at which all clocks show the same."""
    return Instant(monotonic=seconds, raw=seconds, boottime=seconds)


def record(**fields: Any) -> bytes:
    """Return the data of a lease record: released, unless told otherwise."""
    holder = "former" if fields.get("released", True) else "other"
    known = {"format": 1, "holder": holder, "beat": 3, "lease_ms": 10_000, "released": True, "token": 5, "id": "them"}
    return json.dumps(known | fields).encode()


def stat(version: int, czxid: int = 100) -> Stat:
    """Return a stat whose mzxid and mtime follow from the version."""
    return Stat(czxid=czxid, mzxid=1000 + version, version=version, mtime=50_000 + version, ctime=50_000)


def outcome_of(actions: Sequence[Action]) -> Outcome:
    """Return what the candidacy came to by these actions: one that ends it, and nothing else."""
    (finish,) = actions
    assert isinstance(finish, Finish)
    return finish.outcome


class Script:
    """One candidacy, told what happens."""

    def __init__(self, *, memory: Memory | None = None, **wanted: Any) -> None:
        rules = Rules(election=ELECTION, identity=IDENTITY, timing=TIMING, connect_timeout=15, **wanted)
        self.state = candidacy.begin(rules, GUID, memory or Memory(began=at(0)), at(0))

    def do(self, seconds: float, event: Event | None = None) -> list[Action]:
        """Hand in an event (a Tick if none); return what is wanted, log events apart."""
        self.state, actions = candidacy.step(self.state, event or Tick(), at(seconds))
        self.told = [action for action in actions if isinstance(action, Tell)]
        return [action for action in actions if not isinstance(action, Tell)]

    def sent(self, seconds: float, event: Event | None = None) -> list[Request]:
        """Hand in an event; return the requests that it calls for, which must be all that it calls for."""
        actions = self.do(seconds, event)
        assert all(isinstance(action, Send) for action in actions), actions
        return [action.request for action in actions if isinstance(action, Send)]

    def answer(self, seconds: float, kind: type[Request] | str, answer: Answer) -> list[Action]:
        """Answer the request in flight that is of this type, or for this path."""
        for flight in self.state.flights.values():
            path = getattr(flight.request, "path", None)
            if path == kind or (not isinstance(kind, str) and isinstance(flight.request, kind)):
                return self.do(seconds, Answered(number=flight.number, answer=answer))
        raise AssertionError(f"nothing in flight for {kind}: {self.state.flights}")

    def connect(self, seconds: float = 0) -> list[Request]:
        """Connect; return what is sent."""
        return self.sent(seconds, Connected(granted=20.0, server="s"))

    def join(self, seconds: float = 0, *ahead: str, data: bytes | None = None, version: int = 1) -> list[Action]:
        """Become a candidate behind others, and read the record; return what that calls for."""
        self.connect(seconds)
        self.answer(seconds, Create, Created(path=f"{ELECTION}/{OWN}"))
        self.answer(seconds, f"{ELECTION}/{OWN}", Content(data=b"{}", stat=stat(0)))
        actions = self.answer(seconds, ListNames, Names(names=("lease-0", OWN, *ahead)))
        return actions + self.answer(seconds, RECORD, Content(data=data or record(), stat=stat(version)))

    def claimed(self, seconds: float, version: int = 2) -> list[Action]:
        """Confirm the write in flight, which makes this version."""
        return self.answer(seconds, Multi, Applied(stats=(None, stat(version))))

    def lead(self, seconds: float = 0) -> None:
        """Become leader at this instant, with the command started."""
        self.join(seconds)
        self.claimed(seconds)
        self.do(seconds, CommandStarted(pid=9))

    def reread(self, seconds: float, **fields: Any) -> list[Action]:
        """Have our candidate written by somebody, and read it again; return what that calls for."""
        path = f"{ELECTION}/{OWN}"
        assert self.sent(seconds, Touched(path=path)) == [Get(path=path)]
        return self.answer(seconds, path, Content(data=json.dumps({"format": 1} | fields).encode(), stat=stat(2)))

    def write(self) -> tuple[Multi, dict[str, Any]]:
        """Return the compare-and-set write in flight, and the record that it would make."""
        for flight in self.state.flights.values():
            if flight.record is not None:
                assert isinstance(flight.request, Multi)
                return flight.request, flight.record.content
        raise AssertionError("no write in flight")

    def events(self) -> list[str]:
        """Return the names of the log events of the last step."""
        return [tell.event for tell in self.told]


__all__ = ["Create", "Delete", "Get", "Multi", "Script", "Sync", "at", "record", "records", "stat"]
