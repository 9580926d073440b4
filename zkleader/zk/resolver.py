"""The addresses behind the names of servers.

It owns the looking up, in a thread of its own, because nothing limits the time that it takes; kazoo, which would do it
in the thread that connects, is given addresses only.  It must not know what they are used for, and needs no kazoo.  It
does not promise that an address is ever found, nor any while the name service hangs for the first name.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable

from zkleader.zk.hosts import Server

_RETRY_DELAY = 0.5
"""Seconds between attempts to resolve names of which none is found."""

_REFRESH_DELAY = 5.0
"""Seconds between look-ups while the addresses found are of no use: servers that move get other ones."""

Done = Callable[[tuple[Server, ...], str], None]
"""Takes the addresses known, in order (those of a name that is not found now are its last ones; perhaps none at all),
and what could not be resolved; it is called in the resolver's thread and must only enqueue."""


class Resolver:
    """Looks up the names of one session's servers, until it is stopped; at most one look-up is under way."""

    def __init__(self, servers: tuple[Server, ...]) -> None:
        self._servers = servers
        self._found: dict[Server, tuple[Server, ...]] = {}
        self._is_stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def look_up(self, done: Done, is_enough: Callable[[], bool] = lambda: True) -> None:
        """Look all names up and tell ``done``, again and again until a name is found and ``is_enough`` says so.

        While a look-up is under way this does nothing: what that one finds is news enough, and ``done`` is not told.
        (The race: one that is just ending is taken for under way, and the addresses stay what they were until the next
        time that somebody asks.)
        """
        if self._is_stopped.is_set() or (self._thread is not None and self._thread.is_alive()):
            return
        self._thread = threading.Thread(target=self._work, args=(done, is_enough), daemon=True, name="resolve")
        self._thread.start()

    def stop(self) -> None:
        """Tell nobody anything any more; the thread ends as soon as the name service lets it."""
        self._is_stopped.set()

    def _work(self, done: Done, is_enough: Callable[[], bool]) -> None:
        is_found = False
        while not ((is_found and is_enough()) or self._is_stopped.is_set()):
            is_found, trouble = self._look_up_all()
            # The race: stopped after this line it is told all the same, like one that was told just before.
            if not self._is_stopped.is_set():
                # In order, without repetition: of several names for one address the first counts.
                addresses: dict[str, Server] = {}
                for server in self._servers:
                    for found in self._found.get(server, ()):
                        addresses.setdefault(str(found), found)
                done(tuple(addresses.values()), trouble)
                if not (is_found and is_enough()):
                    self._is_stopped.wait(_REFRESH_DELAY if is_found else _RETRY_DELAY)

    def _look_up_all(self) -> tuple[bool, str]:
        """Return whether any name was found, and what could not be resolved."""
        is_found, trouble = False, ""
        for server in self._servers:
            if self._is_stopped.is_set():
                break
            try:
                found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
            except (OSError, ValueError) as error:  # ValueError: what the codec for names refuses
                trouble = f"cannot resolve {server.host}: {error.strerror if isinstance(error, OSError) else error}"
            else:
                is_found = True
                self._found[server] = tuple(
                    Server(host=str(address[0]), port=server.port, name=server.host) for *_, address in found
                )
        return is_found, trouble
