"""Asking a leader to step down, and seeing that it has: the state machine of who asks.

``step(state, event, now) -> (state, actions)``, with the events and requests of a candidacy.  The request is written
into the leader's candidate, so it goes with that; and it names the tenure by its token, so that it means nothing to one
who waits, nor in a later tenure, however late it arrives.  It is written over the version that was read, with all that
stands there.  Whoever asks for what was asked for already only looks on.

A tenure is over when its successors would say so: the record is released, somebody else holds it, or it has stood in
one and the same version for its whole lease and the margin, which a write of the ensemble's has confirmed.  What is
read may be out of date, so nothing else is concluded from the absence of news.

This module must not know how a leader heeds a request (``tenure`` does), nor what people are told.  It does not promise
that a leader heeds it: one that hangs does not, nor one of a version that knows no requests.
"""

from __future__ import annotations

import copy

from zkleader.core import queue, records
from zkleader.core.actions import (
    AUTHENTICATE,
    Check,
    DropConnection,
    Get,
    ListNames,
    Multi,
    Request,
    Send,
    SetData,
    Sync,
)
from zkleader.core.candidacy_state import Sight
from zkleader.core.events import (
    Answer,
    Answered,
    Connected,
    Content,
    Event,
    Names,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Touched,
    Unanswered,
)
from zkleader.core.lease import LONGEST_LEASE, Instant, waited_out_in
from zkleader.core.records import LeaseRecord, NewerFormat, ResignRequest, Stat, Unreadable
from zkleader.core.resign_state import (
    Action,
    Asked,
    BeginSession,
    Concluded,
    Due,
    End,
    Flight,
    Leader,
    LeftQueue,
    State,
)


def step(state: State, event: Event, now: Instant) -> tuple[State, tuple[Action, ...]]:
    """Take one event; return the new state and what is to be done.  Deadlines are looked at every time."""
    turn = _Turn(state, now)
    if state.conclusion is None:
        turn.take(event)
        turn.expire()
        turn.advance()
    return turn.state, tuple(turn.actions)


def next_step_in(state: State, now: Instant) -> float | None:
    """Return the seconds after which a Tick is needed at the latest, or None if only events matter."""
    left = []
    if state.met is None:
        left.append(state.wish.connect_timeout - now.held_since(state.began))
    elif state.wish.wait is not None:
        left.append(state.wish.wait - now.held_since(state.met))
    if state.flight is not None:
        left.append(state.timing.request_timeout - now.held_since(state.flight.sent))
    elif state.is_up and state.sight is not None:
        left.append(waited_out_in(state.lease, state.sight.since, now))
    return max(0.0, min(left)) if left else None


