"""What other threads hand to the main loop, the one that waits for signals among them.

They only enqueue; the main loop alone takes out and acts, so that no state of ours needs a lock.  It owns the queue
and the socket that wakes the loop.  It must not know what an item means.  It does not promise to keep an order between
threads, only that of each.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections import deque

from zkleader.core.value import Value
from zkleader.sessions import AddressesKnown, FromSession

_SI_KERNEL = 0x80
"""The ``si_code`` of what the kernel itself sends."""


class SignalArrived(Value):
    """The process was sent a signal; ``by_terminal``: by the kernel, as a terminal sends one to a whole group."""

    signal: int
    by_terminal: bool = False


Item = SignalArrived | AddressesKnown | FromSession


class Inbox:
    """A queue that wakes a ``poll``."""

    def __init__(self) -> None:
        self._items: deque[Item] = deque()
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)

    def fileno(self) -> int:
        """Readable when something may be there."""
        return self._reader.fileno()

    def put(self, item: Item) -> None:
        """Enqueue, from any thread."""
        self._items.append(item)
        self._wake()

    def take(self) -> Item | None:
        """Return the next item, None if there is none."""
        if not self._items:
            # Emptied only when the queue is, so that whoever stops taking in the middle is woken for the rest; and
            # before the look that follows, so that what is put between the two is taken now.
            with contextlib.suppress(BlockingIOError):
                while self._reader.recv(4096):
                    pass
            if self._items:  # the race: put while the socket was emptied, byte and all
                self._wake()
        return self._items.popleft() if self._items else None

    def _wake(self) -> None:
        # A full socket is fine: then the loop is about to wake anyway.
        with contextlib.suppress(OSError):
            self._writer.send(b"\0")

    def take_signals(self, signals: tuple[int, ...]) -> None:
        """Let these signals be enqueued from now on; call it in the main thread, before there are others.

        By a thread that waits for them and not by handlers of Python's, which are not told who has sent a signal.
        """
        # Blocked here and in every thread begun later: what comes before the thread below waits is kept for it.
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        threading.Thread(target=self._enqueue_signals, args=(signals,), name="signals", daemon=True).start()

    def _enqueue_signals(self, signals: tuple[int, ...]) -> None:
        while True:
            taken = signal.sigwaitinfo(signals)
            self.put(SignalArrived(signal=taken.si_signo, by_terminal=taken.si_code == _SI_KERNEL))
