"""One candidacy, from joining the queue to leaving it, as a pure state machine.

``step(state, event, now) -> (state, actions)``: JOINING -> WAITING -> LEADING -> STOPPING -> RELEASING -> ENDED, with
LEAVING for whoever never led, and from LEADING or STOPPING to RESTARTING and back to LEADING for a command that is
started again.  ``campaign`` decides up to leadership, ``tenure`` from then on; this module routes
events to them and owns what both share: the link, deadlines of requests, and waiting limits.

A candidacy lives in one session: when that is lost it ends, and what it has to hand on is its memory.  It trusts
neither sessions nor reads nor the link for safety, only the chain of its own writes (``chain``) and the wait of a
claimant (``claim.claimable_in``).
"""

from __future__ import annotations

from collections.abc import Iterator

from zkleader.core import campaign, claim, tenure
from zkleader.core.actions import Action, DropConnection, End, Outcome
from zkleader.core.chain import Chain
from zkleader.core.events import (
    Answer,
    Answered,
    CommandFailed,
    CommandGone,
    CommandStarted,
    CommandStopping,
    CommandTooLate,
    Connected,
    Event,
    GuardFailed,
    LeaveAsked,
    SessionLost,
    Suspended,
    Tick,
    Touched,
    Unanswered,
)
from zkleader.core.lease import Instant
from zkleader.core.turn import (
    AFTER_CONNECTING,
    Flight,
    Link,
    Memory,
    Phase,
    Purpose,
    Rules,
    State,
    Turn,
)

_UP_TO_LEADERSHIP = frozenset({Phase.JOINING, Phase.WAITING})
_IN_TENURE = frozenset({Phase.LEADING, Phase.RESTARTING, Phase.STOPPING})


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
        yield from (left for left in _patience(state, now) if left > 0)
        if state.phase is Phase.WAITING and state.link is Link.UP and _may_claim(state):
            yield claim.claimable_in(state, now)
    elif state.phase in _IN_TENURE:
        if state.link is Link.UP and not state.loss and Purpose.WRITE not in state.flights:
            left = tenure.renewal_in(state, now)
            if left > 0 or not state.flights:
                yield left
        yield tenure.release_in(state, now) if state.loss else tenure.stop_in(state, now)
        if state.phase is Phase.RESTARTING and state.pause is not None:
            yield state.pause.left(now)
    elif state.phase is Phase.RELEASING:
        yield tenure.release_patience(state, now)
    elif state.phase is Phase.LEAVING:
        yield _leaving_patience(state, now)


def _may_claim(state: State) -> bool:
    place = state.place
    return place is not None and place.rank == 0 and state.seen is not None and not state.flights


def _patience(state: State, now: Instant) -> Iterator[float]:
    waited = now.held_since(state.memory.began)
    if not state.memory.reached:
        yield state.rules.connect_timeout - waited
    elif state.rules.wait is not None and not state.memory.led:
        yield state.rules.wait - waited
        if state.link is not Link.UP:
            yield state.rules.timing.lease - now.held_since(state.since)


def _leaving_patience(state: State, now: Instant) -> float:
    return state.rules.timing.request_timeout - now.held_since(state.since)


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
        turn.remember(led=True)
        state.started = turn.now
        turn.tell("command_started", pid=event.pid)
    elif isinstance(event, CommandTooLate):
        tenure.on_too_late(turn)
    elif isinstance(event, CommandFailed):
        tenure.on_not_started(turn, event)
    elif isinstance(event, CommandStopping):
        tenure.on_stopping(turn, event)
    elif isinstance(event, CommandGone):
        tenure.on_gone(turn, event)
    elif isinstance(event, GuardFailed):
        if state.phase in _UP_TO_LEADERSHIP:
            turn.leave(Outcome(end=End.GUARD_FAILED, reason=event.reason))
        elif state.phase in _IN_TENURE:
            tenure.on_guard_failed(turn, event)
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
        turn.want(*AFTER_CONNECTING)


