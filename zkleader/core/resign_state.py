"""What who asks a leader to step down wants, knows, does and concludes.

It owns the words for that.  It must not decide: that is ``resignation``'s, which replaces a state by the next.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from zkleader.core import queue
from zkleader.core.actions import DropConnection, Send
from zkleader.core.candidacy_state import Sight
from zkleader.core.lease import LONGEST_LEASE, Instant, Timing
from zkleader.core.records import ResignRequest
from zkleader.core.value import Value


class Wish(Value):
    """What is wanted; durations in seconds, ``election`` with chroot, ``wait`` None: for ever.

    The leader must have been seen within ``connect_timeout`` from the start; ``wait`` counts from then.
    """

    election: str
    user: str
    host: str
    wait: float | None
    connect_timeout: float
    slot: int | None = None
    """The slot whose leader is meant; None: the only one there is."""


class Leader(Value):
    """The leader that is meant, as its record tells; ``guid`` is its candidacy's."""

    guid: str
    token: int
    id: str
    host: str
    slot: int = 0


class End(Enum):
    """How asking ends."""

    RELEASED = "released"
    """The leader has released; ``text`` is why its tenure ended, as the record says."""
    SUCCEEDED = "succeeded"
    """Somebody else leads; ``text`` is likewise, if the record says it of this tenure."""
    LAPSED = "lapsed"
    """Its lease has ended without a release."""
    NOBODY_LEADS = "nobody_leads"
    """There was nobody to ask; ``text`` says why where that is not obvious."""
    SEVERAL_LEAD = "several_lead"
    """There are several to ask; ``text`` is who, in which slots."""
    NO_ELECTION = "no_election"
    NOT_IN_TIME = "not_in_time"
    UNREACHABLE = "unreachable"
    NOT_PERMITTED = "not_permitted"
    """``text`` is what was not."""
    NEWER_FORMAT = "newer_format"
    """``text`` is whose."""
    REFUSED = "refused"
    """ZooKeeper has refused what nobody could foresee; ``text`` is what, and its reason."""


class Asked(Value):
    """The request stands; it is ``by`` somebody else if they were first."""

    leader: Leader
    by: ResignRequest


class LeftQueue(Value):
    """The leader has left the queue and cannot be asked; without a release its lease is waited out."""

    leader: Leader
    seconds: float


class Concluded(Value):
    """It is over: ``leader`` is the one that was meant, if there was one; ``successor`` is who leads now."""

    end: End
    leader: Leader | None
    text: str = ""
    successor: str = ""


class BeginSession(Value):
    """The session is lost: begin another one."""


News = Asked | LeftQueue
Action = Send | DropConnection | BeginSession | News | Concluded


class Due(Enum):
    """The request that is next; there is one at a time."""

    SYNC = "sync"
    RECORD = "record"
    NAMES = "names"
    CANDIDATE = "candidate"
    WRITE = "write"
    CONFIRM = "confirm"
    """Have the ensemble itself confirm that the record stands as it was seen."""
    NOTHING = "nothing"
    """Wait for the watch on the record, or for its lease to end."""


class Flight(Value):
    """A request without an answer."""

    number: int
    due: Due
    sent: Instant


class State:
    """What is known.  Only a step changes it, and only its own copy."""

    def __init__(self, wish: Wish, timing: Timing, now: Instant) -> None:
        self.wish = wish
        self.timing = timing
        """For the limits on answers."""
        self.began = now
        self.is_up = False
        self.due = Due.SYNC
        self.is_stale = False
        """The record was touched since it was last asked for."""
        self.flight: Flight | None = None
        self.last_number = 0
        self.leader: Leader | None = None
        self.met: Instant | None = None
        """When the leader was first seen; until then only the connect timeout counts."""
        self.sight: Sight | None = None
        """Of the record; one that is not there has no czxid."""
        self.lease = LONGEST_LEASE
        """Seconds for which whoever wrote the record as it was seen may act."""
        self.token = 0
        """Of the leader's tenure as the record was seen."""
        self.asked_token: int | None = None
        """The token in the request that stands in the leader's candidate."""
        self.is_told = False
        """Whether people know that it stands, or why it does not."""
        self.candidate = ""
        """The name of the leader's candidate."""
        self.content: dict[str, Any] = {}
        """What the candidate says in this version."""
        self.version = 0
        self.slot = wish.slot or 0
        """Whose record is read."""
        self.slots = 1
        """There are so many slots to choose from."""
        self.is_chosen = False
        """One of them was chosen."""
        self.found: dict[int, str] = {}
        """How the leaders are shown that were found while choosing, by slot."""
        self.conclusion: Concluded | None = None

    @property
    def record_path(self) -> str:
        """The path of the lease record that is read."""
        return f"{self.wish.election}/{queue.RECORD_PREFIX}{self.slot}"
