"""A TCP proxy on loopback that breaks the network between a candidate and its server.

Owns the faults, nothing of ZooKeeper's protocol. One thread runs a selector loop and owns all state; the methods post a
function to it and return when it has been done, so a fault is in force when its method returns: no later byte passes.

Directions are the candidate's: "out" is what it sends, "in" is what it is sent.

What a cut does not imitate: the kernel of this host still acknowledges every byte and every connection. `black_hole`
does the latter part: connecting hangs, as it does to a host that is off.
"""

import contextlib
import errno
import selectors
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal, Self

Direction = Literal["in", "out"]
BOTH: tuple[Direction, Direction] = ("in", "out")
CHUNK = 65536
BACKLOG = 128
RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER with no time to linger: close() sends RST and not FIN


class _Pipe:
    """One direction of one connection: bytes with the instant when they are due at the other end."""

    def __init__(self) -> None:
        self.chunks: deque[tuple[float, bytes]] = deque()
        self.ended = False  # the sender has closed; told to the receiver when all chunks are delivered
        self.holed = False  # bytes of this stream were swallowed: it cannot go on after healing


class _Connection:
    """A candidate's socket, the server's (none while cut off), and the two pipes between them."""

    def __init__(self, candidate: socket.socket, server: socket.socket | None) -> None:
        self.candidate = candidate
        self.server = server
        self.pipes: dict[Direction, _Pipe] = {"in": _Pipe(), "out": _Pipe()}

    def sockets(self) -> list[socket.socket]:
        return [self.candidate] if self.server is None else [self.candidate, self.server]


