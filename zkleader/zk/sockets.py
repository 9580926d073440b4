"""The sockets of one kazoo client and, because kazoo has them in one place, where its callbacks are called.

It owns how a connection is opened, within limits that kazoo does not have and secured if it is to be, and that it can
be cut.  It must not know sessions, nor why somebody wants to cut.  It does not promise that a server which let us
connect answers.

What kazoo does not do: connecting is capped for each server, a server that is silent in the handshake is given up, and
once sealed no connection is opened any more, so that nothing which kazoo still has in its queue can be sent in another
session.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Any

from kazoo.handlers.threading import SequentialThreadingHandler

from zkleader.core.lease import Timing
from zkleader.zk import tls
from zkleader.zk.access import Tls
from zkleader.zk.files import AccessProblem
from zkleader.zk.hosts import Server

_MOST_PATIENT = 4
"""Each round through all servers that reached none doubles the cap, so often at the most: a slow network must not be
locked out by a cap that is meant for black holes."""


class _AtOnce:
    """In place of a queue of kazoo's, and the thread behind it: what is put is called, there and then.

    That is in the connection thread, in the order in which the server has sent it.  All callbacks of ours only enqueue;
    a thread for answers and another for watches would be two more to wake for each, on the way of every hand-over.
    """

    def put(self, call: Callable[[], object]) -> None:
        """Call it; what it raises ends no thread of kazoo's, as it would not in a worker."""
        with contextlib.suppress(Exception):
            call()


class Sockets(SequentialThreadingHandler):  # type: ignore[misc] # kazoo has no types
    """One client's."""

    def __init__(self, timing: Timing, wanted: Tls | None) -> None:
        super().__init__()
        self.completion_queue = self.callback_queue = _AtOnce()
        self._timing = timing
        self._tls = wanted
        self._attempts = 0
        self._cap = 0.0
        self.is_connecting = True
        self.is_sealed = False
        self._socket: socket.socket | None = None
        self.servers: dict[str, Server] = {}
        """The addresses that one round goes through, as kazoo is given them."""
        self.peer: Server | None = None
        """The server that was tried last: the one that we are connected to, if we are."""

    @property
    def running(self) -> bool:
        """Always: else kazoo would call answers' callbacks itself, and not guard itself from what they raise."""
        return True

    def start(self) -> None:
        """Start nothing: there is nothing in the queues, so no thread is needed behind them."""

    def stop(self) -> None:
        """Stop nothing."""

    def connected(self) -> None:
        """Take note that handshake and authentication are over (in the connection thread)."""
        self._attempts = 0
        self.is_connecting = False

    def seal(self) -> None:
        """Open no connection any more.

        When a session is lost this is called in the connection thread, which is the one that opens connections: so it
        cannot be followed by another, in which kazoo would send what it has queued for this one.
        """
        self.is_sealed = True

    def create_connection(self, *args: Any, **kwargs: Any) -> socket.socket:
        """Open a connection within the cap, and keep it so that it can be shut down."""
        if self.is_sealed:
            raise OSError(errno.ECANCELED, "the session is over")
        self.is_connecting = True
        rounds = min(self._attempts // max(1, len(self.servers)), _MOST_PATIENT)
        self._cap = min(self._timing.connect_cap * 2**rounds, self._timing.most_patient_connect)
        self._attempts += 1
        host, port = kwargs["address"]
        address = Server(host=host, port=port)
        self.peer = self.servers.get(str(address), address)
        try:
            made: socket.socket = super().create_connection(*args, **kwargs | {"timeout": self._cap})
        except TimeoutError as error:
            # Of the system's own kazoo tells the number's text, of a time-out on our side "None".
            reason = f"{self.peer} does not accept a connection within {self._cap:g} s"
            raise TimeoutError(errno.ETIMEDOUT, reason) from error
        self._keep(made)
        return made if self._tls is None else self._secured(made, self._tls, self.peer)

    def _keep(self, made: socket.socket) -> None:
        self._socket = made
        if self.is_sealed:  # the race: sealed, and what was there shut down, while this one was being made
            self.shut_down()

    def _secured(self, made: socket.socket, wanted: Tls, peer: Server) -> socket.socket:
        """Return the connection with its handshake done, which may take as long again as connecting may."""
        try:
            secured = tls.secure(made, wanted, peer)
        except (AccessProblem, OSError) as error:  # a file may just be being replaced: the next attempt reads it again
            made.close()
            raise ConnectionAbortedError(errno.ECONNABORTED, str(error)) from error
        self._keep(secured)  # before the handshake, so that it can be cut meanwhile
        try:
            tls.shake_hands(secured, self._cap)
        except OSError:
            secured.close()
            raise
        return secured

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
        # What OpenSSL has taken from the socket already wakes nobody; kazoo's loop does not ask for it.
        if waiting := [one for one in rlist if isinstance(one, ssl.SSLSocket) and one.pending()]:
            return waiting, [], []
        if len(rlist) + len(wlist) == 1:
            cap = self._cap if self.is_connecting else self._timing.request_timeout
            timeout = cap if timeout is None else min(timeout, cap)
        return super().select(rlist, wlist, xlist, timeout, **kwargs)

    def shut_down(self) -> None:
        """Cut the present connection: kazoo notices within milliseconds and goes on to the next server."""
        # kazoo may close the socket at this very moment; then there is nothing to cut, and that is no error.
        with contextlib.suppress(OSError, TypeError):
            # Not the method of a secured socket's own class: that would go on in plain text with what it has received.
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)  # type: ignore[arg-type]
