"""The state of a candidacy: what is known and wanted, and which requests are due or in flight.

It owns every field of it, and what can be read off them.  Requests are sent when they are *due*, and there is at most
one in flight for each purpose, so at most one write to the lease record.  Which reads are due is all that has to be
remembered about watches, reconnects and lost answers: whatever may have changed is due again.  It must not change by
itself: a ``turn`` does that, on its own copy.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple

from zkleader.core import queue, records, wait_status
from zkleader.core.actions import End, Outcome, Request
from zkleader.core.chain import Attempt, Chain
from zkleader.core.lease import Instant
from zkleader.core.records import LeaseRecord, NewerFormat, ResignRequest, Stat, Unreadable
from zkleader.core.restart import Pause
from zkleader.core.rules import Rules
from zkleader.core.value import Value
from zkleader.core.wire import Cause


class Phase(Enum):
    """Where a candidacy stands."""

    JOINING = "joining"
    """No candidate of ours is known to exist."""
    WAITING = "waiting"
    """In the queue; claiming when so far ahead in it that it may lead, and a record allows."""
    LEADING = "leading"
    """The lease is held and the command was started, or on-elected, which goes before it."""
    RESTARTING = "restarting"
    """The lease is held and there is no command: it has ended by itself, and is started again after a pause."""
    STOPPING = "stopping"
    """The command is being stopped; nothing is started any more."""
    HANDING_OVER = "handing_over"
    """Nothing of the command is left, how we end is decided, and on-lost is run: renewing goes on."""
    RELEASING = "releasing"
    """Nothing of the command is left (or it never ran); a record may still be ours."""
    LEAVING = "leaving"
    """Nothing is left to do but to close the session, which takes a connection."""
    ENDED = "ended"


IN_TENURE = frozenset({Phase.LEADING, Phase.RESTARTING, Phase.STOPPING, Phase.HANDING_OVER})
"""The lease is held, and the guard may run something under it: in a pause between two runs of the command, on-lost."""


class Link(Enum):
    """The connection as the candidacy knows it."""

    NONE = "none"
    """Never connected."""
    UP = "up"
    DOWN = "down"
    OVER = "over"
    """The session is lost; there will be no other in this candidacy."""


class Purpose(Enum):
    """What a request is for; at most one of each is in flight."""

    SYNC = "sync"
    MAKE = "make"
    """Create the election, its record, or an ancestor."""
    CREATE = "create"
    """Create the candidate."""
    PRUNE = "prune"
    """Delete a candidate of ours too many."""
    LIST = "list"
    OWN = "own"
    """Read and watch our own candidate."""
    AHEAD = "ahead"
    """Read and watch the predecessor."""
    WRITE = "write"
    """Claim, renewal or release: the compare-and-set writes."""


class RecordOf(NamedTuple):
    """To read, and while waiting to watch, the lease record of a slot: a purpose as those are, one for each slot."""

    slot: int


Need = Purpose | RecordOf


AFTER_CONNECTING = frozenset({Purpose.SYNC, Purpose.LIST, Purpose.OWN, Purpose.AHEAD})
"""Watches are gone and anything may have changed; the records too."""


class Sight(Value):
    """The present version of a record, and when an answer first showed it to this process."""

    czxid: int
    version: int
    since: Instant


class Memory(Value):
    """What outlives a candidacy."""

    began: Instant
    reached: bool = False
    """ZooKeeper has answered at least once."""
    election_seen: bool = False
    """The election has existed: if it does no more, somebody may lead it who is just being told."""
    sights: Mapping[int, Sight] = {}
    """By slot."""
    led: bool = False
    """We have been elected, and the command was started or on-elected has failed."""
    pause: Pause | None = None
    """The last one since on-elected failed without a start of the command after it: before its end we do not join."""
    arrived: int | None = None
    """When it began, in ms of the ensemble's clock, once that is known."""


class Seen(Value):
    """A record as last read or written."""

    record: LeaseRecord | Unreadable | NewerFormat
    stat: Stat


class Listed(Value):
    """When the children were last listed, and since when the slots among them are the same."""

    at: Instant
    slots_since: Instant


class OwnSeen(Value):
    """Our candidate as last read: all its fields, those that others wrote too; none if somebody has spoilt it."""

    content: dict[str, Any]
    version: int


class Flight(Value):
    """A request without an answer.  ``attempt`` and ``record``: what a WRITE wants to make of the lease record."""

    number: int
    sent: Instant
    request: Request
    attempt: Attempt | None = None
    record: LeaseRecord | None = None
    meant: Mapping[int, int] = {}
    """The czxids of other slots' records that it writes."""