class Proxy:
    """A proxy in front of `target` ("host:port" or a pair); `hosts` is what a candidate connects to.

    Counters: `connections` accepted ever, `connected` at this moment, `passed` and `swallowed` bytes per direction.
    """

    def __init__(self, target: str | tuple[str, int]) -> None:
        if isinstance(target, str):
            host, _, port = target.rpartition(":")
            target = (host, int(port))
        self.target = target
        self.connections = 0
        self.passed: dict[Direction, int] = {"in": 0, "out": 0}
        self.swallowed: dict[Direction, int] = {"in": 0, "out": 0}
        self._cut: dict[Direction, str] = {}  # direction -> "swallow" or "keep"
        self._delay = 0.0
        self._open: list[_Connection] = []
        self._fillers: list[socket.socket] = []
        self._posted: deque[Callable[[], None]] = deque()
        self._running = True
        self._selector = selectors.DefaultSelector()
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.settimeout(0)
        self._selector.register(self._wake_in, selectors.EVENT_READ)
        self._listener: socket.socket | None = None
        self._port = 0
        self._listen()
        self._thread = threading.Thread(target=self._run, name=f"proxy-{self._port}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def hosts(self) -> str:
        """Where the proxy listens, as "127.0.0.1:port"; the port never changes."""
        return f"127.0.0.1:{self._port}"

    @property
    def connected(self) -> int:
        """The number of open connections of candidates."""
        return len(self._open)

    # The faults. -----------------------------------------------------------------------------------------------------

    def cut(self, direction: Direction | None = None, *, keep: bool = False) -> None:
        """Let no byte pass, silently: connections stay open and new ones are accepted, whether they close is not told.

        With `direction` only that way. `keep` holds the bytes back for `heal`, as TCP does with its retransmissions
        after an outage of seconds: requests that were sent during the cut then arrive late. Without it the bytes are
        lost, and `heal` resets the connections that lost some.
        """
        ways = BOTH if direction is None else (direction,)
        self._do(lambda: self._cut.update(dict.fromkeys(ways, "keep" if keep else "swallow")))

    def black_hole(self) -> None:
        """Cut both ways, and let new connections hang without an answer, as to a host that is off."""
        self._do(self._become_black_hole)

    def refuse(self) -> None:
        """Reset every connection and refuse new ones, as a host whose server has died."""
        self._do(lambda: (self._reset_all(), self._stop_listening()))

    def drop_connections(self) -> None:
        """Reset (RST) every connection; new ones are welcome."""
        self._do(self._reset_all)

    def delay(self, seconds: float) -> None:
        """Deliver what comes from now on so much later, each way; 0 ends it. Order is kept."""

        def change() -> None:
            self._delay = seconds

        self._do(change)

    def heal(self) -> None:
        """End every fault. Connections that lost bytes or a close meanwhile are reset; kept bytes are delivered."""
        self._do(self._heal)

    def close(self) -> None:
        """Reset all connections and end the thread."""
        if self._thread.is_alive():

            def end() -> None:
                self._running = False

            self._do(end)
            self._thread.join(5)

    # The loop's thread. Nothing below is called from elsewhere, but for `_do`. ---------------------------------------

    def _do(self, action: Callable[[], object]) -> None:
        """Have the loop do `action`, and return when it is done."""
        done = threading.Event()

        def run() -> None:
            try:
                action()
            finally:
                done.set()

        self._posted.append(run)
        with contextlib.suppress(OSError):
            self._wake_out.send(b"!")
        if not done.wait(5) and self._thread.is_alive():
            raise RuntimeError("the proxy's loop is stuck")

    def _run(self) -> None:
        while self._running:
            for key, events in self._selector.select(self._time_to_next()):
                if key.fileobj is self._wake_in:
                    with contextlib.suppress(BlockingIOError):
                        self._wake_in.recv(CHUNK)
                elif key.fileobj is self._listener:
                    self._accept()
                elif events & selectors.EVENT_READ:
                    connection, way = key.data
                    # An earlier event of this round may have closed it.
                    if connection in self._open:
                        self._receive(connection, way)
            while self._posted:
                self._posted.popleft()()
            for connection in list(self._open):
                self._deliver(connection)
        self._reset_all()
        self._stop_listening()
        self._drop_fillers()
        self._selector.close()
        self._wake_in.close()
        self._wake_out.close()

    def _listen(self) -> None:
        if self._listener is None:
            self._listener = socket.socket()
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._listener.bind(("127.0.0.1", self._port))
            self._port = self._listener.getsockname()[1]
            self._listener.settimeout(0)
            self._listener.listen(BACKLOG)
            self._selector.register(self._listener, selectors.EVENT_READ)

    def _stop_listening(self) -> None:
        if self._listener is not None:
            with contextlib.suppress(KeyError):
                self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(BlockingIOError):
            candidate, _ = self._listener.accept()
            self.connections += 1
            server = None
            if len(self._cut) < len(BOTH):
                try:
                    server = socket.create_connection(self.target, timeout=1)
                except OSError:
                    self._reset(candidate)
                    return
            connection = _Connection(candidate, server)
            for held in connection.sockets():
                held.settimeout(0)
                held.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.append(connection)
            self._selector.register(candidate, selectors.EVENT_READ, (connection, "out"))
            if server is not None:
                self._selector.register(server, selectors.EVENT_READ, (connection, "in"))
            else:
                # There is no server at the other end: whatever is sent here is lost, even when bytes are kept.
                connection.pipes["out"].holed = True

    def _receive(self, connection: _Connection, way: Direction) -> None:
        source = connection.candidate if way == "out" else connection.server
        assert source is not None
        pipe = connection.pipes[way]
        try:
            data = source.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            # Read no further, or a closed socket would wake the loop for ever; the other end is told when it is due.
            self._selector.unregister(source)
            pipe.ended = True
        elif connection.server is None or self._cut.get(way) == "swallow":
            self.swallowed[way] += len(data)
            pipe.holed = True
        else:
            pipe.chunks.append((time.monotonic() + self._delay, data))

    def _deliver(self, connection: _Connection) -> None:
        """Send what is due, and close what has ended; nothing in a direction that is cut."""
        now = time.monotonic()
        for way in BOTH:
            if way in self._cut or connection.server is None:
                continue
            target = connection.server if way == "out" else connection.candidate
            pipe = connection.pipes[way]
            while pipe.chunks and pipe.chunks[0][0] <= now:
                due, data = pipe.chunks.popleft()
                try:
                    sent = target.send(data)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self._close(connection)
                    return
                self.passed[way] += sent
                if sent < len(data):
                    # The receiver is slow: come back in a moment rather than watch for writability.
                    pipe.chunks.appendleft((max(due, now + 0.001), data[sent:]))
                    break
            if pipe.ended and not pipe.chunks:
                self._close(connection)
                return

    def _time_to_next(self) -> float | None:
        """Return the seconds until a chunk is due in a direction that is not cut, None when there is none."""
        due = [
            pipe.chunks[0][0]
            for connection in self._open
            for way, pipe in connection.pipes.items()
            if pipe.chunks and way not in self._cut
        ]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _heal(self) -> None:
        self._cut.clear()
        self._delay = 0.0
        self._drop_fillers()
        self._listen()
        assert self._listener is not None
        self._listener.listen(BACKLOG)
        if self._listener not in self._selector.get_map():
            self._selector.register(self._listener, selectors.EVENT_READ)
        for connection in list(self._open):
            if any(pipe.holed for pipe in connection.pipes.values()):
                self._close(connection, reset=True)

    def _become_black_hole(self) -> None:
        """Fill the queue of connections that nobody accepts: then the kernel drops every further SYN."""
        self._cut = dict.fromkeys(BOTH, "swallow")
        self._listen()
        assert self._listener is not None
        if self._listener in self._selector.get_map():
            self._selector.unregister(self._listener)
        self._listener.listen(0)
        for _ in range(BACKLOG):
            filler = socket.socket()
            filler.settimeout(0.05)
            self._fillers.append(filler)
            try:
                filler.connect(("127.0.0.1", self._port))
            except OSError as error:
                if isinstance(error, TimeoutError) or error.errno == errno.EINPROGRESS:
                    return

    def _drop_fillers(self) -> None:
        for filler in self._fillers:
            self._reset(filler)
        self._fillers.clear()

    def _reset_all(self) -> None:
        for connection in list(self._open):
            self._close(connection, reset=True)

    def _close(self, connection: _Connection, *, reset: bool = False) -> None:
        self._open.remove(connection)
        for held in connection.sockets():
            with contextlib.suppress(KeyError, ValueError):
                self._selector.unregister(held)
            if reset:
                self._reset(held)
            else:
                held.close()

    @staticmethod
    def _reset(held: socket.socket) -> None:
        with contextlib.suppress(OSError):
            held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        held.close()
