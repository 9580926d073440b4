"""One end of the socket between supervisor and guard: whole messages, and never a wait.

It owns the queue of what the other side did not take yet, and the knowledge of when the other side is gone.  It must
not know what messages mean, but for one thing: which of them may be lost.  It does not promise that a message was
read; only an answer tells that.
"""

from __future__ import annotations

import errno

# The built-in half: the other imports selectors, and milliseconds matter to the guard (see its entry point).
from _socket import socket
from collections import deque

from zkleader.core import wire

QUEUE_LIMIT = 4096
"""Messages kept for a side that does not read.  Beyond that it is as good as gone, and memory must not grow for it."""

_MAY_BE_LOST = (wire.Note, wire.Beat, wire.BeatAnswer)
"""A missed log line is only a gap, and a missed beat is what a side that does not read deserves."""


class Channel:
    """One end of a SOCK_SEQPACKET pair."""

    def __init__(self, end: socket) -> None:
        self._end = end
        self._end.settimeout(0)
        self._queue: deque[bytes] = deque()
        self.closed = False
        """Whether the other side is gone; everything that it had sent before was received."""

    def fileno(self) -> int:
        """Return the descriptor for poll()."""
        return self._end.fileno()

    @property
    def wants_write(self) -> bool:
        """Whether something waits to be sent, so that poll() should also ask for POLLOUT."""
        return bool(self._queue) and not self.closed

    def send(self, message: wire.Message) -> None:
        """Send now or queue; what comes later never overtakes."""
        packet = wire.encode(message)
        if len(packet) > wire.MAX_BYTES:
            raise ValueError(f"a {type(message).__name__} of {len(packet)} bytes is longer than {wire.MAX_BYTES}")
        self.flush()
        if self._queue or not self._send_now(packet):
            may_be_lost = isinstance(message, _MAY_BE_LOST)
            if not may_be_lost and len(self._queue) < QUEUE_LIMIT:
                self._queue.append(packet)

    def flush(self) -> None:
        """Send what has been waiting, as far as the other side takes it."""
        while self._queue and self._send_now(self._queue[0]):
            self._queue.popleft()

    def receive(self) -> list[wire.Message]:
        """Return everything that has arrived.

        Raises:
            MalformedMessageError: the other side speaks something else.
        """
        messages: list[wire.Message] = []
        reset_before = False
        while True:
            try:
                packet = self._end.recv(wire.MAX_BYTES)
            except BlockingIOError:
                return messages
            except OSError as error:
                # AF_UNIX says ECONNRESET when the other side closed without having read everything.  It says so once
                # and *before* handing out what the other side had sent last: read on, or its last words are lost.
                if error.errno == errno.ECONNRESET and not reset_before:
                    reset_before = True
                    continue
                self.closed = True
                return messages
            if not packet:
                self.closed = True
                return messages
            messages.append(wire.decode(packet))

    def close(self) -> None:
        """Close our end."""
        self.closed = True
        self._end.close()

    def _send_now(self, packet: bytes) -> bool:
        """Send one packet; False when it has to wait.  To a side that is gone everything counts as sent."""
        try:
            self._end.send(packet)
        except BlockingIOError:
            return False
        except OSError as error:
            # ENOBUFS passes; every other error means that nobody will read again.  `closed` is left to `receive`:
            # what the other side had sent before it went must still be read.
            return error.errno != errno.ENOBUFS
        return True
