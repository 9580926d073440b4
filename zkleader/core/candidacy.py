"""One candidacy, from joining the queue to leaving it, as a pure state machine.

``step(state, event, now) -> (state, actions)``: JOINING -> WAITING -> LEADING -> STOPPING -> RELEASING -> ENDED, with
LEAVING for whoever never led, HANDING_OVER before RELEASING where there is an on-lost, and from LEADING or STOPPING to
RESTARTING and back to LEADING for a command that is started again.  ``campaign`` decides up to leadership, ``tenure``
while it lasts, ``tenure_end`` how it has ended, and ``release`` after it; this module routes events to them and owns
what they share: the link, deadlines of requests, and waiting limits.

A candidacy lives in one session: when that is lost it ends, and what it has to hand on is its memory.  It trusts
neither sessions nor reads nor the link for safety, only the chain of its own writes (``chain``) and the wait of a
claimant (``slots.claimable_in``).
"""

from __future__ import annotations

from collections.abc import Iterator

from zkleader.core import campaign, claim, release, slots, tenure, tenure_end
from zkleader.core.actions import AUTHENTICATE, Action, DropConnection, End, Outcome
from zkleader.core.candidacy_state import (
    AFTER_CONNECTING,
    IN_TENURE,
    Flight,
    Link,
    Memory,
    Need,
    Phase,
    Purpose,
    RecordOf,
    State,
)
from zkleader.core.chain import Chain
from zkleader.core.events import (
    Answer,
    Answered,
    CommandFailed,
    CommandGone,
    CommandPaused,
    CommandResumed,
    CommandStarted,
    CommandStopping,
    CommandTooLate,
    Connected,
    Event,
    GuardFailed,
    LeaveAsked,
    SessionLost,
    Suspended,
    TenureOver,
    Tick,
    Touched,
    Unanswered,
)
from zkleader.core.lease import Instant
from zkleader.core.rules import Rules
from zkleader.core.turn import Turn
from zkleader.core.write import writes

_UP_TO_LEADERSHIP = frozenset({Phase.JOINING, Phase.WAITING})


def begin(rules: Rules, guid: str, memory: Memory, now: Instant) -> State:
    """Return the state of a new candidacy."""
    chain = Chain(guid=guid, lease=rules.timing.lease)
    return State(rules=rules, guid=guid, memory=memory, chain=chain, now=now)


def step(state: State, event: Event, now: Instant) -> tuple[State, tuple[Action, ...]]:
    """Take one event; return the new state and what is to be done, in order.

    Deadlines are looked at on Tick alone.  The race: we may have been frozen, with an answer, a renewal's above all, or
    the guard's word waiting; so the supervisor hands in everything that has arrived before it ticks.
    """
    turn = Turn(state, now)
    if state.phase is not Phase.ENDED:
        _take(turn, event)
        if isinstance(event, Tick):
            _expire(turn)
        _advance(turn)
    return turn.state, tuple(turn.actions)


def next_step_in(state: State, now: Instant) -> float | None:
    """Return the seconds after which a Tick is needed at the latest, or None if only events matter."""
    left = min(_timers(state, now), default=None)
    return None if left is None else max(0.0, left)


def _timers(state: State, now: Instant) -> Iterator[float]:
    timing = state.rules.timing
    if state.phase is Phase.ENDED:
        return
    for flight in state.flights.values():
        yield timing.request_timeout - now.held_since(flight.sent)
    if state.phase in _UP_TO_LEADERSHIP:
        yield from (left for left in (*_patience(state, now), campaign.join_in(state, now)) if left > 0)
        if state.phase is Phase.WAITING and state.link is Link.UP and not state.flights:
            if (way := slots.next_claim(state, now)) is not None:
                yield way[0]
            if (left := campaign.listing_in(state, now)) is not None:
                yield left
    elif state.phase in IN_TENURE:
        if state.link is Link.UP and not state.loss and Purpose.WRITE not in state.flights:
            left = tenure.renewal_in(state, now)
            if left > 0 or not state.flights:
                yield left
        yield release.useful_for(state, now) if state.loss else tenure.stop_in(state, now)
        if state.phase is Phase.RESTARTING and state.pause is not None:
            yield state.pause.left(now)
    elif state.phase is Phase.RELEASING:
        yield release.patience(state, now)
    elif state.phase is Phase.LEAVING:
        yield _leaving_patience(state, now)


def _patience(state: State, now: Instant) -> Iterator[float]:
    waited = now.held_since(state.memory.began)
    if not state.memory.reached:
        yield state.rules.connect_timeout - waited
    elif state.rules.wait is not None and not state.memory.led:
        yield state.rules.wait - waited
        if state.link is not Link.UP:
            yield state.rules.timing.lease - now.held_since(state.since)


def _leaving_patience(state: State, now: Instant) -> float:
    return state.rules.timing.leave_timeout - now.held_since(state.since)


