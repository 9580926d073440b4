"""A candidate as a program sees it: an ongoing state that it waits for, looks at, and ends.

It owns what may be asked from any thread.  It must not know how leadership is won or lost.  It does not promise that
whoever was told to stop does: see ``zkleader.library``.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Self

from zkleader.core.lease import Instant, Timing
from zkleader.errors import ForkedError, LeadershipLostError, NotElectedError, ZkLeaderError
from zkleader.guard import system
from zkleader.library.loop import Loop
from zkleader.library.states import (
    LAST,
    Failed,
    Leading,
    Lost,
    ResignAsked,
    Resigned,
    State,
    Suspected,
    Waiting,
    token_of,
)
from zkleader.library.telling import LOGGER


class Candidate:
    """One campaign, and the leadership that it wins; after a loss it is over, and another campaign may follow.

    It is made by `Election.campaign`.  All of it may be used from any thread of the process.  Used as a context
    manager, it resigns when the block is left: whatever works under its leadership must have stopped by then.
    """

    def __init__(self, loop: Loop, timing: Timing) -> None:
        """Take a loop that is started."""
        self._loop = loop
        self._timing = timing
        self._pid = os.getpid()
        self._has_stopped = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if os.getpid() == self._pid:  # a fork that leaves the block has nothing to give up
            self.resign()

    def __repr__(self) -> str:
        return f"<Candidate {self.state!r}>"

    # ---- looking

    @property
    def state(self) -> State:
        """The present state."""
        return self._loop.board.posting.state

    def is_leading(self) -> bool:
        """Say whether work may be begun now; ask before each act.

        By the clock, and by the rule of a holder: true while the lease, counted from the last confirmed renewal, has
        more left than ``grace`` and the margins.  So what takes no longer than ``grace`` ends before the deadline.
        False as soon as leadership is lost, an operator has asked us to resign, or resigning has begun; and in a fork.
        """
        posting = self._loop.board.posting
        if posting.lease_start is None or self._has_stopped or os.getpid() != self._pid:
            return False
        may_begin = isinstance(posting.state, Leading | Suspected)
        return may_begin and system.now().held_since(posting.lease_start) < self._timing.stop_after

    def ensure_leading(self) -> None:
        """Return if work may be begun now (`is_leading`).

        Raises:
            NotElectedError: it has not led yet.
            LeadershipLostError: it leads no longer, or is to begin no more work.
            ForkedError: the candidate is another process's.
        """
        if self.is_leading():
            return
        self._refuse_fork()
        state = self.state
        if (refusal := _refusal_of(state)) is not None:
            raise refusal
        if isinstance(state, Waiting):
            raise NotElectedError(f"not the leader: {state!r}")
        raise LeadershipLostError("resigned" if self._has_stopped else "lease_lapsed")

    def remaining(self) -> float:
        """Return the seconds until all work must have stopped: while leading and after a loss; else 0.

        It rises with each renewal that is confirmed, and does not after a loss.  Counted as a holder of a lease has to:
        unlike `deadline` it also sees that the host was suspended.
        """
        return self._remaining(system.now())

    def _remaining(self, now: Instant) -> float:
        lease_start = self._loop.board.posting.lease_start
        if lease_start is None or os.getpid() != self._pid:
            return 0.0
        return max(0.0, self._timing.gone_after - now.held_since(lease_start))

    @property
    def deadline(self) -> float:
        """The instant on ``time.monotonic()`` by which all work must have stopped; the present where nothing remains.

        For time-outs of whoever cannot ask again.  A lease is counted on clocks that are never slewed, as this one may
        be: so it is told up to an eighth of what `remaining` says too early, and approaches the true instant.
        """
        # From one look at the clocks: a freeze between two of them would be added to it.
        now = system.now()
        return now.monotonic_in(self._remaining(now))

    @property
    def token(self) -> int:
        """The fencing token: greater than that of every leader before.  It stays readable when leadership is over.

        Raises:
            NotElectedError: it has not led.
        """
        state = self.state
        token = token_of(state)
        if token is None:
            raise NotElectedError(f"there is no token: {state!r}")
        return token

    @property
    def slot(self) -> int:
        """The slot in which it leads, or led: 0, unless several may lead at once.

        Raises:
            NotElectedError: it has not led.
        """
        if token_of(self.state) is None:
            raise NotElectedError(f"there is no slot: {self.state!r}")
        return self._loop.slot

    # ---- waiting

    def wait_for_leadership(self, timeout: float | None = None) -> int:
        """Wait until this candidate leads; return the fencing token.  In seconds; None waits for ever.

        Raises:
            NotElectedError: not in time, or it has resigned.
            LeadershipLostError: it has led, and leads no longer.
            UnreachableError, NotPermittedError, NewerFormatError, RefusedError, InternalError: the campaign has ended.
            ForkedError: the candidate is another process's.
        """
        self._refuse_fork()
        until = None if timeout is None else time.monotonic() + timeout
        seen = 0
        while True:
            left = None if until is None else max(0.0, until - time.monotonic())
            news = self._loop.board.wait_beyond(seen, left)
            if news is None:
                raise NotElectedError(f"not elected within {timeout:g} s: {self.state!r}")
            seen, state = news
            if isinstance(state, Leading | Suspected):
                return state.token
            if (refusal := _refusal_of(state)) is not None:
                raise refusal

    def states(self) -> Iterator[State]:
        """Yield the present state, and then each one that follows, up to the last (`Lost`, `Resigned` or `Failed`).

        Who is slow sees the present state and not all that were there between; the last one is never missed.

        Raises:
            ForkedError: the candidate is another process's.
        """
        seen = 0
        while True:
            self._refuse_fork()
            news = self._loop.board.wait_beyond(seen)
            assert news is not None
            seen, state = news
            yield state
            if isinstance(state, LAST):
                return

    def subscribe(self, callback: Callable[[State], object]) -> None:
        """Have ``callback`` called with the present state, and then with each one that follows, as `states` has them.

        Each subscription has a daemon thread of its own, in which it is called, and no lock of ours is held then.  One
        that blocks delays nobody but itself, and may use the candidate as it likes; what it raises is logged, and it is
        called again with the next state.
        """
        self._refuse_fork()
        threading.Thread(target=self._call, args=(callback,), daemon=True, name="zkleader-states").start()

    def _call(self, callback: Callable[[State], object]) -> None:
        for state in self.states():
            try:
                callback(state)
            except Exception:  # noqa: BLE001 # it is the program's, and so is what to do about it
                LOGGER.exception("callback_failed")

    # ---- ending

    def resign(self) -> bool:
        """Give up leadership, or the place in the queue: the next candidate leads at once.

        **Whatever works under this leadership must have stopped before**: this says so to everybody else.  After a loss
        it says the same, and spares others the rest of our lease.  Returns when that is done and the session closed, at
        the latest half a lease and two seconds later; true if nothing is held in our name any more, false if others may
        have to wait out the lease.  Called again, it waits for the same.

        Raises:
            ForkedError: the candidate is another process's.
        """
        self._refuse_fork()
        if not self._has_stopped:
            self._has_stopped = True  # before it is told: nobody may begin anything from here on
            self._loop.stop()
        self._loop.is_over.wait()
        return self._loop.is_released

    def _refuse_fork(self) -> None:
        if os.getpid() != self._pid:
            raise ForkedError(f"this candidate is process {self._pid}'s: a fork has to campaign for itself")


def _refusal_of(state: State) -> ZkLeaderError | None:
    """Return why a candidate in this state does not lead and never will; None if it may."""
    if isinstance(state, Failed):
        return state.error
    if isinstance(state, Lost):
        return LeadershipLostError(state.reason)
    if isinstance(state, ResignAsked):
        return LeadershipLostError("resign_asked")
    if isinstance(state, Resigned):
        return NotElectedError("the candidate has resigned")
    return None
