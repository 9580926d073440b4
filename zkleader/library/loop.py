"""A candidate's one loop, in a thread of its own: news from ZooKeeper and from the program, `candidacy.step`, actions.

It does what the supervisor does, without a guard.  There is no command to be started, extended or stopped: what these
actions say stands in the core's state, and the board shows it to the program.  What the guard would report, that
nothing of the command is left, only the program can say (`Candidate.resign`); until it does, nothing is released.

It decides nothing about leadership, and never waits for the program: whoever reads the board, or is called back, does
so in other threads.  It does not promise that the program stops in time.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import uuid

from zkleader.core import candidacy
from zkleader.core.actions import Action, DropConnection, End, Finish, Outcome, Send, StopCommand, Tell
from zkleader.core.candidacy_state import Memory, Phase, State
from zkleader.core.events import CommandGone, Event, LeaveAsked, Tick
from zkleader.core.rules import Rules
from zkleader.core.value import Value
from zkleader.core.wire import Cause
from zkleader.errors import InternalError
from zkleader.guard import system
from zkleader.library.board import Board, Posting
from zkleader.library.states import (
    Failed,
    Leading,
    Lost,
    ResignAsked,
    Suspected,
    Waiting,
    state_of,
    suspected_in,
    token_of,
)
from zkleader.library.telling import tell
from zkleader.sessions import AddressesKnown, FromSession, Sessions
from zkleader.zk.access import Access

_MOST_AT_ONCE = 100
"""So many items are taken between two looks at the clock."""

_LONGEST_WAIT = 3600.0
"""Seconds for which to wait for news: what lies further ahead is looked at again then."""


class WorkStopped(Value):
    """The program has said that its work has stopped."""


class Loop:
    """One campaign, up to the end of its first tenure."""

    def __init__(self, rules: Rules, access: Access) -> None:
        self._rules = rules
        self._items: queue.SimpleQueue[FromSession | AddressesKnown | WorkStopped] = queue.SimpleQueue()
        self._sessions = Sessions(access, rules.timing, self._items.put)
        self._outcome: Outcome | None = None
        self._state = self._begin(Memory(began=system.now()))
        self._has_stopped = False
        self._cause = Cause.ENDED
        """Why the work stops, as the lease record will tell: of its own will, unless the core has said otherwise."""
        self.board = Board(Posting(state=Waiting(rank=None), lease_start=None))
        self.is_over = threading.Event()
        """Set at the very end: the session is closed, and nothing more is done."""

    @property
    def is_released(self) -> bool:
        """Whether nothing is held in our name any more, so that a successor need not wait."""
        return self._state.is_released or not (self._state.chain.held or self._state.chain.doubts)

    @property
    def slot(self) -> int:
        """The slot that is held, or was last."""
        return self._state.slot

    def start(self) -> None:
        """Begin, in a thread of its own.

        Raises:
            InternalError: there is no thread to be had.
        """
        try:
            threading.Thread(target=self._run, daemon=True, name="zkleader-candidate").start()
        except RuntimeError as error:
            raise InternalError(f"cannot campaign: {error}") from None

    def stop(self) -> None:
        """Take note that the program's work has stopped (in any thread)."""
        self._items.put(WorkStopped())

    # ---- the thread

    def _run(self) -> None:
        try:
            while self._run_candidacy().end is End.CANDIDACY_LOST:
                # Only the place in the queue is lost.  Nothing is reset: one candidacy is one session.
                self._close()
                tell("info", "campaigning_again", election=self._rules.election)
                self._state = self._begin(self._state.memory)
        except Exception as error:  # noqa: BLE001 # whatever it is: who works must be told to stop
            self._fail(error)
        finally:
            self._close()
            self.is_over.set()

    def _begin(self, memory: Memory) -> State:
        return candidacy.begin(self._rules, str(uuid.uuid4()), memory, system.now())

    def _run_candidacy(self) -> Outcome:
        self._outcome = None
        self._sessions.begin()
        while self._outcome is None:
            self._take_news()
            self._step(Tick())
            self._show()
        return self._outcome

    def _take_news(self) -> None:
        """Wait for news, or for the next instant that matters; take what there is, before time itself is judged."""
        now = system.now()
        steps = (candidacy.next_step_in(self._state, now), suspected_in(self._state, now), _LONGEST_WAIT)
        patience = max(0.0, min(left for left in steps if left is not None))
        with contextlib.suppress(queue.Empty):
            self._take(self._items.get(timeout=patience))
            for _ in range(_MOST_AT_ONCE):
                if self._outcome is not None:  # what is behind it is the next candidacy's
                    break
                self._take(self._items.get_nowait())

    def _take(self, item: FromSession | AddressesKnown | WorkStopped) -> None:
        if isinstance(item, WorkStopped):
            if not self._has_stopped:  # the race: two threads resign at once
                self._has_stopped = True
                self._on_stopped()
        elif isinstance(item, AddressesKnown):
            if trouble := self._sessions.on_addresses(item):
                tell("warning", "host_not_resolved", election=self._rules.election, reason=trouble)
        elif (event := self._sessions.event_of(item)) is not None:
            self._step(event)

    def _on_stopped(self) -> None:
        """Hand the core the proof that only the program can give, or leave the queue."""
        held = self._state.chain.held
        if self._state.phase in (Phase.LEADING, Phase.STOPPING) and held is not None:
            in_time = system.now().held_since(held.lease_start) < self._rules.timing.gone_after
            self._step(CommandGone(cause=self._cause, wait_status=0, in_time=in_time))
        else:
            self._step(LeaveAsked(signal=signal.SIGTERM))  # the core wants one; here nobody was signalled

    def _step(self, event: Event) -> None:
        if self._outcome is not None:
            return
        self._state, actions = candidacy.step(self._state, event, system.now())
        for action in actions:
            self._perform(action)

    def _perform(self, action: Action) -> None:
        if isinstance(action, Send):
            self._sessions.present.submit(action.number, action.request)
        elif isinstance(action, DropConnection):
            self._sessions.present.drop_connection()
        elif isinstance(action, Finish):
            self._outcome = action.outcome
        elif isinstance(action, StopCommand):
            self._cause = action.cause
        elif isinstance(action, Tell):
            facts = {name: fact for name, fact in action.facts.items() if name != "signal"}
            tell(action.level, action.event, election=self._rules.election, **facts)

    # ---- what the program sees

    def _show(self) -> None:
        state, held = state_of(self._state, system.now(), self._sessions.trouble), self._state.chain.held
        lease_start = None
        if isinstance(state, Lost):
            # Not any later: the deadline that the program was told is the one that it works towards.
            lease_start = self.board.posting.lease_start
        elif held is not None and isinstance(state, Leading | Suspected | ResignAsked):
            lease_start = held.lease_start
        self.board.post(Posting(state=state, lease_start=lease_start))

    def _fail(self, error: Exception) -> None:
        """Show an error of our own; the candidate is deleted by closing its session, and the lease waited out."""
        text = f"{type(error).__name__}: {error}"
        tell("error", "internal_error", election=self._rules.election, reason=text)
        before = self.board.posting
        failed, lost = Failed(error=InternalError(text)), Lost(token=token_of(before.state), reason="internal_error")
        self.board.post(before._replace(state=failed if before.lease_start is None else lost))

    def _close(self) -> None:
        try:
            is_closed = self._sessions.close()
        except RuntimeError:  # no thread to be had any more: the interpreter exits
            is_closed = False
        if not is_closed:
            tell("warning", "session_not_closed", election=self._rules.election, consequence="it expires by itself")
