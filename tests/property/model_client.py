"""A model of kazoo and of ``zk.session`` above it: one session, one connection after another, events for the core.

It keeps what those promise: every request is answered, if only by ``Unanswered``; nothing is submitted without a
connection.  And it is as disorderly as they are: what was under way is given up before or after the connection is told
to be down, or even after the next one is up; and answers, watches and the state of the connection are handed over by
three threads, so that only what one of them brings comes in order.
"""

from collections.abc import Callable
from enum import Enum
from typing import Protocol

from model_ensemble import Connection, Ensemble, Session, Way
from virtual_time import Timeline

from zkleader.core import actions, queue, records
from zkleader.core.events import Answer, Answered, Connected, Event, SessionLost, Suspended, Touched, Unanswered
from zkleader.core.lease import Timing


class Gate(Protocol):
    """The process in which a client lives: its threads run only while that is neither dead nor frozen."""

    def when_awake(self, happen: Callable[[], None]) -> None:
        """Have something happen now, or when it is continued; never if it is dead."""

    def is_awake(self) -> bool:
        """Whether its threads run."""


class Lane(Enum):
    """A thread of kazoo's that hands over, in order."""

    ANSWERS = "answers"
    WATCHES = "watches"


class Client:
    """One client, which is one session."""

    def __init__(
        self,
        timeline: Timeline,
        ensemble: Ensemble,
        gate: Gate,
        *,
        host: int,
        timing: Timing,
        deliver: Callable[[Event], None],
    ) -> None:
        self.host = host
        self.asks_for = timing.lease
        """The session timeout that it asks for, in seconds."""
        self.session: Session | None = None
        self.zxid = 0
        """The greatest that was seen; no server behind it is good enough."""
        self.patience = timeline.between(1 / 3, 2 / 3) * timing.lease
        """Seconds of silence after which the connection is given up."""
        self.ambush = ""
        """What befalls the next write: see `send`."""
        self.ambush_seconds = 0.0
        self.late: dict[Lane, float] = {}
        """By at most how many seconds a thread hands over late; usually it takes no time, or next to none."""
        self._timeline = timeline
        self._ensemble = ensemble
        self._gate = gate
        self._timing = timing
        self._deliver = deliver
        self._connection: Connection | None = None
        self._pending: set[int] = set()
        self._next = timeline.random.randrange(len(ensemble.servers))
        self._ready = dict.fromkeys(Lane, 0.0)
        self._over = False
        self._trying = False
        self._try_later(0.0)

    @property
    def connection(self) -> Connection | None:
        """The connection, while there is one."""
        return self._connection

    def is_awake(self) -> bool:
        """Whether pings are sent."""
        return self._gate.is_awake()

    def send(self, number: int, request: actions.Request) -> None:
        """Submit a request."""
        connection = self._connection
        if connection is None:
            self._deliver(Answered(number=number, answer=Unanswered()))
            return
        self._pending.add(number)
        ambush = ""
        if self.ambush and isinstance(request, actions.Multi) and _written(request) is not None:
            ambush, self.ambush = self.ambush, ""
            self._timeline.note(f"host {self.host}", f"ambush: {ambush}")
        if ambush == "lose_request":
            self.drop(connection)
            return
        if ambush == "remake":
            self._remake(request)
        elif ambush == "delay":
            connection.delay = self.ambush_seconds
        connection.request(number, request)
        if ambush == "mute":  # it is applied, and never answered
            connection.mute = True
        elif ambush == "reset":  # the connection breaks about when it is applied
            self._timeline.after(self._timeline.between(0.0, 0.02), lambda: self.drop(connection))

    def _remake(self, request: actions.Multi) -> None:
        """Let somebody delete what is about to be written and make it anew, up to the very version that is expected."""
        write = _written(request)
        assert write is not None
        if write.path in self._ensemble.tree:
            new = actions.Create(path=write.path, data=records.new_record(released=False))
            touch = actions.SetData(path=write.path, data=new.data, version=actions.ANY_VERSION)
            touches = (touch,) * write.version
            self._ensemble.commit(actions.Multi(operations=(actions.Delete(path=write.path), new, *touches)))

    def drop(self, connection: Connection | None = None) -> None:
        """Hang up."""
        if self._connection is None or connection not in (None, self._connection):
            return
        self._connection.hung_up = True
        self._gate.when_awake(self._down)

    def close(self) -> None:
        """Close the session, if that is possible; else it expires."""
        self._over = True
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.carry(Way.UP, lambda: self._close_at(connection))

    def abandon(self) -> None:
        """Be gone with the process: the kernel resets the connection, the session lives on."""
        self._over = True
        connection, self._connection = self._connection, None
        if connection is not None:
            _hang_up(connection)

    def _close_at(self, connection: Connection) -> None:
        session = connection.session
        if self._ensemble.quorum and not connection.server.cut and session.owner is connection:
            self._ensemble.end_session(session)
        elif not connection.closed:
            connection.close()

    # ---- from the server

    def on_answer(self, connection: Connection, number: int, answer: Answer, zxid: int) -> None:
        """Take an answer off the connection."""

        def happen() -> None:
            if connection is self._connection and number in self._pending:
                self._pending.discard(number)
                self.zxid = max(self.zxid, zxid)
                self._hand_over(Lane.ANSWERS, Answered(number=number, answer=answer))

        self._gate.when_awake(happen)

    def on_watch(self, connection: Connection, touched: Touched, zxid: int) -> None:
        """Take a watch's event off the connection."""

        def happen() -> None:
            if connection is self._connection:
                self.zxid = max(self.zxid, zxid)
                self._hand_over(Lane.WATCHES, touched)

        self._gate.when_awake(happen)

    def on_closed(self, connection: Connection) -> None:
        """Learn that the server hung up."""
        self._gate.when_awake(lambda: self._down() if connection is self._connection else None)

    def _hand_over(self, lane: Lane, event: Event) -> None:
        longest = self.late.get(lane, 0.002 if self._timeline.chance(0.25) else 0.0)
        at = self._ready[lane] = max(self._ready[lane], self._timeline.now + self._timeline.between(0.0, longest))
        if at <= self._timeline.now:
            self._deliver(event)
        else:
            self._timeline.at(at, lambda: self._gate.when_awake(lambda: self._deliver(event)))

    # ---- connecting

    def _down(self) -> None:
        if self._connection is None:
            return
        _hang_up(self._connection)
        self._connection = None
        unanswered: list[Event] = [Answered(number=number, answer=Unanswered()) for number in sorted(self._pending)]
        self._pending.clear()
        order = self._timeline.random.randrange(4)
        if order == 0:
            self._tell([*unanswered, Suspended()])
        elif order == 1:
            self._tell([Suspended()])
            self._timeline.after(self._timeline.between(0.0, 0.01), lambda: self._tell(unanswered))
        else:
            self._tell([Suspended(), *unanswered])
        longest = 0.01 if self._timeline.chance(0.5) else self._timing.reconnect_delay
        self._try_later(self._timeline.between(0.0, longest))

    def _tell(self, events: list[Event]) -> None:
        for event in events:
            self._deliver(event)

    def _try_later(self, seconds: float) -> None:
        self._trying = True
        self._timeline.after(seconds, lambda: self._gate.when_awake(self._try))

    def _try(self) -> None:
        if self._over or self._connection is not None:
            return
        number = self._next % len(self._ensemble.servers)
        self._next += 1
        accepted = self._ensemble.accept(self, number)
        if isinstance(accepted, Connection):
            self._connection = accepted
            self.zxid = max(self.zxid, accepted.server.view)
            self._deliver(Connected(granted=accepted.session.timeout, server=f"server-{number}"))
        elif accepted == "expired":
            self._over = True
            self._deliver(SessionLost(reason="session_expired"))
        else:
            wait = self._timing.connect_cap if accepted == "unreachable" else 0.002
            last = self._next % len(self._ensemble.servers) == 0
            self._try_later(wait + (self._timeline.between(0, self._timing.reconnect_delay) if last else 0.0))


def _written(request: actions.Multi) -> actions.SetData | None:
    """Return the write to the lease record."""
    writes = (one for one in request.operations if isinstance(one, actions.SetData))
    return next((one for one in writes if f"/{queue.RECORD_PREFIX}" in one.path), None)


def _hang_up(connection: Connection) -> None:
    """Close our end; the server learns of it after everything that was sent before."""
    connection.hung_up = True
    connection.carry(Way.UP, connection.close)
