"""A port on the loopback of another network namespace that leads to a server in ours.

Owns one listening socket there and the connections that came in by it. Knows neither side's protocol.
"""

import contextlib
import socket
import subprocess
import sys
import threading

# Runs in the other namespace: a socket belongs for ever to the one in which it was made, whoever holds it.
LISTEN = """
import socket, sys
listener = socket.socket()
listener.bind(("127.0.0.1", int(sys.argv[2])))
listener.listen(64)
with socket.socket(fileno=int(sys.argv[1])) as ours:
    socket.send_fds(ours, [b"x"], [listener.fileno()])
"""


class Relay:
    """Carries what comes to `hosts`, in the network namespace of a process, to `target` ("host:port") in ours.

    On a port that is free, unless one is named.
    """

    def __init__(self, pid: int, target: str, port: int = 0) -> None:
        host, _, target_port = target.rpartition(":")
        self._target = (host, int(target_port))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            number = str(theirs.fileno())
            line = ["nsenter", "-t", str(pid), "-n", "--", sys.executable, "-I", "-S", "-c", LISTEN, number, str(port)]
            subprocess.run(line, pass_fds=[theirs.fileno()], check=True, timeout=30)
            _, [descriptor], _, _ = socket.recv_fds(ours, 1, 1)
        self._listener = socket.socket(fileno=descriptor)
        self.hosts = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._open: list[socket.socket] = []
        self._start(self._accept)

    @staticmethod
    def _start(target: object, *arguments: object) -> None:
        threading.Thread(target=target, args=arguments, daemon=True).start()  # type: ignore[arg-type]

    def _accept(self) -> None:
        while True:
            try:
                there, _ = self._listener.accept()
                here = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [there, here]
            self._start(self._carry, there, here)
            self._start(self._carry, here, there)

    @staticmethod
    def _carry(source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                sink.sendall(part)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Reset every connection, and take no new ones: ZooKeeper is away."""
        for end in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Give everything up."""
        self.cut()
        for end in (self._listener, *self._open):
            end.close()
