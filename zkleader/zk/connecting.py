"""One kazoo client of ours: how it connects and authenticates, and how it is ended.

It owns the client, its reconnecting, and kazoo's log, which says some things that kazoo tells nowhere else.  It must
not know requests, candidacies, or whether the client is the supervisor's or that of the program that releases.  It does
not promise that a connection comes about, nor that one that stands is alive: a server that takes requests and does not
answer them is noticed by whoever has sent them, and dropped at their word.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable

from kazoo import exceptions
from kazoo.client import KazooClient
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.loggingsupport import BLATHER
from kazoo.protocol.states import KazooState, KeeperState
from kazoo.security import ACL, Id

from zkleader.core.lease import Timing
from zkleader.zk import tls
from zkleader.zk.access import Access
from zkleader.zk.authenticating import AuthenticatedLink
from zkleader.zk.credentials import DIGEST, SASL
from zkleader.zk.hosts import Server
from zkleader.zk.sockets import Sockets

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

_STOP_PATIENCE = 1.0
"""Seconds for closing the session in order.  It takes milliseconds, or for ever behind a black hole."""

_PROBE_PATIENCE = 0.5
"""Seconds for finding out whether a server that has hung up would not have, spoken to by TLS."""

_DROPPED = "Connection dropped: "
_TIME_OUT = "Connection time-out: "
_REFUSED = "AUTH_FAILED closing: "
_TROUBLES = (_DROPPED, _TIME_OUT, _REFUSED)
"""How the records begin in which kazoo says why it is not connected."""

_HUNG_UP = (f"{_DROPPED}socket connection broken", f"{_DROPPED}socket connection error: Connection reset")

_nowhere = logging.NullHandler()


def silence_kazoo() -> None:
    """Let nothing that kazoo logs reach standard error: its threads do through the registered logger, with tracebacks.

    For programs of ours.  One that uses us as a library may use kazoo as well, and decides for itself.
    """
    registered = logging.getLogger("kazoo")
    registered.propagate = False
    registered.addHandler(_nowhere)


class _Listener(logging.Handler):
    """Reads in kazoo's log what it tells nowhere else: the session timeout granted, and why connecting fails."""

    def __init__(self, sockets: Sockets, *, is_secured: bool) -> None:
        super().__init__(BLATHER)
        self._sockets = sockets
        self._is_secured = is_secured
        self._speak_tls: dict[Server, bool] = {}
        self.granted: float | None = None
        self.trouble = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take a record (in the connection thread)."""
        message = str(record.msg)
        if isinstance(record.args, tuple) and message.startswith("Session created") and len(record.args) > 2:
            granted = record.args[2]
            self.granted = granted / 1000 if isinstance(granted, int) else None
        elif record.levelno >= logging.WARNING and message.startswith(_TROUBLES) and not self._sockets.is_sealed:
            self._take_trouble(record.getMessage())

    def _take_trouble(self, message: str) -> None:
        peer = self._sockets.peer
        reason = message.removeprefix(_DROPPED).removeprefix("socket connection error: ")
        if message.startswith(_REFUSED):
            reason = f"{peer} {message.removeprefix(_REFUSED) or f'refuses to authenticate by {DIGEST}'}"
        elif peer is not None and self._sockets.is_connecting and message.startswith((_TIME_OUT, *_HUNG_UP)):
            reason = f"{peer} lets us connect and does not answer"
            if message.startswith(_HUNG_UP) and self._speaks_tls(peer):
                reason = f"{peer} speaks TLS (see --tls)"
        self.trouble = reason

    def _speaks_tls(self, peer: Server) -> bool:
        """Ask a server, once, that has never let us in; one that hangs up lives, and answers quickly."""
        if self._is_secured or self.granted is not None:
            return False  # what is wrong was not wrong before, and whoever leads has no time for questions
        if peer not in self._speak_tls:
            self._speak_tls[peer] = tls.speaks_tls(peer, _PROBE_PATIENCE)
        return self._speak_tls[peer]


class Connection:
    """A kazoo client from its start to its end; it is never started twice."""

    def __init__(self, access: Access, timing: Timing, on_state: Callable[[str], None] = lambda _state: None) -> None:
        """Prepare a client; ``on_state`` is told kazoo's states in the connection thread and must only enqueue.

        CONNECTED it is told when authentication is over too.
        """
        self._on_state = on_state
        self._sockets = Sockets(timing, access.tls)
        self._listener = _Listener(self._sockets, is_secured=access.tls is not None)
        # Not registered, and without a way to standard error: kazoo's records are for the listener alone.
        logger = logging.Logger("kazoo", BLATHER)  # noqa: LOG001
        logger.addHandler(self._listener)
        delay = timing.reconnect_delay / (1 + _JITTER)
        # Its addresses come with the start.
        self.client = KazooClient(
            timeout=timing.lease,
            handler=self._sockets,
            logger=logger,
            connection_retry={
                "max_tries": -1,
                "delay": min(0.1, delay),
                "backoff": 1.5,
                "max_jitter": _JITTER,
                "max_delay": delay,
            },
            default_acl=[ACL(one.bits, Id(one.scheme, one.id)) for one in access.permissions],
            # Sent again with each connection.
            auth_data=[
                (one.scheme, f"{one.user}:{one.password}") for one in access.credentials if one.scheme == DIGEST
            ],
        )
        sasl = next(
            ({"username": one.user, "password": one.password} for one in access.credentials if one.scheme == SASL), None
        )
        AuthenticatedLink(self.client, sasl, self._note_ready)
        self._is_closing = False
        self._has_failed = False
        self.is_ready = False
        """Whether requests may be sent: we are connected, and have authenticated."""
        self._is_settled = threading.Event()
        self.client.add_listener(self._note_state)

    @property
    def trouble(self) -> str:
        """Why connecting failed last; empty if it did not."""
        return self._listener.trouble

    @property
    def granted(self) -> float | None:
        """The session timeout granted, in seconds, if there is one."""
        return self._listener.granted

    @property
    def peer(self) -> str:
        """The server that was tried last, which is the one that we are connected to, if we are; empty if none was."""
        return str(self._sockets.peer or "")

    def start(self, addresses: tuple[Server, ...]) -> None:
        """Begin to connect."""
        self.go_to(addresses)
        self.client.start_async()

    def go_to(self, addresses: tuple[Server, ...]) -> None:
        """Take these addresses from the next round on."""
        self._sockets.servers = {str(address): address for address in addresses}
        self.client.set_hosts(",".join(map(str, addresses)))

    def wait(self, seconds: float) -> bool:
        """Wait until requests may be sent, or never will be, at most so long; return whether they may."""
        self._is_settled.wait(seconds)
        return self.is_ready

    def drop(self) -> None:
        """Cut the connection, so that another server is tried."""
        self._sockets.shut_down()

    def note_down(self) -> None:
        """Take note, in kazoo's thread, that the connection is down; that kazoo tells it as well changes nothing."""
        if self.is_ready:
            self._note_state(KazooState.SUSPENDED)

    def seal(self) -> None:
        """Open no connection any more; only in ``on_state``."""
        self._sockets.seal()

    def close(self) -> bool:
        """Close the session if there is one; return whether that was done in order (else it will expire).

        kazoo's part of it may take much longer than ours behind a black hole; then it ends in a thread that is left.
        """
        self._is_closing = True
        had_none = self.granted is None
        if had_none:
            # Nobody waits for this attempt any more, nor for another.
            self._sockets.seal()
            self._sockets.shut_down()
        stopper = threading.Thread(target=self._stop, daemon=True, name="close")
        stopper.start()
        stopper.join(_STOP_PATIENCE)
        if not stopper.is_alive():
            return had_none or not self._has_failed
        self._sockets.shut_down()
        stopper.join(_STOP_PATIENCE / 4)
        return had_none

    def _stop(self) -> None:
        for end in (self.client.stop, self.client.close):  # the latter for two descriptors
            with contextlib.suppress(Exception):  # whatever it is, nobody can mend it
                end()

    def _note_ready(self) -> None:
        self._sockets.connected()
        self.is_ready = True
        self._is_settled.set()
        self._on_state(KazooState.CONNECTED)

    def _note_state(self, state: str) -> None:
        if state == KazooState.CONNECTED:
            return  # and nothing yet that may be asked for: not authenticated
        self.is_ready = False
        self._is_settled.clear()
        if self.client.client_state == KeeperState.CLOSED and not self._is_closing:
            self._has_failed = True  # its thread has met an error of kazoo's own; nobody tells the server any more
        if self._has_failed or self.client.client_state == KeeperState.AUTH_FAILED:
            self._is_settled.set()
        self._on_state(state)
