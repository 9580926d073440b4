"""One turn of a candidacy: the bookkeeping that every phase shares.

A turn works on a copy of the state and collects actions; ``candidacy.step`` hands both back.  It must not know what any
request is good for, and does not promise that what is due is sent: that takes a connection.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zkleader.core import records
from zkleader.core.actions import Action, End, Finish, Outcome, Request, Send, Tell
from zkleader.core.candidacy_state import Flight, Link, Need, OwnSeen, Phase, State
from zkleader.core.chain import Attempt
from zkleader.core.events import Content
from zkleader.core.lease import Instant
from zkleader.core.records import LeaseRecord

MOST_KEPT = 65536
"""Bytes of our candidate's data that a claim keeps: it writes them beside the record, in one packet, of which servers
take a megabyte.  No tool writes so much, and whoever does must not keep us from claiming."""


class Turn:
    """One turn: a copy of the state, the instant, and the actions so far."""

    def __init__(self, state: State, now: Instant) -> None:
        self.state = state.copied()
        self.now = now
        self.actions: list[Action] = []

    def tell(self, event: str, level: str = "info", **facts: Any) -> None:
        """Log an event."""
        self.actions.append(Tell(level=level, event=event, facts=facts))

    def tell_place(self, event: str, **facts: Any) -> None:
        """Log where we stand, once for each change of it; ``seconds`` are no change."""
        key = (event, *(fact for name, fact in facts.items() if name != "seconds"))
        if self.state.told != key:
            self.state.told = key
            self.tell(event, **facts)

    def is_idle(self, *purposes: Need) -> bool:
        """Whether none of the purposes is due or in flight."""
        return not any(purpose in self.state.due or purpose in self.state.flights for purpose in purposes)

    def want(self, *purposes: Need) -> None:
        """Make requests due."""
        self.state.due |= set(purposes)

    def is_wanted(self, purpose: Need) -> bool:
        """Whether a request is due and none of its purpose is in flight."""
        return purpose in self.state.due and purpose not in self.state.flights

    def send(
        self,
        purpose: Need,
        request: Request,
        *,
        attempt: Attempt | None = None,
        record: LeaseRecord | None = None,
        meant: Mapping[int, int] | None = None,
    ) -> None:
        """Send a request; it is no longer due."""
        assert purpose not in self.state.flights
        self.state.last_number += 1
        self.state.flights[purpose] = flight = Flight(
            number=self.state.last_number,
            sent=self.now,
            request=request,
            attempt=attempt,
            record=record,
            meant=meant or {},
        )
        self.state.due -= {purpose}
        self.actions.append(Send(number=flight.number, request=request))

    def remember(self, **changes: Any) -> None:
        """Change what outlives this candidacy."""
        self.state.memory = self.state.memory.but(**changes)

    def note_own(self, content: Content) -> None:
        """Take note of what our candidate says."""
        told = records.parse_candidate(content.data) if len(content.data) <= MOST_KEPT else None
        self.state.own_seen = OwnSeen(content=told if isinstance(told, dict) else {}, version=content.stat.version)

    def leave(self, outcome: Outcome) -> None:
        """End without ever having run the command (again)."""
        self.state.outcome = outcome
        self.state.since = self.now
        # A claim that is under way may yet be applied: it is then released, or the next in line would have to wait
        # out a lease under which nothing ever ran.
        if self.state.link is not Link.OVER and self.state.chain.doubts:
            self.state.phase = Phase.RELEASING
            self.want(self.state.record)
        else:
            self.state.phase = Phase.LEAVING

    def refuse(self, end: End, reason: str) -> None:
        """Leave because of what ZooKeeper said or what stands in it."""
        self.leave(Outcome(end=end, reason=reason))

    def finish(self) -> None:
        """The candidacy is over."""
        assert self.state.outcome is not None
        if self.state.is_counted and not self.state.is_released:
            # Others will run it again in this period, and no script may take it for done.
            self.state.outcome = self.state.outcome.but(end=End.NOT_RECORDED)
        if self.state.asked_by and self.state.outcome.end is End.CANDIDACY_LOST:
            # Asked to end on the way out of a candidacy: no other may follow.
            self.state.outcome = Outcome(end=End.LEFT, number=self.state.asked_by, reason="asked")
        self.state.phase = Phase.ENDED
        self.actions.append(Finish(outcome=self.state.outcome))
