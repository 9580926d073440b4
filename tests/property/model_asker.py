"""A model of one ``zkleader resign``: ``resignation.step`` and the loop around it, as ``zkleader.resign`` has it."""

from collections import deque
from collections.abc import Callable

from judge import Judge
from model_client import Client
from model_ensemble import Ensemble
from virtual_time import Clocks, Timeline

from zkleader.core import resignation
from zkleader.core.actions import DropConnection, Send
from zkleader.core.events import Event, Tick
from zkleader.core.lease import Timing
from zkleader.core.resign_state import BeginSession, Concluded, LeftQueue, State, Wish

TIMING = Timing(lease=20.0, grace=0.0, stop_timeout=0.0)
"""As in ``zkleader.resign``."""

HOST = 100
"""A host of its own, which nothing befalls; the servers that it meets may be out of date all the same."""


class Asker:
    """One who asks the leader to step down, and tells when it has."""

    def __init__(
        self, timeline: Timeline, ensemble: Ensemble, judge: Judge, *, election: str, slot: int | None
    ) -> None:
        self.conclusion: Concluded | None = None
        self._timeline = timeline
        self._ensemble = ensemble
        self._judge = judge
        self._clocks = Clocks(timeline, rate=1.0, slew=0.0)
        wish = Wish(election=election, user="u", host="h", wait=None, connect_timeout=1e6, slot=slot)
        self._state = State(wish, TIMING, self._clocks.now())
        self._inbox: deque[tuple[Client, Event]] = deque()
        self._wakes_at: float | None = None
        self._client = self._new_client()

    def when_awake(self, happen: Callable[[], None]) -> None:
        """Have something happen: it is always awake."""
        happen()

    def is_awake(self) -> bool:
        """Whether its threads run."""
        return True

    def _new_client(self) -> Client:
        def deliver(event: Event) -> None:
            self._inbox.append((client, event))
            self._wake(0.0)

        client = Client(self._timeline, self._ensemble, self, host=HOST, timing=TIMING, deliver=deliver)
        return client

    def _wake(self, seconds: float) -> None:
        at = self._timeline.now + seconds + self._timeline.between(0, 0.002)
        if self._wakes_at is None or at < self._wakes_at:
            self._wakes_at = at
            self._timeline.at(at, lambda: self._run(at))

    def _run(self, at: float) -> None:
        if at != self._wakes_at or self.conclusion is not None:
            return
        self._wakes_at = None
        self._step(Tick())
        while self._inbox and self.conclusion is None:
            client, event = self._inbox.popleft()
            if client is self._client:
                self._step(event)
        step_in = resignation.next_step_in(self._state, self._clocks.now())
        if self.conclusion is None and step_in is not None:
            self._wake(step_in)

    def _step(self, event: Event) -> None:
        self._state, actions = resignation.step(self._state, event, self._clocks.now())
        for action in actions:
            if isinstance(action, Send):
                self._judge.requested(HOST)
                self._client.send(action.number, action.request)
            elif isinstance(action, DropConnection):
                self._client.drop()
            elif isinstance(action, BeginSession):
                self._client.close()
                self._client = self._new_client()
            elif isinstance(action, Concluded):
                self.conclusion = action
                self._timeline.note("asker", f"concludes: {action.end.value} {action.text}")
                self._client.close()
                self._judge.told_to_be_over(action)
            else:
                how = "cannot ask" if isinstance(action, LeftQueue) else "asks"
                self._timeline.note("asker", f"{how} {action.leader.guid}, token {action.leader.token}")
