"""One kazoo client of ours: how it connects, with limits that kazoo does not have, and how it is ended.

It owns the client, kazoo's threads, the sockets, the reconnecting, and kazoo's log, which says some things that kazoo
tells nowhere else.  It must not know requests, candidacies, or whether the client is the supervisor's or that of the
program that releases.  It does not promise that a connection comes about, nor that one that stands is alive: a server
that takes requests and does not answer them is noticed by whoever has sent them, and dropped at their word.

What kazoo does not do: connecting is capped for each server, a server that is silent in the handshake is given up, and
once sealed no connection is opened any more, so that nothing which kazoo still has in its queue can be sent in another
session.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.loggingsupport import BLATHER
from kazoo.protocol.states import KazooState, KeeperState

from zkleader.core.lease import Timing
from zkleader.zk.hosts import Server

UNANSWERED = (
    exceptions.ConnectionLoss,
    exceptions.ConnectionClosedError,
    exceptions.SessionExpiredError,
    exceptions.OperationTimeoutError,
    exceptions.AuthFailedError,
    exceptions.SessionMovedError,  # it reached a server that we have left meanwhile
)
"""What kazoo raises for a request of which nobody knows whether it was applied."""

BUSY = (exceptions.ThrottledOpError, exceptions.RequestTimeoutError)
"""What a server says that has too much to do; asked again at once it would have no less."""

PatienceError = SequentialThreadingHandler.timeout_exception
"""What kazoo raises when an answer has not come in the time that its ``get`` was given."""

_JITTER = 0.4
"""kazoo lengthens a delay by up to this fraction, after capping it."""

_MOST_PATIENT = 4
"""Each round through all servers that reached none doubles the cap, so often at the most: a slow network must not be
locked out by a cap that is meant for black holes."""

_STOP_PATIENCE = 1.0
"""Seconds for closing the session in order.  It takes milliseconds, or for ever behind a black hole."""

_TROUBLES = ("Connection dropped", "Connection time-out", "AUTH_FAILED")
"""How the records begin in which kazoo says why it is not connected."""

# Its threads log through the registered logger, tracebacks included, which reach no user.
_registered = logging.getLogger("kazoo")
_registered.propagate = False
_registered.addHandler(logging.NullHandler())


class _Handler(SequentialThreadingHandler):  # type: ignore[misc] # kazoo has no types
    """kazoo's threads, with limits on connecting."""

    def __init__(self, timing: Timing) -> None:
        super().__init__()
        self._timing = timing
        self._attempts = 0
        self._cap = 0.0
        self._is_connecting = True
        self._is_sealed = False
        self._socket: socket.socket | None = None
        self.servers = 1
        """How many addresses one round goes through."""
        self.peer = ""
        """The server that was tried last: the one that we are connected to, if we are."""

    def connected(self) -> None:
        """Take note that the handshake is over (in the connection thread)."""
        self._attempts = 0
        self._is_connecting = False

    def seal(self) -> None:
        """Open no connection any more.

        When a session is lost this is called in the connection thread, which is the one that opens connections: so it
        cannot be followed by another, in which kazoo would send what it has queued for this one.
        """
        self._is_sealed = True

    def create_connection(self, *args: Any, **kwargs: Any) -> socket.socket:
        """Open a connection within the cap, and keep it so that it can be shut down."""
        if self._is_sealed:
            raise OSError(errno.ECANCELED, "the session is over")
        self._is_connecting = True
        rounds = min(self._attempts // self.servers, _MOST_PATIENT)
        self._cap = min(self._timing.connect_cap * 2**rounds, self._timing.request_timeout)
        self._attempts += 1
        host, port = kwargs["address"]
        self.peer = str(Server(host=host, port=port))
        try:
            made: socket.socket = super().create_connection(*args, **kwargs | {"timeout": self._cap})
        except TimeoutError as error:
            # Of the system's own kazoo tells the number's text, of a time-out on our side "None".
            reason = f"{self.peer} does not accept a connection within {self._cap:g} s"
            raise TimeoutError(errno.ETIMEDOUT, reason) from error
        self._socket = made
        return made

    def spawn(self, func: Callable[..., None], *args: Any, **kwargs: Any) -> threading.Thread:
        """Start a thread as kazoo does, without its traceback: what ends it is in kazoo's log, and as a state ours."""

        def run() -> None:
            with contextlib.suppress(Exception):
                func(*args, **kwargs)

        thread: threading.Thread = super().spawn(run)
        return thread

    def select(self, *args: Any, **kwargs: Any) -> Any:
        """Wait as kazoo wants to, but not longer than the cap for one server's answer.

        kazoo waits on its one socket alone when it expects the rest of a packet or the answer of the handshake, and
        would then wait for most of the session timeout.
        """
        rlist, wlist, xlist, timeout = (*args, None)[:4]
        if len(rlist) + len(wlist) == 1:
            cap = self._cap if self._is_connecting else self._timing.request_timeout
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
            trouble = record.getMessage().removeprefix("Connection dropped: ")
            self.trouble = trouble.removeprefix("socket connection error: ")


class Connection:
    """A kazoo client from its start to its end; it is never started twice."""

    def __init__(self, timing: Timing, on_state: Callable[[str], None] = lambda _state: None) -> None:
        """Prepare a client; ``on_state`` is told kazoo's states in the connection thread and must only enqueue."""
        self._on_state = on_state
        self._listener = _Listener()
        self._handler = _Handler(timing)
        # Not registered, and without a way to standard error: kazoo's records are for the listener alone.
        logger = logging.Logger("kazoo", BLATHER)  # noqa: LOG001
        logger.addHandler(self._listener)
        delay = timing.reconnect_delay / (1 + _JITTER)
        # Its addresses come with the start.
        self.client = KazooClient(
            timeout=timing.lease,
            handler=self._handler,
            logger=logger,
            connection_retry={
                "max_tries": -1,
                "delay": min(0.1, delay),
                "backoff": 1.5,
                "max_jitter": _JITTER,
                "max_delay": delay,
            },
        )
        self._is_closing = False
        self._has_failed = False
        self.client.add_listener(self._note_state)
        self._is_connected = threading.Event()  # kazoo's own, once it is started

    @property
    def trouble(self) -> str:
        """Why connecting failed last, in kazoo's words; empty if it did not."""
        return self._listener.trouble

    @property
    def granted(self) -> float | None:
        """The session timeout granted, in seconds, if there is one."""
        return self._listener.granted

    @property
    def peer(self) -> str:
        """The server that was tried last, which is the one that we are connected to, if we are; empty if none was."""
        return self._handler.peer

    def start(self, addresses: tuple[Server, ...]) -> None:
        """Begin to connect."""
        self.go_to(addresses)
        self._is_connected = self.client.start_async()

    def go_to(self, addresses: tuple[Server, ...]) -> None:
        """Take these addresses from the next round on."""
        self._handler.servers = len(addresses)
        self.client.set_hosts(",".join(map(str, addresses)))

    def wait(self, seconds: float) -> bool:
        """Wait until connected, at most so long; return whether we are."""
        return self._is_connected.wait(seconds)

    def drop(self) -> None:
        """Cut the connection, so that another server is tried."""
        self._handler.shut_down()

    def seal(self) -> None:
        """Open no connection any more; only in ``on_state``."""
        self._handler.seal()

    def close(self) -> bool:
        """Close the session if there is one; return whether that was done in order (else it will expire).

        kazoo's part of it may take much longer than ours behind a black hole; then it ends in a thread that is left.
        """
        self._is_closing = True
        had_none = self.granted is None
        if had_none:
            # Nobody waits for this attempt any more, nor for another.
            self._handler.seal()
            self._handler.shut_down()
        stopper = threading.Thread(target=self._stop, daemon=True, name="close")
        stopper.start()
        stopper.join(_STOP_PATIENCE)
        if not stopper.is_alive():
            return had_none or not self._has_failed
        self._handler.shut_down()
        stopper.join(_STOP_PATIENCE / 4)
        return had_none

    def _stop(self) -> None:
        for end in (self.client.stop, self.client.close):  # the latter for two descriptors
            with contextlib.suppress(Exception):  # whatever it is, nobody can mend it
                end()

    def _note_state(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            self._handler.connected()
        elif self.client.client_state == KeeperState.CLOSED and not self._is_closing:
            self._has_failed = True  # its thread has met an error of kazoo's own; nobody tells the server any more
        self._on_state(state)
