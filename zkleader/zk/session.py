"""One kazoo client, which is one session, which is one candidacy.

Requests of the core go in; events for the core come out, through one callable that may be called from any thread and
must only enqueue.  Nothing here decides anything, and nothing here blocks the caller: no synchronous call of kazoo's is
used, and closing is bounded.

What kazoo does not do is done in a handler of ours: connecting is capped for each server, a server that is silent in
the handshake is given up, and once the session is lost no connection is opened any more, so that nothing which kazoo
still has in its queue can be sent in another session.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.loggingsupport import BLATHER
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
from zkleader.zk.hosts import Server

_JITTER = 0.4
"""kazoo lengthens a delay by up to this fraction, after capping it."""

_MOST_PATIENT = 4
"""Each round through all servers that reached none doubles the cap, so often at the most: a slow network must not be
locked out by a cap that is meant for black holes."""

_STOP_PATIENCE = 1.0
"""Seconds for closing the session in order.  It takes milliseconds, or for ever behind a black hole."""

_REFUSALS: tuple[tuple[type[Exception], Refusal], ...] = (
    (exceptions.NoNodeError, Refusal.NO_NODE),
    (exceptions.NodeExistsError, Refusal.NODE_EXISTS),
    (exceptions.BadVersionError, Refusal.BAD_VERSION),
    (exceptions.NoAuthError, Refusal.NO_AUTH),
)
_UNANSWERED = (
    exceptions.ConnectionLoss,
    exceptions.ConnectionClosedError,
    exceptions.SessionExpiredError,
    exceptions.OperationTimeoutError,
    exceptions.AuthFailedError,
    exceptions.SessionMovedError,  # it reached a server that we have left meanwhile
)
_TROUBLES = ("Connection dropped", "Connection time-out", "AUTH_FAILED")
"""How the records begin in which kazoo says why it is not connected."""

_CONSEQUENCES = (exceptions.RolledBackError, exceptions.RuntimeInconsistency)
"""What the other operations of a multi get when one fails."""


class _Handler(SequentialThreadingHandler):  # type: ignore[misc] # kazoo has no types
    """kazoo's threads, with limits on connecting."""

    def __init__(self, timing: Timing, servers: int) -> None:
        super().__init__()
        self._timing = timing
        self._servers = servers
        self._attempts = 0
        self._is_connecting = True
        self._is_sealed = False
        self._socket: socket.socket | None = None
        self.peer = ""
        """The server that was connected to last."""

    def _cap(self) -> float:
        rounds = min(self._attempts // self._servers, _MOST_PATIENT)
        return float(min(self._timing.connect_cap * 2**rounds, self._timing.request_timeout))

    def connected(self) -> None:
        """Take note that the handshake is over (in the connection thread)."""
        self._attempts = 0
        self._is_connecting = False

    def seal(self) -> None:
        """Open no connection any more.

        Called in the connection thread, which is the one that opens connections: so the session that was lost cannot
        be followed by another, in which kazoo would send what it has queued for this one.
        """
        self._is_sealed = True

    def create_connection(self, *args: Any, **kwargs: Any) -> socket.socket:
        """Open a connection within the cap, and keep it so that it can be shut down."""
        if self._is_sealed:
            raise OSError("the session is over")
        self._is_connecting = True
        kwargs["timeout"] = self._cap()
        self._attempts += 1
        host, port = kwargs["address"]
        self.peer = str(Server(host=host, port=port))
        made: socket.socket = super().create_connection(*args, **kwargs)
        self._socket = made
        return made

    def select(self, *args: Any, **kwargs: Any) -> Any:
        """Wait as kazoo wants to, but not longer than the cap for one server's answer.

        kazoo waits on its one socket alone when it expects the rest of a packet or the answer of the handshake, and
        would then wait for most of the session timeout.
        """
        rlist, wlist, xlist, timeout = (*args, None)[:4]
        if len(rlist) + len(wlist) == 1:
            cap = self._cap() if self._is_connecting else self._timing.request_timeout
            timeout = cap if timeout is None else min(timeout, cap)
        return super().select(rlist, wlist, xlist, timeout, **kwargs)

    def shut_down(self) -> None:
        """Cut the present connection: kazoo notices within milliseconds and goes on to the next server."""
        # kazoo may close the socket at this very moment; then there is nothing to cut, and that is no error.
        with contextlib.suppress(OSError, AttributeError):
            self._socket.shutdown(socket.SHUT_RDWR)  # type: ignore[union-attr]


class _Listener(logging.Handler):
    """Reads in kazoo's log what it tells nowhere else: the session timeout granted, and why connecting fails."""

    def __init__(self) -> None:
        super().__init__(BLATHER)
        self.granted: float | None = None
        self.trouble = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record."""
        if isinstance(record.args, tuple) and str(record.msg).startswith("Session created") and len(record.args) > 2:
            granted = record.args[2]
            self.granted = granted / 1000 if isinstance(granted, int) else None
        elif record.levelno >= logging.WARNING and str(record.msg).startswith(_TROUBLES):
            self.trouble = record.getMessage().removeprefix("Connection dropped: ")


def _logger(listener: _Listener) -> logging.Logger:
    # Not registered, and without a way to standard error: kazoo's records are for the listener alone.
    logger = logging.Logger("kazoo", BLATHER)  # noqa: LOG001
    logger.addHandler(listener)
    # Its threads log through the registered one, tracebacks included, which reach no user.
    registered = logging.getLogger("kazoo")
    registered.propagate = False
    registered.addHandler(logging.NullHandler())
    return logger


class Session:
    """A connection to ZooKeeper from its start to its end; it is never started twice."""

    def __init__(self, servers: tuple[Server, ...], timing: Timing, deliver: Callable[[Event], None]) -> None:
        """Prepare a session.

        ``servers`` have names or addresses; ``deliver`` takes events in any thread.
        """
        self._names = servers
        self._deliver = deliver
        self._listener = _Listener()
        self._handler = _Handler(timing, len(servers))
        delay = timing.reconnect_delay / (1 + _JITTER)
        self._client = KazooClient(
            hosts=",".join(map(str, servers)),
            timeout=timing.lease,
            handler=self._handler,
            logger=_logger(self._listener),
            connection_retry={
                "max_tries": -1,
                "delay": min(0.1, delay),
                "backoff": 1.5,
                "max_jitter": _JITTER,
                "max_delay": delay,
            },
        )
        self._client.add_listener(self._on_state)
        self._is_closing = False

    @property
    def trouble(self) -> str:
        """Why connecting failed last, in kazoo's words; empty if it did not."""
        return self._listener.trouble

    @property
    def session_id(self) -> int | None:
        """The id of the session, if there is one."""
        identity = self._client.client_id
        return identity[0] if identity is not None else None

    def start(self, addresses: tuple[Server, ...]) -> None:
        """Begin to connect, to addresses that were resolved already."""
        self._client.set_hosts(",".join(map(str, addresses)))
        self._client.start_async()

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
        self._handler.shut_down()

    def close(self) -> bool:
        """Close the session; return whether that was done in order (else it will expire)."""
        self._is_closing = True
        stopper = threading.Thread(target=self._stop, daemon=True, name="close")
        stopper.start()
        stopper.join(_STOP_PATIENCE)
        if not stopper.is_alive():
            return True
        self._handler.shut_down()
        stopper.join(_STOP_PATIENCE / 4)
        return False

    def _stop(self) -> None:
        with contextlib.suppress(Exception):  # whatever it is, the process is about to end
            self._client.stop()

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
        self._deliver(Answered(number=number, answer=_answer_of(request, result)))

    def _on_watch(self, event: WatchedEvent) -> None:
        if event.path is not None:  # None: kazoo drops its watches on a disconnect, which we know
            self._deliver(Touched(path=event.path, is_deleted=event.type == EventType.DELETED))

    def _on_state(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._handler.connected()
            self._deliver(Connected(granted=self._listener.granted, server=self._handler.peer))
        elif state == KazooState.SUSPENDED:
            self._deliver(Suspended())
            self._resolve_again()
        else:
            self._handler.seal()
            if not self._is_closing:
                failed = self._client.client_state == KeeperState.AUTH_FAILED
                self._deliver(SessionLost(reason="authentication_failed" if failed else "session_expired"))

    def _resolve_again(self) -> None:
        if not hosts.numeric(self._names):
            hosts.resolve(self._names, self._on_resolved)

    def _on_resolved(self, addresses: tuple[Server, ...], _trouble: str) -> None:
        if addresses:  # else keep the last good ones
            self._client.set_hosts(",".join(map(str, addresses)))


def _answer_of(request: Request, result: Any) -> Answer:
    error = result.exception
    if error is not None:
        return _refusal_of(error, 0)
    value = result.value
    if isinstance(request, Multi):
        for index, part in enumerate(value):
            if isinstance(part, Exception) and not isinstance(part, _CONSEQUENCES):
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


def _refusal_of(error: Exception, index: int) -> Answer:
    if isinstance(error, _UNANSWERED):
        return Unanswered()
    for kind, refusal in _REFUSALS:
        if isinstance(error, kind):
            return Refused(refusal=refusal, index=index)
    return Refused(refusal=Refusal.OTHER, index=index, text=type(error).__name__)


def _stat_of(stat: ZnodeStat) -> Stat:
    return Stat(czxid=stat.czxid, mzxid=stat.mzxid, version=stat.version, mtime=stat.mtime)
