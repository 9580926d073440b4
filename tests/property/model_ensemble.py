"""A model of a ZooKeeper ensemble: servers that lag behind one log, sessions, connections, watches, and a bad network.

It is as treacherous as the real one was found to be (and no more): a server that is cut off goes on answering reads and
pings; a deposed leader confirms a ``sync`` and even takes over connections; requests that were sent before a client
hung up may still be applied, until its session is owned by another connection; answers get lost after the write was
applied.  What it keeps is what ZooKeeper keeps: writes are linear, a session's requests are taken in order, and what a
client has seen once it never sees undone within a session.
"""

from collections import deque
from collections.abc import Callable
from enum import IntFlag
from typing import TYPE_CHECKING

import model_tree
from virtual_time import Timeline

from zkleader.core import actions
from zkleader.core.events import Answer, Applied, Content, Names, Refusal, Refused, Touched

if TYPE_CHECKING:
    from model_client import Client

TOUCH_INTERVAL = 0.2
"""Seconds between looks at who is reachable; pings and a leader's bookkeeping are as coarse."""

TICK = 0.1
"""A session expires up to this much later than it should, as a fraction of its timeout."""

CommitObserver = Callable[[int, actions.Request, Answer, model_tree.Tree, model_tree.Tree], None]


class Way(IntFlag):
    """Directions between a client and a server."""

    NONE = 0
    UP = 1
    DOWN = 2
    BOTH = 3


class Session:
    """A session, as the leader of the ensemble knows it."""

    def __init__(self, number: int, client: "Client", timeout: float, touched: float) -> None:
        self.number = number
        self.client = client
        self.timeout = timeout
        self.touched = touched
        self.alive = True
        self.owner: Connection | None = None
        """Requests that come through any other connection are refused: the session has moved."""


