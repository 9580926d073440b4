"""The demonstration's one loop: everything that is waited for, and everything that is written, passes it.

It owns the selector, the signals that end the show, and standard output.  One thread does all: no lock, and nothing is
interrupted half-way, because signals only enqueue and a reader who does not read stops no one.  It must not know what
is shown.  It does not promise that all is written: a reader may go away.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

_TURN = 0.02
"""Seconds between two looks at what is waited for."""

_CHUNK = 512
"""Bytes written at a time: what poll() calls writable takes so many without making us wait."""

Callback = Callable[[], None]


class Asked(Exception):  # noqa: N818 # not an error: somebody has seen enough
    """Somebody wants the show to end: by this signal."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.number = number


class Loop:
    """Callbacks by descriptor, and waiting for a fact while they are served.

    ``on_turn`` is called in every turn.  Make one in the main thread only: it takes the signals.
    """

    def __init__(self, output: int) -> None:
        self.on_turn: Callback = _do_nothing
        self._selector = selectors.PollSelector()  # unlike epoll it takes regular files, as standard output may be
        self._output = output
        self._unwritten = b""
        self._asked: int | None = None
        self._is_closing = False
        self._is_mute = False
        reading, self._wake = socket.socketpair()
        reading.setblocking(False)
        self._wake.setblocking(False)
        self.register(reading, lambda: _drain(reading))
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in ENDING_SIGNALS:
            if signal.getsignal(number) is not signal.SIG_IGN:  # nohup
                signal.signal(number, self._note)

    def _note(self, number: int, _frame: object) -> None:
        self._asked = number

    def register(self, source: int | socket.socket, callback: Callback) -> None:
        """Have the callback called whenever there is something to read."""
        self._selector.register(source, selectors.EVENT_READ, callback)

    def unregister(self, source: int | socket.socket) -> None:
        """Undo it; call before closing the descriptor."""
        self._selector.unregister(source)

    def write(self, text: bytes) -> None:
        """Write to standard output when it takes it."""
        if self._is_mute:
            return
        if not self._unwritten:
            self._selector.register(self._output, selectors.EVENT_WRITE, self._flush)
        self._unwritten += text

    @property
    def backlog(self) -> int:
        """How many bytes are not written yet."""
        return len(self._unwritten)

    def wait(self, fact: Callable[[], bool], seconds: float) -> bool:
        """Serve until the fact holds, for so long at the most; say whether it does.

        Raises:
            Asked: a signal came, now or before.
            OSError: standard output cannot be written to.
        """
        until = time.monotonic() + seconds
        while True:
            self._turn()
            if self._asked is not None and not self._is_closing:
                raise Asked(self._asked)
            if fact():
                return True
            if time.monotonic() >= until:
                return False

    def pause(self, seconds: float) -> None:
        """Serve for so long."""
        self.wait(lambda: False, seconds)

    def begin_closing(self) -> None:
        """From now on neither a signal nor anything seen ends what is waited for: it is the end."""
        self._is_closing = True
        self.on_turn = _do_nothing

    def give_up_output(self) -> None:
        """Forget what is not written, and what will be."""
        self._is_mute = True
        if self._unwritten:
            self._unwritten = b""
            self._selector.unregister(self._output)

    def _turn(self) -> None:
        for key, _ in self._selector.select(_TURN):
            # An earlier callback of this turn may have closed it.
            if key.fd in self._selector.get_map():
                key.data()
        self.on_turn()

    def _flush(self) -> None:
        try:
            written = os.write(self._output, self._unwritten[:_CHUNK])
        except BlockingIOError:
            return
        except OSError:
            self.give_up_output()
            raise
        self._unwritten = self._unwritten[written:]
        if not self._unwritten:
            self._selector.unregister(self._output)


def _drain(reading: socket.socket) -> None:
    with contextlib.suppress(BlockingIOError):
        reading.recv(4096)


def _do_nothing() -> None:
    pass