def _down(turn: Turn) -> None:
    if turn.state.link is Link.UP:
        turn.state.link = Link.DOWN
        if turn.state.phase not in (Phase.LEAVING, Phase.RELEASING):
            turn.state.since = turn.now


def _on_session_lost(turn: Turn, event: SessionLost) -> None:
    state = turn.state
    state.link = Link.OVER
    state.flights.clear()
    if state.phase is Phase.LEAVING:
        pass  # there is nothing left to close
    elif state.phase not in _UP_TO_LEADERSHIP:
        tenure.on_session_lost(turn, event.reason)
    elif event.reason == "authentication_failed":
        turn.leave(Outcome(end=End.NOT_PERMITTED, reason="authenticate"))
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


def _route(turn: Turn, purpose: Purpose, flight: Flight, answer: Answer) -> None:
    part = campaign if turn.state.phase in _UP_TO_LEADERSHIP else tenure
    if turn.state.phase is Phase.LEAVING:
        return
    if isinstance(answer, Unanswered):
        part.on_unanswered(turn, purpose)
    else:
        part.on_answer(turn, purpose, flight, answer)


def _on_touched(turn: Turn, event: Touched) -> None:
    state = turn.state
    election = state.rules.election
    if state.own is not None and event.path == state.own_path:
        turn.want(Purpose.OWN)
    elif state.watched is not None and event.path == f"{election}/{state.watched}":
        campaign.on_predecessor_touched(turn, is_deleted=event.is_deleted)
    elif Purpose.AHEAD in state.flights and event.path == getattr(state.flights[Purpose.AHEAD].request, "path", None):
        # The race: kazoo hands over watches and answers in two threads, so the watch that a read has set may fire
        # before its answer is taken.  That answer is let go, and the predecessor is read and watched again.
        del state.flights[Purpose.AHEAD]
        turn.want(Purpose.LIST, Purpose.AHEAD)
    elif event.path == state.rules.record_path and state.phase is Phase.WAITING and Purpose.WRITE not in state.flights:
        # A leader need not look: its next renewal will tell, and every renewal of its own would wake it.  Nor need one
        # whose claim is under way: this is that claim, or its answer will tell to read again.
        turn.want(Purpose.RECORD)


def _on_leave_asked(turn: Turn, event: LeaveAsked) -> None:
    state = turn.state
    if state.phase in _IN_TENURE:
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
    else:
        tenure.expire(turn)


def _lose_patience(turn: Turn) -> None:
    state, rules = turn.state, turn.state.rules
    waited = turn.now.held_since(state.memory.began)
    if not state.memory.reached:
        if waited >= rules.connect_timeout:
            turn.leave(Outcome(end=End.UNREACHABLE, reason="unreachable"))
        return
    if rules.wait is None or waited < rules.wait or state.memory.led:
        return
    place = state.place
    if state.link is Link.UP:
        # First in line with a lease to wait out is not "waiting for others": a crash would lock everyone out.
        # Who is ahead was read by then, so that the log can tell.
        # So was the record, which may say that there is nothing to do at all.
        is_read = turn.is_idle(Purpose.LIST, Purpose.AHEAD) and Purpose.RECORD not in state.flights
        is_over = place is not None and place.rank > 0 and is_read
    else:
        # Not having seen the queue, nobody can be said to be ahead; away for a lease, nobody waits any longer.
        away = turn.now.held_since(state.since)
        is_over = (place is not None and place.rank > 0) or away >= rules.timing.lease
    if is_over:
        turn.leave(Outcome(end=End.NOT_ELECTED, reason="not_elected"))


def _advance(turn: Turn) -> None:
    state = turn.state
    if state.link is Link.UP:  # never submit while suspended: it might be sent in another session
        if state.phase in _UP_TO_LEADERSHIP:
            campaign.advance(turn)
        elif state.phase in _IN_TENURE or state.phase is Phase.RELEASING:
            tenure.advance(turn)
    if state.phase is Phase.LEAVING and (state.link is not Link.DOWN or _leaving_patience(state, turn.now) <= 0):
        turn.finish()
