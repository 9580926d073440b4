"""A TCP proxy between one candidate and the server, that can swallow every byte.

It owns the cut, and nothing of ZooKeeper's protocol.  It does not imitate all of a broken network: this host's kernel
still accepts and acknowledges.
"""

from __future__ import annotations

import contextlib
import socket
import struct

from zkleader.demo.loop import Loop

_CHUNK = 65536
_CONNECT_TIMEOUT = 1.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with no time to linger: close() says RST and not FIN, as for a connection that has lost bytes."""


class Proxy:
    """Forwards what connects to ``hosts`` to a loopback port, unless it is cut."""

    def __init__(self, loop: Loop, port: int) -> None:
        self._loop = loop
        self._port = port
        self._is_cut = False
        self._peers: dict[socket.socket, socket.socket] = {}
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._listener.setblocking(False)
        loop.register(self._listener, self._accept)

    @property
    def hosts(self) -> str:
        """Where the candidate connects to."""
        return f"127.0.0.1:{self._listener.getsockname()[1]}"

    def cut(self) -> None:
        """Swallow every byte from now on, both ways; connections stay open, new ones are accepted."""
        self._is_cut = True

    def heal(self) -> None:
        """Let bytes pass again.  Connections are reset: they may have lost some."""
        if self._is_cut:
            self._is_cut = False
            for held in list(self._peers):
                self._close(held)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            candidate, _ = self._listener.accept()
            try:
                server = socket.create_connection(("127.0.0.1", self._port), timeout=_CONNECT_TIMEOUT)
            except OSError:
                candidate.close()
                return
            for source, sink in ((candidate, server), (server, candidate)):
                source.setblocking(False)
                self._peers[source] = sink
                self._loop.register(source, lambda source=source: self._forward(source))  # type: ignore[misc]

    def _forward(self, source: socket.socket) -> None:
        try:
            content = source.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            content = b""
        if content and self._is_cut:
            return
        with contextlib.suppress(OSError):
            if content and self._peers[source].send(content) == len(content):
                return
        # The end, or a receiver that does not take even the few bytes a second that this is.
        self._close(source)

    def _close(self, source: socket.socket) -> None:
        sink = self._peers.get(source)
        for held in (source, sink):
            if held is not None and self._peers.pop(held, None) is not None:
                self._loop.unregister(held)
                with contextlib.suppress(OSError):
                    held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
                held.close()