class _Turn:
    """One step: a copy of the state, the instant, and the actions so far."""

    def __init__(self, state: State, now: Instant) -> None:
        self.state = copy.copy(state)
        self.now = now
        self.actions: list[Action] = []

    def take(self, event: Event) -> None:
        """Take an event."""
        state = self.state
        if isinstance(event, Connected):
            self._look_anew(is_up=True)
        elif isinstance(event, Suspended):
            self._look_anew(is_up=False)
        elif isinstance(event, SessionLost):
            self._look_anew(is_up=False)
            if event.reason == "authentication_failed":
                self._conclude(End.NOT_PERMITTED, AUTHENTICATE)
            else:
                self.actions.append(BeginSession())
        elif isinstance(event, Answered):
            flight = state.flight
            if flight is not None and flight.number == event.number:
                state.flight = None
                self._on_answer(flight, event.answer)
        elif isinstance(event, Touched) and event.path == state.record_path:
            # The race: it may fire before the answer to the read that has set it is taken.
            state.is_stale = True

    def expire(self) -> None:
        """Act on what the clock alone says."""
        state, wish = self.state, self.state.wish
        if state.met is None and self.now.held_since(state.began) >= wish.connect_timeout:
            self._conclude(End.UNREACHABLE)
        elif state.met is not None and wish.wait is not None and self.now.held_since(state.met) >= wish.wait:
            self._conclude(End.NOT_IN_TIME)
        elif state.flight is not None and self.now.held_since(state.flight.sent) >= state.timing.request_timeout:
            self.actions.append(DropConnection())
            self._look_anew(is_up=False)

    def advance(self) -> None:
        """Send what is due."""
        state = self.state
        if not state.is_up or state.flight is not None or state.conclusion is not None:
            return
        if state.due is Due.NOTHING:
            if state.is_stale:
                state.due = Due.RECORD
            elif state.sight is not None and waited_out_in(state.lease, state.sight.since, self.now) <= 0:
                state.due = Due.CONFIRM
            else:
                return
        if state.due in (Due.SYNC, Due.RECORD):
            state.is_stale = False
        state.last_number += 1
        state.flight = Flight(number=state.last_number, due=state.due, sent=self.now)
        self.actions.append(Send(number=state.last_number, request=self._request()))

    def _request(self) -> Request:
        state, wish = self.state, self.state.wish
        match state.due:
            case Due.SYNC:
                return Sync(path=wish.election)
            case Due.NAMES:
                return ListNames(path=wish.election)
            case Due.CANDIDATE:
                return Get(path=f"{wish.election}/{state.candidate}", watch=False)
            case Due.WRITE:
                data = records.asked_to_resign(state.content, self._our_request())
                path = f"{wish.election}/{state.candidate}"
                return Multi(operations=(SetData(path=path, data=data, version=state.version),))
            case Due.CONFIRM if state.sight is not None and state.sight.czxid:
                return Multi(operations=(Check(path=state.record_path, version=state.sight.version),))
            case _:
                return Get(path=state.record_path)

    def _our_request(self) -> ResignRequest:
        return ResignRequest(token=self.state.token, user=self.state.wish.user, host=self.state.wish.host)

    def _look_anew(self, *, is_up: bool) -> None:
        """The connection has come or gone: watches are gone, and what was asked for may or may not have been done."""
        self.state.is_up, self.state.flight, self.state.due = is_up, None, Due.SYNC

    def _conclude(self, end: End, text: str = "", successor: str = "") -> None:
        self.state.conclusion = Concluded(end=end, leader=self.state.leader, text=text, successor=successor)
        self.actions.append(self.state.conclusion)

    # ---- answers

    def _on_answer(self, flight: Flight, answer: Answer) -> None:
        state = self.state
        if isinstance(answer, Unanswered):
            # Nothing else tells: the connection may stand, and only this request have had no answer.
            self._look_anew(is_up=state.is_up)
            return
        refusal = answer.refusal if isinstance(answer, Refused) else None
        if refusal is not None and refusal.is_for_lack_of_rights:
            self._conclude(End.NOT_PERMITTED, self._doing(flight.due) + refusal.lacking)
        elif refusal is Refusal.OTHER and isinstance(answer, Refused):
            self._conclude(End.REFUSED, f"{self._doing(flight.due)}: {answer.text}")
        elif flight.due is Due.SYNC:
            state.due = Due.RECORD
        elif flight.due is Due.RECORD:
            self._on_record(answer)
        elif flight.due is Due.NAMES:
            self._on_names(answer)
        elif flight.due is Due.CANDIDATE:
            self._on_candidate(answer)
        elif flight.due is Due.WRITE:
            self._on_write(refusal)
        else:
            self._on_confirm(answer)

    def _doing(self, due: Due) -> str:
        if due is Due.WRITE:
            return f"write the candidate {self.state.wish.election}/{self.state.candidate}"
        return f"read the election {self.state.wish.election}"

    def _on_record(self, answer: Answer) -> None:
        state = self.state
        if state.slots > 1 and not isinstance(answer, Content):
            self._choose()
            return
        if not isinstance(answer, Content):
            self._see(0, 0, LONGEST_LEASE)
            # With nobody to follow, the queue tells whether there is an election at all.
            state.due = Due.NAMES if state.leader is None else Due.NOTHING
            return
        record, stat = records.parse_lease_record(answer.data, answer.stat), answer.stat
        sight = state.sight
        state.due = Due.NOTHING
        if sight is not None and stat.czxid == sight.czxid and stat.version < sight.version:
            return  # a server that lags behind, in a new session
        self._see(stat.czxid, stat.version, record.lease if isinstance(record, LeaseRecord) else LONGEST_LEASE)
        if isinstance(record, NewerFormat):
            self._conclude(End.NEWER_FORMAT, f"its lease record has format {record.format}")
        elif state.leader is None and self._has_to_choose(record):
            if isinstance(record, LeaseRecord) and record.holder and not record.released:
                state.found = {**state.found, state.slot: record.holder_id}
            self._choose()
        elif state.leader is None:
            self._meet(record, stat)
        elif isinstance(record, LeaseRecord) and record.holder:
            self._follow(state.leader, record, stat)
        # Else it was spoilt, or deleted and made anew: then the leader is just being told, and may act for its lease.

    def _has_to_choose(self, record: LeaseRecord | Unreadable) -> bool:
        """Say whether there are several slots, and none of them is named."""
        state = self.state
        if state.wish.slot is None and state.slot == 0 and not state.is_chosen and isinstance(record, LeaseRecord):
            state.slots = int(record.stated or record.content.get("leaders", 1))
        return state.slots > 1

    def _choose(self) -> None:
        """Look at the next slot; in the end at the one that has a leader, if it is only one."""
        state = self.state
        state.slot, state.sight = state.slot + 1, None
        if state.slot < state.slots:
            state.due = Due.RECORD
        elif len(state.found) > 1:
            who = ", ".join(f"{name} in slot {slot}" for slot, name in state.found.items())
            self._conclude(End.SEVERAL_LEAD, who)
        else:
            state.slots, state.slot, state.is_chosen = 1, min(state.found, default=0), True
            state.due = Due.RECORD if state.found else Due.NOTHING
            if not state.found:
                self._conclude(End.NOBODY_LEADS)

    def _see(self, czxid: int, version: int, lease: float) -> None:
        sight = self.state.sight
        self.state.lease = lease
        if sight is None or (sight.czxid, sight.version) != (czxid, version):
            self.state.sight = Sight(czxid=czxid, version=version, since=self.now)

    def _meet(self, record: LeaseRecord | Unreadable, stat: Stat) -> None:
        """Find out whom to ask."""
        if isinstance(record, Unreadable):
            self._conclude(End.NOBODY_LEADS, f"its lease record cannot be read ({record.reason})")
        elif record.released or not record.holder:
            self._conclude(End.NOBODY_LEADS)
        else:
            token, host = records.token_of(record, stat), str(record.content.get("host") or "")
            self.state.met = self.now
            self.state.leader = Leader(
                guid=record.holder, token=token, id=record.holder_id, host=host, slot=self.state.slot
            )
            self._ask_for(token)

    def _follow(self, leader: Leader, record: LeaseRecord, stat: Stat) -> None:
        previous = record.content.get("previous")
        is_of_it = isinstance(previous, dict) and previous.get("token") == self.state.token
        reason = str(previous.get("reason") or "") if isinstance(previous, dict) and is_of_it else ""
        if record.holder != leader.guid:
            self._conclude(End.SUCCEEDED, reason, record.holder_id)
        elif record.released:
            self._conclude(End.RELEASED, reason)
        else:
            # A record that somebody has touched before its first renewal tells another token than that will.
            self._ask_for(records.token_of(record, stat))

    def _ask_for(self, token: int) -> None:
        self.state.token = token
        if self.state.asked_token != token:
            self.state.due = Due.NAMES

    def _on_names(self, answer: Answer) -> None:
        state = self.state
        names = answer.names if isinstance(answer, Names) else None
        if state.leader is None:
            self._conclude(End.NO_ELECTION if names is None else End.NOBODY_LEADS)
            return
        found = queue.of_guid(state.leader.guid, names or ())
        if found:
            state.candidate, state.due = found[0], Due.CANDIDATE
            return
        # Without its candidate it has lost leadership already: there is nobody to ask, and the end to be seen.
        state.due = Due.NOTHING
        if not state.is_told and state.sight is not None:
            state.is_told = True
            left = waited_out_in(state.lease, state.sight.since, self.now)
            self.actions.append(LeftQueue(leader=state.leader, seconds=left))

    def _on_candidate(self, answer: Answer) -> None:
        state = self.state
        if not isinstance(answer, Content):
            state.due = Due.RECORD
            return
        told = records.parse_candidate(answer.data)
        if isinstance(told, NewerFormat):
            self._conclude(End.NEWER_FORMAT, f"candidate {state.candidate} has format {told.format}")
            return
        state.content, state.version = told if isinstance(told, dict) else {}, answer.stat.version
        request = records.resign_request_in(state.content)
        if request is not None and request.token == state.token:
            self._asked(request)
        else:
            state.due = Due.WRITE

    def _on_write(self, refusal: Refusal | None) -> None:
        if refusal is None:
            self._asked(self._our_request())
        else:  # it was written, by its owner or by somebody who asks too; or it is gone
            self.state.due = Due.CANDIDATE if refusal is Refusal.BAD_VERSION else Due.RECORD

    def _asked(self, request: ResignRequest) -> None:
        assert self.state.leader is not None
        self.state.asked_token, self.state.due = request.token, Due.NOTHING
        if not self.state.is_told:
            self.state.is_told = True
            self.actions.append(Asked(leader=self.state.leader, by=request))

    def _on_confirm(self, answer: Answer) -> None:
        is_missing = self.state.sight is not None and not self.state.sight.czxid
        if isinstance(answer, Refused) == is_missing:  # it stands as it was seen, or still does not
            if self.state.asked_token is not None:
                self._conclude(End.LAPSED)
            else:
                self._conclude(End.NOBODY_LEADS, "its last leader is gone without having released")
        else:
            self.state.due = Due.SYNC  # this server may lag behind what the ensemble has told