def _take(turn: Turn, event: Event) -> None:
    state = turn.state
    if isinstance(event, Connected):
        _on_connected(turn, event)
    elif isinstance(event, Suspended):
        if state.link is Link.UP:
            turn.tell("suspended", level="warning")
        _down(turn)
    elif isinstance(event, SessionLost):
        _on_session_lost(turn, event)
    elif isinstance(event, Answered):
        _on_answered(turn, event)
    elif isinstance(event, Touched):
        _on_touched(turn, event)
    elif isinstance(event, LeaveAsked):
        _on_leave_asked(turn, event)
    elif isinstance(event, CommandStarted):
        turn.remember(led=True, pause=None)
        state.started = turn.now
        turn.tell("command_started", pid=event.pid)
    elif isinstance(event, CommandTooLate):
        # The race: frozen, we have asked for a start after the guard had ended the tenure, and hear of both.
        if state.phase in IN_TENURE:
            tenure_end.on_too_late(turn)
    elif isinstance(event, CommandFailed):
        if state.phase in IN_TENURE:  # else it was given up, and the end is told
            tenure_end.on_not_started(turn, event)
    elif isinstance(event, CommandStopping):
        tenure.on_stopping(turn, event)
    elif isinstance(event, CommandPaused):
        tenure.on_paused(turn, event)
    elif isinstance(event, CommandResumed):
        tenure.on_resumed(turn, event)
    elif isinstance(event, CommandGone):
        tenure_end.on_gone(turn, event)
    elif isinstance(event, TenureOver):
        if state.phase in IN_TENURE:
            tenure_end.on_tenure_over(turn, event)
    elif isinstance(event, GuardFailed):
        if state.phase in _UP_TO_LEADERSHIP:
            turn.leave(Outcome(end=End.GUARD_FAILED, reason=event.reason))
        elif state.phase in IN_TENURE:
            tenure_end.on_guard_failed(turn, event)
        elif state.outcome is not None and state.outcome.end is End.CANDIDACY_LOST:
            # Another candidacy would be elected with a guard that can start nothing.
            state.outcome = Outcome(end=End.GUARD_FAILED, reason=event.reason)
        # Else its work is done, and how we end is decided.


def _on_connected(turn: Turn, event: Connected) -> None:
    state = turn.state
    is_first = state.link is Link.NONE
    state.link, state.granted = Link.UP, event.granted
    turn.tell(
        "connected" if is_first else "reconnected", level="info", server=event.server, session_timeout=event.granted
    )
    if is_first and event.granted is not None and event.granted < state.rules.timing.lease:
        turn.tell(
            "session_timeout_below_lease",
            level="warning",
            session_timeout=event.granted,
            lease=state.rules.timing.lease,
        )
    if not is_first:
        state.watched = None
        turn.want(*AFTER_CONNECTING, *(slots.reads(state) if state.phase in _UP_TO_LEADERSHIP else (state.record,)))


def _down(turn: Turn) -> None:
    if turn.state.link is Link.UP:
        turn.state.link = Link.DOWN
        if turn.state.phase not in (Phase.LEAVING, Phase.RELEASING):
            turn.state.since = turn.now
        if turn.state.phase in IN_TENURE:
            tenure.on_suspended(turn)


def _on_session_lost(turn: Turn, event: SessionLost) -> None:
    state = turn.state
    state.link = Link.OVER
    state.flights.clear()
    if state.phase is Phase.LEAVING:
        pass  # there is nothing left to close
    elif state.phase is Phase.RELEASING:
        release.give_up(turn)  # nothing can be written any more
    elif state.phase in IN_TENURE:
        tenure.on_session_lost(turn, event.reason)
    elif event.reason == "authentication_failed":
        turn.leave(Outcome(end=End.NOT_PERMITTED, reason=AUTHENTICATE))
    else:
        turn.tell("session_lost", level="warning", reason=event.reason)
        turn.leave(Outcome(end=End.CANDIDACY_LOST, reason=event.reason))


def _on_answered(turn: Turn, event: Answered) -> None:
    for purpose, flight in turn.state.flights.items():
        if flight.number == event.number:
            del turn.state.flights[purpose]
            if not isinstance(event.answer, Unanswered):
                turn.remember(reached=True)
            _route(turn, purpose, flight, event.answer)
            return
    # No such flight: its deadline has passed already, and it was dealt with then.


def _route(turn: Turn, purpose: Need, flight: Flight, answer: Answer) -> None:
    phase = turn.state.phase
    if phase is Phase.LEAVING:
        return
    part = campaign if phase in _UP_TO_LEADERSHIP else tenure if phase in IN_TENURE else release
    if isinstance(answer, Unanswered):
        part.on_unanswered(turn, purpose)
    else:
        part.on_answer(turn, purpose, flight, answer)


