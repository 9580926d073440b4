"""One kazoo client, which is one session, which is one candidacy.

Requests of the core go in; events for the core come out, through one callable that may be called from any thread and
must only enqueue.  Nothing here decides anything, and nothing here blocks the caller: no synchronous call of kazoo's is
used, and closing is bounded.

It owns what kazoo's states and watches mean as events, and the end of what it has started; requests and answers are
``translation``'s.  It must not know candidacies.  It does not promise that an answer comes: every request has its
deadline in the core.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from kazoo.exceptions import ConnectionLoss
from kazoo.protocol.states import EventType, KazooState, KeeperState, WatchedEvent

from zkleader.core.actions import Request
from zkleader.core.events import Answered, Connected, Event, SessionLost, Suspended, Touched, Unanswered
from zkleader.core.lease import Timing
from zkleader.zk import hosts
from zkleader.zk.access import Access
from zkleader.zk.connecting import Connection
from zkleader.zk.hosts import Server
from zkleader.zk.resolver import Done, Resolver
from zkleader.zk.translation import answer_of, is_no_answer, submit


class Session:
    """A connection to ZooKeeper from its start to its end; it is never started twice."""

    def __init__(self, access: Access, timing: Timing, deliver: Callable[[Event], None]) -> None:
        """Prepare a session.

        ``deliver`` takes events in any thread.
        """
        self._names = access.hosts.servers
        self._resolver = Resolver(self._names)
        self._deliver = deliver
        self._connection = Connection(access, timing, self._on_state)
        self._client = self._connection.client
        self._is_started = False
        self._is_closing = False

    @property
    def trouble(self) -> str:
        """Why connecting failed last, in kazoo's words; empty if it did not."""
        return self._connection.trouble

    def look_up(self, done: Done) -> None:
        """Look up the addresses of our servers, for starting, until connected; nothing is told after closing."""
        self._resolver.look_up(done, self._has_connected)

    def start(self, addresses: tuple[Server, ...]) -> None:
        """Begin to connect, to addresses that were resolved already; begun, go on with these."""
        if self._is_started:
            self._connection.go_to(addresses)
        else:
            self._is_started = True
            self._connection.start(addresses)

    def submit(self, number: int, request: Request) -> None:
        """Send a request; its answer comes as an event."""
        if not self._connection.is_ready:
            # kazoo would keep it and send it some time later.  (Should the connection break between this line and
            # the next it does; the deadline of the request then cuts that connection, and compare-and-set, or the
            # guid in a name, tells what became of it.)
            self._deliver(Answered(number=number, answer=Unanswered()))
            return
        submit(self._client, request, self._on_watch).rawlink(functools.partial(self._on_result, number, request))

    def drop_connection(self) -> None:
        """Cut the connection, so that another server is tried."""
        self._connection.drop()

    def close(self) -> bool:
        """Close the session; return whether that was done in order (else it will expire)."""
        self._is_closing = True
        self._resolver.stop()
        return self._connection.close()

    def _on_result(self, number: int, request: Request, result: Any) -> None:
        if isinstance(result.exception, ConnectionLoss):
            # The race: kazoo gives up what was under way before it says that the connection is down.  Whoever hears
            # only of the first asks again, into a connection that is none; and with --on-disconnect acts too late.
            self._connection.note_down()
        if result.exception is not None and is_no_answer(result.exception):
            self.drop_connection()  # reconnecting is how the core asks again, and another server may do better
        self._deliver(Answered(number=number, answer=answer_of(request, result)))

    def _on_watch(self, event: WatchedEvent) -> None:
        if event.path is not None:  # None: kazoo drops its watches on a disconnect, which we know
            self._deliver(Touched(path=event.path, is_deleted=event.type == EventType.DELETED))

    def _on_state(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._deliver(Connected(granted=self._connection.granted, server=self._connection.peer))
        elif state == KazooState.SUSPENDED:
            self._deliver(Suspended())
            self._resolve_again()
        else:
            self._connection.seal()
            if not self._is_closing:
                failed = self._client.client_state == KeeperState.AUTH_FAILED
                self._deliver(SessionLost(reason="authentication_failed" if failed else "session_expired"))

    def _resolve_again(self) -> None:
        if not hosts.numeric(self._names):
            self._resolver.look_up(self._on_resolved, self._has_connected)

    def _has_connected(self) -> bool:
        return self._connection.is_ready

    def _on_resolved(self, addresses: tuple[Server, ...], _trouble: str) -> None:
        if addresses:  # else keep the last good ones
            self._connection.go_to(addresses)
