"""One kazoo client, which is one session, which is one candidacy.

Requests of the core go in; events for the core come out, through one callable that may be called from any thread and
must only enqueue.  Nothing here decides anything, and nothing here blocks the caller: no synchronous call of kazoo's is
used, and closing is bounded.

It owns the translation between the core's requests and events and kazoo's calls and states, and the end of what it has
started.  It must not know candidacies.  It does not promise that an answer comes: every request has its deadline in the
core.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import Any

from kazoo import exceptions
from kazoo.protocol.states import EventType, KazooState, KeeperState, WatchedEvent, ZnodeStat

from zkleader.core.actions import (
    Check,
    Create,
    Delete,
    Exists,
    Get,
    ListNames,
    Multi,
    Request,
    SetData,
    Sync,
)
from zkleader.core.events import (
    Answer,
    Answered,
    Applied,
    Connected,
    Content,
    Created,
    Event,
    Names,
    Refusal,
    Refused,
    SessionLost,
    Suspended,
    Touched,
    Unanswered,
)
from zkleader.core.lease import Timing
from zkleader.core.records import Stat
from zkleader.zk import hosts
from zkleader.zk.connecting import BUSY, UNANSWERED, Connection
from zkleader.zk.hosts import Server
from zkleader.zk.resolver import Done, Resolver

_REFUSALS: tuple[tuple[type[Exception], Refusal], ...] = (
    (exceptions.NoNodeError, Refusal.NO_NODE),
    (exceptions.NodeExistsError, Refusal.NODE_EXISTS),
    (exceptions.BadVersionError, Refusal.BAD_VERSION),
    (exceptions.NoAuthError, Refusal.NO_AUTH),
)
_CONSEQUENCES = (exceptions.RolledBackError, exceptions.RuntimeInconsistency)
"""What the other operations of a multi get when one fails."""


class Session:
    """A connection to ZooKeeper from its start to its end; it is never started twice."""

    def __init__(self, servers: tuple[Server, ...], timing: Timing, deliver: Callable[[Event], None]) -> None:
        """Prepare a session.

        ``servers`` have names or addresses; ``deliver`` takes events in any thread.
        """
        self._names = servers
        self._resolver = Resolver(servers)
        self._deliver = deliver
        self._connection = Connection(timing, self._on_state)
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
        if not self._client.connected:
            # kazoo would keep it and send it some time later.  (Should the connection break between this line and
            # the next it does; the deadline of the request then cuts that connection, and compare-and-set, or the
            # guid in a name, tells what became of it.)
            self._deliver(Answered(number=number, answer=Unanswered()))
            return
        self._submit(request).rawlink(functools.partial(self._on_result, number, request))

    def drop_connection(self) -> None:
        """Cut the connection, so that another server is tried."""
        self._connection.drop()

    def close(self) -> bool:
        """Close the session; return whether that was done in order (else it will expire)."""
        self._is_closing = True
        self._resolver.stop()
        return self._connection.close()

    def _submit(self, request: Request) -> Any:
        client = self._client
        if isinstance(request, Create):
            return client.create_async(
                request.path, request.data, ephemeral=request.ephemeral, sequence=request.sequence
            )
        if isinstance(request, Delete):
            return client.delete_async(request.path)
        if isinstance(request, ListNames):
            return client.get_children_async(request.path)
        if isinstance(request, Get):
            return client.get_async(request.path, watch=self._on_watch if request.watch else None)
        if isinstance(request, Exists):
            return client.exists_async(request.path, watch=self._on_watch)
        if isinstance(request, Sync):
            return client.sync_async(request.path)
        transaction = client.transaction()
        for operation in request.operations:
            if isinstance(operation, Create):
                transaction.create(operation.path, operation.data)
            elif isinstance(operation, Check):
                transaction.check(operation.path, operation.version)
            elif isinstance(operation, SetData):
                transaction.set_data(operation.path, operation.data, operation.version)
            else:
                transaction.delete(operation.path)
        return transaction.commit_async()

    def _on_result(self, number: int, request: Request, result: Any) -> None:
        if result.exception is not None and _is_no_answer(result.exception):
            self.drop_connection()  # reconnecting is how the core asks again, and another server may do better
        self._deliver(Answered(number=number, answer=_answer_of(request, result)))

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
        return bool(self._client.connected)

    def _on_resolved(self, addresses: tuple[Server, ...], _trouble: str) -> None:
        if addresses:  # else keep the last good ones
            self._connection.go_to(addresses)


def _answer_of(request: Request, result: Any) -> Answer:
    error = result.exception
    if error is not None:
        return _refusal_of(error, 0)
    value = result.value
    if isinstance(request, Multi):
        errors = [(index, part) for index, part in enumerate(value) if isinstance(part, Exception)]
        causes = [(index, part) for index, part in errors if not isinstance(part, _CONSEQUENCES)]
        if errors:
            index, part = (causes or errors)[0]  # consequences without a cause: not applied either
            return _refusal_of(part, index)
        return Applied(stats=tuple(_stat_of(part) if isinstance(part, ZnodeStat) else None for part in value))
    if isinstance(request, Create):
        return Created(path=value)
    if isinstance(request, ListNames):
        return Names(names=tuple(value))
    if isinstance(request, Get):
        data, stat = value
        return Content(data=data or b"", stat=_stat_of(stat))
    if isinstance(request, Exists) and value is None:
        return Refused(refusal=Refusal.NO_NODE)
    return Applied()


def _is_no_answer(error: Exception) -> bool:
    """Whether this comes from a server too busy to answer, or from kazoo, which could not make sense of the answer."""
    return isinstance(error, BUSY) or not isinstance(error, exceptions.ZookeeperError)


def _refusal_of(error: Exception, index: int) -> Answer:
    if isinstance(error, UNANSWERED) or _is_no_answer(error):
        return Unanswered()
    for kind, refusal in _REFUSALS:
        if isinstance(error, kind):
            return Refused(refusal=refusal, index=index)
    # kazoo names ZooKeeper's error codes by classes: NoChildrenForEphemeralsError.
    words = re.sub(r"(?<!^)(?=[A-Z])", " ", type(error).__name__.removesuffix("Error")).lower()
    return Refused(refusal=Refusal.OTHER, index=index, text=words)


def _stat_of(stat: ZnodeStat) -> Stat:
    return Stat(czxid=stat.czxid, mzxid=stat.mzxid, version=stat.version, mtime=stat.mtime, ctime=stat.ctime)