class State:
    """A candidacy.  Only a turn changes it, and only its own copy."""

    told_number: int | None = None
    """The number of leaders that others have, as the log was last told."""
    behind: frozenset[int] = frozenset()
    """Slots of which a server has told an older record than was seen before: their watches fire when it catches up."""

    def __init__(self, *, rules: Rules, guid: str, memory: Memory, chain: Chain, now: Instant) -> None:
        self.rules = rules
        self.guid = guid
        self.memory = memory
        self.chain = chain
        self.phase = Phase.JOINING
        self.link = Link.NONE
        self.began = now
        self.granted: float | None = None
        """The session timeout that ZooKeeper granted, in seconds."""
        self.flights: dict[Need, Flight] = {}
        self.due: frozenset[Need] = frozenset({Purpose.CREATE})
        self.last_number = 0
        self.create_sent: Instant | None = None
        """When our candidate was last asked for."""
        self.own: str | None = None
        """The name of our candidate."""
        self.own_seen: OwnSeen | None = None
        self.names: tuple[str, ...] | None = None
        """The children of the election as last listed."""
        self.watched: str | None = None
        """The predecessor on which our watch stands."""
        self.told: tuple[object, ...] = ()
        """The place in the queue that the log was last told."""
        self.missing: tuple[str, ...] = ()
        """Ancestors of the election that have to be made, the next one last."""
        self.slot = 0
        """Whose lease record the chain is about."""
        self.slots: dict[int, Seen] = {}
        """The records that were seen, by slot."""
        self.absent: frozenset[int] = frozenset()
        """Slots of which a read has said that they have no record."""
        self.listed: Listed | None = None
        self.last_write: Instant | None = None
        """When the last claim or renewal was sent."""
        self.since = now
        """Since when there is no connection, or when releasing or leaving began."""
        self.loss = ""
        """Why leadership is over; empty while the lease is healthy."""
        self.started: Instant | None = None
        """When the command was last told to have been executed."""
        self.is_paused = False
        """The command is frozen, as the guard last told."""
        self.pause: Pause | None = None
        """The last one between two runs of the command in this tenure."""
        self.asked_by = 0
        """The signal by which the user asked us to stop the command."""
        self.outcome: Outcome | None = None
        self.is_released = False
        """The release was confirmed, and with it what it recorded."""

    def copied(self) -> State:
        """Return a copy that can be changed without changing this one: all else in it is frozen."""
        copied = copy.copy(self)
        copied.flights, copied.slots = dict(self.flights), dict(self.slots)
        return copied

    @property
    def is_electing(self) -> bool:
        """Whether on-elected runs, or is about to, as far as we were told."""
        return self.phase is Phase.LEADING and self.rules.hooks.on_elected and self.started is None

    @property
    def seen(self) -> Seen | None:
        """The record of our slot."""
        return self.slots.get(self.slot)

    @seen.setter
    def seen(self, seen: Seen | None) -> None:
        self.see(self.slot, seen)

    def see(self, slot: int, seen: Seen | None) -> None:
        """Take note of a record; None: it is not there, or not known any more."""
        if seen is None:
            self.slots.pop(slot, None)
        else:
            self.slots[slot] = seen

    @property
    def record(self) -> RecordOf:
        """The need to read the record of our slot."""
        return RecordOf(self.slot)

    @property
    def record_path(self) -> str:
        """The path of that record."""
        return self.rules.record_path(self.slot)

    @property
    def place(self) -> queue.Place | None:
        """Our place in the queue as last listed."""
        if self.own is None or self.names is None:
            return None
        return queue.place_of(self.own, self.names)

    @property
    def is_counted(self) -> bool:
        """Whether the command's end is one that counts for its period: it has ended by itself, whatever its status."""
        outcome = self.outcome
        if self.rules.once_per is None or outcome is None:
            return False
        is_ended = outcome.end is End.COMMAND_ENDED and outcome.reason == Cause.ENDED.value
        # Who presses Ctrl-C or closes the window breaks a run off, though nobody but the command was told.
        return is_ended and not wait_status.is_by_terminal(outcome.number)

    @property
    def resign_request(self) -> ResignRequest | None:
        """Somebody's request to end this very tenure; one that means another tenure is void."""
        held = self.chain.held
        request = records.resign_request_in(self.own_seen.content) if self.own_seen is not None else None
        return request if request is not None and held is not None and request.token == held.token else None

    @property
    def own_data(self) -> bytes:
        """What our candidate says of us, and what others have added."""
        kept = self.own_seen.content if self.own_seen is not None else None
        return records.candidate_data(self.rules.identity, self.rules.timing.lease, kept=kept)

    @property
    def own_path(self) -> str:
        """The path of our candidate."""
        assert self.own is not None
        return f"{self.rules.election}/{self.own}"