class Server:
    """One server: a view of the log that lags behind."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.view = 0
        self.lag = 0.0
        """Seconds by which it applies commits later than usual."""
        self.applies_at = 0.0
        self.cut = False
        """Cut off from the rest of the ensemble; its clients do not notice."""
        self.deposed = False
        """It was the leader when it was cut off, and believes that it still is."""
        self.leaks = False
        """Cut off in one direction only: what it forwards arrives, what is committed does not come back."""
        self.connections: list[Connection] = []
        self.waiting: deque[tuple[int, Callable[[], None]]] = deque()


class Connection:
    """A TCP connection of a client to a server; each direction delivers in order."""

    def __init__(self, ensemble: "Ensemble", server: Server, client: "Client", session: Session) -> None:
        self.ensemble = ensemble
        self.server = server
        self.client = client
        self.session = session
        self.hung_up = False
        """By the client: what it had sent before may still arrive."""
        self.closed = False
        """By the server: nothing is taken any more."""
        self.mute = False
        """The server has gone silent on this connection, for good."""
        self.delay = 0.0
        """Seconds by which the server delays the next write."""
        self.silent_since: float | None = None
        self.watches: set[str] = set()
        self._ready = {Way.UP: 0.0, Way.DOWN: 0.0}
        self._held: dict[Way, deque[Callable[[], None]]] = {Way.UP: deque(), Way.DOWN: deque()}
        self._queue: deque[tuple[int, actions.Request]] = deque()
        self._busy = False

    def request(self, number: int, request: actions.Request) -> None:
        """Take a request from the client."""

        def arrived() -> None:
            self._queue.append((number, request))
            self._pump()

        self.carry(Way.UP, arrived)

    def answer(self, number: int, answer: Answer) -> None:
        """Answer the request that is being served."""
        zxid = self.server.view
        self.carry(Way.DOWN, lambda: self.client.on_answer(self, number, answer, zxid))
        self._busy = False
        self._pump()

    def fire(self, path: str) -> None:
        """Fire a watch."""
        self.watches.discard(path)
        zxid = self.server.view
        touched = Touched(path=path, is_deleted=path not in self.ensemble.log[zxid])
        self.carry(Way.DOWN, lambda: self.client.on_watch(self, touched, zxid))

    def carry(self, way: Way, deliver: Callable[[], None]) -> None:
        """Bring something to the other end, after what was sent before it."""
        arrival = max(self._ready[way], self.ensemble.timeline.now + self.ensemble.latency(self.client.host, way))
        self._ready[way] = arrival
        self.ensemble.timeline.at(arrival, lambda: self._arrive(way, deliver))

    def flush(self) -> None:
        """Deliver what was retransmitted in vain while the network was cut."""
        for way, held in self._held.items():
            while held and not self.ensemble.is_blocked(self, way):
                self._deliver(way, held.popleft())

    def close(self) -> None:
        """Hang up on the client."""
        if not self.closed:
            self.closed = True
            self.server.connections.remove(self)
            if not self.ensemble.is_blocked(self, Way.DOWN):
                self.ensemble.timeline.after(0.001, lambda: self.client.on_closed(self))
            else:  # the client's pings go unanswered from now on
                self.ensemble.timeline.after(self.client.patience, lambda: self.client.drop(self))

    def _arrive(self, way: Way, deliver: Callable[[], None]) -> None:
        if self.ensemble.is_blocked(self, way) or self._held[way]:
            self._held[way].append(deliver)
        else:
            self._deliver(way, deliver)

    def _deliver(self, way: Way, deliver: Callable[[], None]) -> None:
        lost = self.closed if way is Way.UP else self.hung_up or self.mute
        if not lost:
            deliver()

    def _pump(self) -> None:
        if not self._busy and self._queue:
            self._busy = True
            self.ensemble.serve(self, *self._queue.popleft())


class Ensemble:
    """The servers, and the log that a quorum of them agrees on.  A zxid is an index into it."""

    def __init__(self, timeline: Timeline, *, granted: float, servers: int = 3) -> None:
        self.timeline = timeline
        self.granted = granted
        """The session timeouts that clients are granted, as a fraction of what they ask for."""
        self.log: list[model_tree.Tree] = [model_tree.empty()]
        self.changes: list[list[str]] = [[]]
        self.servers = [Server(number) for number in range(servers)]
        self.sessions: list[Session] = []
        self.quorum = True
        self.observers: list[CommitObserver] = []
        self.cuts: dict[tuple[int, int], Way] = {}
        """What is cut between (host, server)."""
        self.slow: dict[int, tuple[Way, float]] = {}
        """Which way, and by at most how many seconds, messages of a host are slower."""
        self._stalled: list[Callable[[], None]] = []
        timeline.after(TOUCH_INTERVAL, self._touch)

    @property
    def tree(self) -> model_tree.Tree:
        """The tree as last committed."""
        return self.log[-1]

    # ---- the network

    def latency(self, host: int, way: Way) -> float:
        """Draw the time that a message takes."""
        usual = self.timeline.between(0.0005, 0.005)
        slow_way, longest = self.slow.get(host, (Way.NONE, 0.0))
        return usual + (self.timeline.between(longest / 2, longest) if slow_way & way else 0.0)

    def is_blocked(self, connection: Connection, way: Way) -> bool:
        """Whether nothing passes this way now."""
        return bool(self.cuts.get((connection.client.host, connection.server.number), Way.NONE) & way)

    def cut(self, host: int, servers: list[int], way: Way) -> None:
        """Cut a host off from servers, silently."""
        for number in servers:
            self.cuts[host, number] = way

    def mend(self, host: int) -> None:
        """Undo every cut of a host's; TCP needs a moment to try again."""
        for number in range(len(self.servers)):
            self.cuts.pop((host, number), None)
        for session in self.sessions:
            if session.client.host == host:
                for connection in [one for server in self.servers for one in server.connections]:
                    if connection.client is session.client:
                        self.timeline.after(self.timeline.between(0.0, 0.2), connection.flush)

    # ---- requests

    def accept(self, client: "Client", number: int) -> Connection | str:
        """Let a client connect to a server; otherwise say why not (``expired`` is final)."""
        server = self.servers[number]
        if self.cuts.get((client.host, number), Way.NONE):
            return "unreachable"
        if server.view < client.zxid:
            return "the server lags behind"
        if server.cut:
            if not server.deposed or client.session is None:
                return "the server serves nobody"
            return self._connected(Connection(self, server, client, client.session))
        if not self.quorum:
            return "no quorum"
        if client.session is None:
            timeout = self.granted * client.asks_for
            client.session = Session(len(self.sessions) + 1, client, timeout, self.timeline.now)
            self.sessions.append(client.session)
        if not client.session.alive:
            return "expired"
        connection = self._connected(Connection(self, server, client, client.session))
        client.session.owner = connection
        client.session.touched = self.timeline.now
        return connection

    def _connected(self, connection: Connection) -> Connection:
        connection.server.connections.append(connection)
        return connection

    def serve(self, connection: Connection, number: int, request: actions.Request) -> None:
        """Serve a request; the next one of this connection waits until it is answered."""
        server = connection.server
        tree = self.log[server.view]
        if isinstance(request, actions.ListNames | actions.Get | actions.Exists):
            connection.answer(number, _read(tree, connection, request))
        elif isinstance(request, actions.Sync):
            if not server.cut:
                self.when(server, len(self.log) - 1, lambda: connection.answer(number, Applied()))
            elif server.deposed:
                connection.answer(number, Applied())
        elif not server.cut or server.leaks:
            delay, connection.delay = connection.delay, 0.0
            self.timeline.after(
                delay + self.timeline.between(0.0005, 0.003),
                lambda: self._propose(connection, number, request),
            )

    def _propose(self, connection: Connection, number: int, request: actions.Request) -> None:
        if not self.quorum:
            self._stalled.append(lambda: self._propose(connection, number, request))
            return
        session = connection.session
        if not session.alive or session.owner is not connection:
            connection.close()  # expired, or moved to another connection
            return
        zxid, answer = self.commit(request, session.number)
        self.when(connection.server, zxid, lambda: connection.answer(number, answer))

    def commit(self, request: actions.Request, session: int = 0) -> tuple[int, Answer]:
        """Put a write into the log."""
        before, zxid = self.tree, len(self.log)
        mtime = round(self.timeline.now * 1000)
        after, answer = model_tree.apply(before, request, zxid=zxid, mtime=mtime, session=session)
        self._append(after)
        for observe in self.observers:
            observe(session, request, answer, before, after)
        return zxid, answer

    def _append(self, tree: model_tree.Tree) -> None:
        self.changes.append(model_tree.changed(self.tree, tree))
        self.log.append(tree)
        for server in self.servers:
            if not server.cut:
                self._apply_later(server)

    def _apply_later(self, server: Server) -> None:
        when = self.timeline.now + server.lag + self.timeline.between(0.0, 0.004)
        server.applies_at = max(server.applies_at, when)
        zxid = len(self.log) - 1
        self.timeline.at(server.applies_at, lambda: self._apply(server, zxid))

    def _apply(self, server: Server, zxid: int) -> None:
        if server.cut:
            return
        while server.view < zxid:
            server.view += 1
            for path in self.changes[server.view]:
                for connection in server.connections:
                    if path in connection.watches:
                        connection.fire(path)
            while server.waiting and server.waiting[0][0] <= server.view:
                server.waiting.popleft()[1]()

    def when(self, server: Server, zxid: int, happen: Callable[[], None]) -> None:
        """Have something happen as soon as a server has applied so much of the log."""
        if server.view >= zxid:
            happen()
        else:
            server.waiting.append((zxid, happen))

    # ---- sessions

    def end_session(self, session: Session) -> None:
        """Expire or close a session: its ephemerals go."""
        if not session.alive:
            return
        session.alive = False
        self._append(model_tree.without_session(self.tree, session.number))
        if session.owner is not None and not session.owner.closed and not session.owner.server.cut:
            session.owner.close()

    def _touch(self) -> None:
        now = self.timeline.now
        for session in [one for one in self.sessions if one.alive]:
            connection = session.owner
            passes = connection is not None and not connection.closed and not connection.hung_up
            passes = passes and not any(self.is_blocked(connection, way) for way in (Way.UP, Way.DOWN))
            if passes and session.client.is_awake() and not connection.server.cut and self.quorum:
                session.touched = now
            elif self.quorum and now > session.touched + session.timeout * (1 + self.timeline.between(0, TICK)):
                self.timeline.note("ensemble", f"session {session.number} expires")
                self.end_session(session)
        for server in self.servers:
            for connection in list(server.connections):
                self._notice_silence(connection)
        self.timeline.after(TOUCH_INTERVAL, self._touch)

    def _notice_silence(self, connection: Connection) -> None:
        if not (connection.mute or self.is_blocked(connection, Way.UP) or self.is_blocked(connection, Way.DOWN)):
            connection.silent_since = None
        elif connection.silent_since is None:
            connection.silent_since = self.timeline.now
        elif self.timeline.now - connection.silent_since > connection.client.patience:
            connection.client.drop(connection)

    # ---- what befalls servers

    def cut_off(self, number: int, *, deposed: bool, leaks: bool, election: float) -> None:
        """Cut a server off from the others; if it was their leader, they elect another one within these seconds."""
        server = self.servers[number]
        server.cut, server.deposed, server.leaks = True, deposed, leaks and not deposed
        if deposed:
            self.lose_quorum()
            self.timeline.after(self.timeline.between(0.25, 1.0) * election, self.restore_quorum)

    def reattach(self, number: int) -> None:
        """Let it find the others again: it hangs up on its clients, and catches up."""
        server = self.servers[number]
        server.cut = server.deposed = server.leaks = False
        server.waiting.clear()
        for connection in list(server.connections):
            connection.close()
        self._apply_later(server)

    def lose_quorum(self) -> None:
        """No leader: nothing is committed, nothing expires, and servers hang up on their clients."""
        self.quorum = False
        for server in self.servers:
            if not server.cut:
                for connection in list(server.connections):
                    connection.close()

    def restore_quorum(self) -> None:
        """A leader was elected: every session begins anew at its full timeout; what was under way is kept or lost."""
        self.quorum = True
        for session in self.sessions:
            session.touched = self.timeline.now
        stalled, self._stalled = self._stalled, []
        for propose in stalled:
            if self.timeline.chance(0.5):
                propose()


def _read(tree: model_tree.Tree, connection: Connection, request: actions.Request) -> Answer:
    path = request.path
    if isinstance(request, actions.Exists):
        connection.watches.add(path)
    if path not in tree:
        return Refused(refusal=Refusal.NO_NODE)
    if isinstance(request, actions.ListNames):
        return Names(names=model_tree.children(tree, path))
    if isinstance(request, actions.Get):
        if request.watch:
            connection.watches.add(path)
        return Content(data=tree[path].data, stat=tree[path].stat)
    return Applied()