def _on_touched(turn: Turn, event: Touched) -> None:
    state = turn.state
    election = state.rules.election
    if state.own is not None and event.path == state.own_path:
        if event.is_deleted and state.phase in (Phase.LEADING, Phase.RESTARTING):
            # Its name has a number that is never given again, so there is nothing to be asked first.
            tenure.on_candidate_deleted(turn)
        else:
            turn.want(Purpose.OWN)
    elif state.watched is not None and event.path == f"{election}/{state.watched}":
        campaign.on_predecessor_touched(turn, is_deleted=event.is_deleted)
    elif Purpose.AHEAD in state.flights and event.path == getattr(state.flights[Purpose.AHEAD].request, "path", None):
        # The race: where watches and answers are handed over by two threads, as kazoo does by itself, the watch that a
        # read has set may fire before its answer is taken.  That answer is let go, and the predecessor is read and
        # watched again.
        del state.flights[Purpose.AHEAD]
        turn.want(Purpose.LIST, Purpose.AHEAD)
    elif (slot := state.rules.slot_at(event.path)) is not None:
        _on_record_touched(turn, slot)


def _on_record_touched(turn: Turn, slot: int) -> None:
    # A leader need not look: its next renewal will tell, and every renewal of its own would wake it.  Nor need one
    # whose claim of it is under way: this is that claim, or its answer will tell to read again.
    if turn.state.phase is Phase.WAITING and not writes(turn.state, slot):
        turn.want(RecordOf(slot))


def _on_leave_asked(turn: Turn, event: LeaveAsked) -> None:
    state = turn.state
    if state.phase in IN_TENURE:
        tenure.step_down(turn, event.signal)
    elif state.phase in _UP_TO_LEADERSHIP:
        state.asked_by = event.signal
        turn.tell("leave_asked", signal=event.signal)
        turn.leave(Outcome(end=End.LEFT, number=event.signal, reason="asked"))
    elif state.asked_by:  # asked again while on the way out: wait for nothing
        turn.finish()
    else:  # the command has ended by itself, perhaps of the same signal: the release is still worth its moment
        state.asked_by = event.signal


def _expire(turn: Turn) -> None:
    state, now = turn.state, turn.now
    timeout = state.rules.timing.request_timeout
    if any(now.held_since(flight.sent) >= timeout for flight in state.flights.values()):
        turn.tell("server_silent", level="warning", seconds=timeout)
        turn.actions.append(DropConnection())
        _down(turn)
        silent, state.flights = state.flights, {}
        for purpose, flight in silent.items():
            _route(turn, purpose, flight, Unanswered())
    if state.phase in _UP_TO_LEADERSHIP:
        _lose_patience(turn)
    elif state.phase in IN_TENURE:
        tenure.expire(turn)
    elif state.phase is Phase.RELEASING:
        release.expire(turn)


def _lose_patience(turn: Turn) -> None:
    state, rules = turn.state, turn.state.rules
    waited = turn.now.held_since(state.memory.began)
    if not state.memory.reached:
        if waited >= rules.connect_timeout:
            turn.leave(Outcome(end=End.UNREACHABLE, reason="unreachable"))
        return
    if rules.wait is None or waited < rules.wait or state.memory.led:
        return
    if state.link is Link.UP:
        # First in line with a lease to wait out is not "waiting for others": a crash would lock everyone out.
        # Who is ahead was read by then, so that the log can tell.
        # So were the records, which may say that there is nothing to do at all.
        is_read = turn.is_idle(Purpose.LIST, Purpose.AHEAD) and not any(
            isinstance(need, RecordOf) for need in state.flights
        )
        is_over = is_read and (_is_behind(state) or claim.is_hopeless(state))
    else:
        # Not having seen the queue, nobody can be said to be ahead; away for a lease, nobody waits any longer.
        away = turn.now.held_since(state.since)
        is_over = _is_behind(state) or away >= rules.timing.lease
    if is_over:
        claim.tell_disagreement(turn)
        reason = "leaders_disagree" if slots.disagrees(state) else "not_elected"
        turn.leave(Outcome(end=End.NOT_ELECTED, reason=reason))


def _is_behind(state: State) -> bool:
    """Whether there may be a leader ahead of us for every slot."""
    return state.place is not None and state.place.rank >= state.rules.leaders


def _advance(turn: Turn) -> None:
    state = turn.state
    if state.phase in IN_TENURE:
        tenure.heed(turn)
    if state.link is Link.UP:  # never submit while suspended: it might be sent in another session
        if state.phase in _UP_TO_LEADERSHIP:
            campaign.advance(turn)
        elif state.phase in IN_TENURE:
            tenure.advance(turn)
        elif state.phase is Phase.RELEASING:
            release.advance(turn)
    if state.phase is Phase.LEAVING and (state.link is not Link.DOWN or _leaving_patience(state, turn.now) <= 0):
        turn.finish()
