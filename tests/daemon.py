"""Servers of tests, whatever they serve: stopped, killed, frozen and started again, alone or as a group with a leader.

Each has a directory and a place of its own, is ended by its pid, and is bound to the process that started it: the
kernel kills it when the test run is killed (see `processes.bound_to_us`; start servers from a thread that lives as long
as they should).
"""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Generic, Protocol, Self, TypeVar

from processes import bound_to_us
from waiting import wait_until

START_DEADLINE = 30.0  # it takes a second; a loaded machine with two cores and three servers takes several
STOP_DEADLINE = 5.0


class Place(Protocol):
    """Where a server runs. What is started or opened while it is entered belongs there."""

    address: str

    def entered(self) -> AbstractContextManager[None]: ...


class Loopback:
    """Where nobody else can come."""

    address = "127.0.0.1"

    def entered(self) -> AbstractContextManager[None]:
        return contextlib.nullcontext()


LOOPBACK = Loopback()


class Daemon:
    """One server: its process, or none for the moment; its data stays until `close`."""

    number: int | None = None
    """Which member of a group it is."""

    def __init__(self, place: Place, prefix: str) -> None:
        self.place = place
        self.directory = Path(tempfile.mkdtemp(prefix=prefix))
        self.log = self.directory / "server.log"
        self.paused = False
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Server {self.number or ''} {self.hosts} {'paused' if self.paused else self.mode() or 'down'}>"

    # What a kind of server adds. -------------------------------------------------------------------------------------

    hosts: str
    """Where clients find it."""

    def start(self, *, wait: bool = True) -> Self:
        """Start the server if it is not running; with `wait` return only when it serves clients."""
        raise NotImplementedError

    def mode(self) -> str | None:
        """Return what it is: "leader", "follower"; None when the server does not serve (now)."""
        raise NotImplementedError

    # -----------------------------------------------------------------------------------------------------------------

    @property
    def pid(self) -> int | None:
        """The pid of the running server, None when there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def launch(self, *command: str) -> None:
        """Start the process at its place."""
        with self.log.open("ab") as log, self.place.entered():
            self._process = subprocess.Popen(
                bound_to_us(*command),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.directory,
                # Ctrl-C on a terminal is for the test: it ends the servers in its own order.
                start_new_session=True,
            )
        self.paused = False

    def wait_until_serving(self, deadline: float = START_DEADLINE) -> None:
        """Return when the server serves clients, as its mode tells."""
        until = time.monotonic() + deadline
        while self.mode() is None:
            if self.pid is None or time.monotonic() > until:
                why = "it ended" if self.pid is None else f"it does not serve after {deadline:g} s"
                raise RuntimeError(f"cannot start a server: {why}:\n{self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of the server's log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def stop(self) -> None:
        """End the server in order; by force when it does not end."""
        if self._process is None:
            return
        self.resume()
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._process.wait()

    def kill(self) -> None:
        """SIGKILL: the server says nothing to anybody, though the kernel closes its connections."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.kill()
            self._process.wait()
        self.paused = False

    def restart(self) -> None:
        """Stop and start; clients are disconnected, sessions and data stay."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """SIGSTOP: connections stay open, new ones are accepted by the kernel, nothing is answered."""
        if self.pid is not None:
            os.kill(self.pid, signal.SIGSTOP)
            self.paused = True

    def resume(self) -> None:
        """SIGCONT."""
        if self.paused and self.pid is not None:
            os.kill(self.pid, signal.SIGCONT)
        self.paused = False

    def close(self) -> None:
        """Kill the server and remove its directory. SIGKILL, because nobody needs its data any more."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)


D = TypeVar("D", bound=Daemon)


class Group(Generic[D]):
    """Several servers that elect a leader among themselves; iterating gives them. `hosts` names all of them."""

    def __init__(self, servers: Sequence[D]) -> None:
        self.servers = servers
        self.hosts = ",".join(server.hosts for server in servers)

    def __enter__(self) -> Self:
        try:
            return self.start_all()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[D]:
        return iter(self.servers)

    def __len__(self) -> int:
        return len(self.servers)

    def start_all(self) -> Self:
        """Bring up and resume every server, and wait until one leads and all others follow it, up to date."""
        for server in self.servers:
            server.resume()
            server.start(wait=False)
        for server in self.servers:
            server.wait_until_serving()
        wait_until(self._whole, deadline=START_DEADLINE, what="servers that are whole")
        return self

    def _whole(self) -> bool:
        """Both sides must say so: a leader counts followers that do not serve yet, a deposed leader serves on."""
        others = len(self.servers) - 1
        return self.leading(with_followers=others) is not None and len(self.followers()) == others

    def leader(self, *, deadline: float = START_DEADLINE) -> D:
        """Return the server that leads, with a quorum behind it; wait until there is one."""
        quorum = len(self.servers) // 2
        return wait_until(lambda: self.leading(with_followers=quorum), deadline=deadline, what="a leader of servers")

    def leading(self, *, with_followers: int) -> D | None:
        """Return the only server that leads, if so many follow it; for a kind of server to tell."""
        raise NotImplementedError

    def followers(self) -> list[D]:
        """Return the servers that follow at this moment."""
        return [server for server in self.servers if server.mode() == "follower"]

    def close(self) -> None:
        """Kill every server and remove their directories."""
        for server in self.servers:
            server.close()
