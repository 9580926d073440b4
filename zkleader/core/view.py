"""What can be said of an election: who leads, who waits in which order, and what is not ours, as values.

It owns their words, which are stable.  It must not know how they are come by (``judgement``) or shown.  What is missing
or worth no trust is None.  It does not promise that a view is still true when it is looked at; and where it says that
nobody leads, a command may still act until the end of the lease that its leader has not released.
"""

from __future__ import annotations

from enum import Enum

from zkleader.core.value import Value


class Standing(Enum):
    """What a lease record says; the value is the stable word for it."""

    LEADS = "leads"
    """It is not released, and its holder is in the queue."""
    LOST = "lost"
    """It is not released, and its holder has left the queue: it cannot renew any more, and its lease is waited out."""
    LAPSED = "lapsed"
    """It is not released, and was not renewed for longer than the lease."""
    RELEASED = "released"
    UNUSED = "unused"
    """Nobody has led yet."""
    REMADE = "remade"
    """It was made anew for an election that had lost it, and the longest lease is waited out."""
    UNREADABLE = "unreadable"
    """It is none that we know, and the longest lease is waited out."""
    NEWER_FORMAT = "newer_format"
    NOT_PERMITTED = "not_permitted"


class Kind(Enum):
    """What a candidate is; the value is the stable word for it."""

    OURS = "candidate"
    FOREIGN = "foreign"
    """Of another recipe, as its name tells."""
    UNREADABLE = "unreadable"
    NEWER_FORMAT = "newer_format"
    NOT_PERMITTED = "not_permitted"
    NOT_READ = "not_read"
    """So far behind that only its name was read."""


class State(Enum):
    """What is known of an election as a whole; the value is the stable word for it."""

    LED = "led"
    NOBODY = "nobody"
    ABSENT = "absent"
    """There is no such znode, or it is no election: it has neither a lease record nor a candidate."""
    NOT_PERMITTED = "not_permitted"
    """It cannot be told, because something may not be read."""
    NEWER_FORMAT = "newer_format"
    """It cannot be told, because a later version has written the record."""


class Person(Value):
    """Who somebody is, as far as they have said so."""

    id: str | None = None
    host: str | None = None
    pid: int | None = None
    command: str | None = None


class Previous(Value):
    """The tenure before, or, once that is released, the last one; ``ended`` in ms of the ensemble's clock."""

    id: str | None
    token: int | None
    ended: int | None
    reason: str | None
    status: int | None


class LastRun(Value):
    """The last run with ``--once-per``; ``start`` and ``end`` in ms of the ensemble's clock."""

    id: str | None
    token: int | None
    start: int | None
    end: int | None
    status: int | None


class Slot(Value):
    """A lease record.  Times in ms of the ensemble's clock, durations in seconds."""

    number: int
    standing: Standing
    problem: str | None = None
    who: Person = Person()
    """The holder: who leads, or who led last."""
    token: int | None = None
    lease: float | None = None
    elected: int | None = None
    renewed: int | None = None
    """When it was written last."""
    unrenewed: float = 0.0
    """How long ago that was, at least."""
    candidate: str | None = None
    """The holder's, if it is in the queue."""
    session: int | None = None
    previous: Previous | None = None
    last_run: LastRun | None = None
    leaders: int | None = None
    """How many may lead, as it states it."""


class Candidate(Value):
    """A candidate; ``since``: when it joined, in ms of the ensemble's clock, ``slot``: of which it is the leader."""

    name: str
    kind: Kind
    problem: str | None = None
    who: Person = Person()
    version: str | None = None
    lease: float | None = None
    since: int | None = None
    session: int | None = None
    slot: int | None = None


class View(Value):
    """All that is known of an election; ``candidates`` in order, ``others``: names of what is none of an election's."""

    path: str
    state: State
    slots: tuple[Slot, ...] = ()
    slots_left_out: int = 0
    stated: int | None = None
    """How many may lead, as far as that is known."""
    candidates: tuple[Candidate, ...] = ()
    others: tuple[str, ...] = ()

    @property
    def leaders(self) -> tuple[Slot, ...]:
        """Who leads, by their slots."""
        return tuple(slot for slot in self.slots if slot.standing is Standing.LEADS)

    @property
    def doubt(self) -> State | None:
        """Why somebody else may lead as well, which cannot be told; None if it can."""
        return doubt_in(self.slots)


class Look(Value):
    """What a look has shown: elections, ordered by path, and how many znodes were left out because there are so many.

    ``time`` is what the ensemble's clock showed then at least, in ms; ``server`` has answered.
    """

    server: str
    elections: tuple[View, ...]
    left_out: int = 0
    time: int | None = None

    @property
    def has_election(self) -> bool:
        """Whether there is any."""
        return any(election.state is not State.ABSENT for election in self.elections)


def doubt_in(slots: tuple[Slot, ...]) -> State | None:
    """Return why it cannot be told from these lease records who leads; None if it can."""
    found = {slot.standing for slot in slots}
    if Standing.NOT_PERMITTED in found:
        return State.NOT_PERMITTED
    return State.NEWER_FORMAT if Standing.NEWER_FORMAT in found else None
