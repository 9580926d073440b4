"""Real ZooKeeper servers on loopback, for tests and the benchmark.

Owns starting, breaking and ending throwaway servers.
Where there is one to start, `zkleader demo` knows: both ask the same. Knows no pytest and no kazoo.

Every server has a directory and ports of its own, is ended by its pid, and is bound to the
process that started it: the kernel kills it when the test run is killed (see `processes.bound_to_us`; start servers
from a thread that lives as long as they should). Data of these servers is not meant to survive a power failure: they do
not force their log to disk unless asked to.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

from processes import bound_to_us
from waiting import wait_until

from zkleader.demo.server import (
    JVM_OPTIONS,
    MAIN_CLASS,
    ServerUnavailableError,
    find_classpath,
    find_java,
    free_port,
)

START_DEADLINE = 30.0  # it takes a second; a loaded machine with two cores and three servers takes several
STOP_DEADLINE = 5.0
LOGBACK = """<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} %-5p %c - %m%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""


class Server:
    """One server: alone, or a member of an ensemble (see `Ensemble`).

    `tick_time` and the session timeouts are in milliseconds. `settings` are further lines of zoo.cfg. A server may be
    stopped, killed, paused and started again; its data and its ports stay the same until `close`.
    """

    def __init__(
        self,
        *,
        tick_time: int = 500,
        min_session_timeout: int | None = None,
        max_session_timeout: int = 120_000,
        force_sync: bool = False,
        settings: Mapping[str, str] | None = None,
        jvm_options: tuple[str, ...] = (),
        port: int | None = None,
        number: int | None = None,
    ) -> None:
        self.port = port or free_port()
        self.number = number
        self.hosts = f"127.0.0.1:{self.port}"
        self.directory = Path(tempfile.mkdtemp(prefix="zookeeper-"))
        self.log = self.directory / "server.log"
        self.paused = False
        self._process: subprocess.Popen[bytes] | None = None
        self._jvm_options = jvm_options
        lines = {
            "tickTime": str(tick_time),
            "initLimit": "10",
            "syncLimit": "5",
            "dataDir": str(self.directory / "data"),
            "clientPort": str(self.port),
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "*",
            "forceSync": "yes" if force_sync else "no",
            "preAllocSize": "1024",  # KiB; the default would write 64 MiB of zeros for each of many short lives
            "maxClientCnxns": "0",
            "maxSessionTimeout": str(max_session_timeout),
        }
        if min_session_timeout is not None:
            lines["minSessionTimeout"] = str(min_session_timeout)
        lines.update(settings or {})
        (self.directory / "data").mkdir()
        if number is not None:
            (self.directory / "data" / "myid").write_text(f"{number}\n")
        (self.directory / "zoo.cfg").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        (self.directory / "logback.xml").write_text(LOGBACK)

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

    @property
    def pid(self) -> int | None:
        """The pid of the running server, None when there is none."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    def start(self, *, wait: bool = True) -> Self:
        """Start the server if it is not running; with `wait` return only when it serves clients."""
        if self.pid is None:
            command = [find_java(), *JVM_OPTIONS, *self._jvm_options]
            command += [f"-Dlogback.configurationFile={self.directory}/logback.xml", "-cp", find_classpath()]
            command += [MAIN_CLASS, str(self.directory / "zoo.cfg")]
            with self.log.open("ab") as log:
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
        if wait:
            self.wait_until_serving()
        return self

    def wait_until_serving(self, deadline: float = START_DEADLINE) -> None:
        """Return when the server serves clients, as `srvr` tells by naming its mode."""
        until = time.monotonic() + deadline
        while self.mode() is None:
            if self.pid is None or time.monotonic() > until:
                why = "it ended" if self.pid is None else f"it does not serve after {deadline:g} s"
                raise ServerUnavailableError(f"cannot start ZooKeeper: {why}:\n{self.log_tail()}")
            time.sleep(0.02)

    def log_tail(self, lines: int = 30) -> str:
        """Return the end of the server's log."""
        with contextlib.suppress(OSError):
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        return ""

    def ask(self, word: str, *, timeout: float = 1.0) -> str | None:
        """Return the answer to a four letter word, None when there is no answer."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=timeout) as connection:
                connection.settimeout(timeout)
                connection.sendall(word.encode())
                answer = b""
                while part := connection.recv(65536):
                    answer += part
        except OSError:
            return None
        return answer.decode(errors="replace")

    def mode(self) -> str | None:
        """Return standalone, leader, follower or observer; None when the server does not serve (now)."""
        if self.paused or self.pid is None:
            return None
        for line in (self.ask("srvr") or "").splitlines():
            if line.startswith("Mode: "):
                return line.removeprefix("Mode: ").strip()
        return None

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


class Ensemble:
    """Several servers that elect a leader among themselves.

    Iterating gives the servers; `hosts` names all of them. Start, stop, kill, pause and resume a single one by its own
    methods or by those here, which take the server.
    """

    def __init__(self, size: int = 3, *, tick_time: int = 500, settings: Mapping[str, str] | None = None) -> None:
        ports = [(free_port(), free_port(), free_port()) for _ in range(size)]
        members = {
            f"server.{number}": f"127.0.0.1:{quorum}:{election}"
            for number, (_, quorum, election) in enumerate(ports, start=1)
        }
        self.servers = [
            Server(tick_time=tick_time, settings={**members, **(settings or {})}, port=client, number=number)
            for number, (client, _, _) in enumerate(ports, start=1)
        ]
        self.hosts = ",".join(server.hosts for server in self.servers)

    def __enter__(self) -> Self:
        try:
            return self.start_all()
        except BaseException:
            self.close()
            raise

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Server]:
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
        wait_until(self._whole, deadline=START_DEADLINE, what="a whole ensemble")
        return self

    def _whole(self) -> bool:
        """Both sides must say so: a leader counts followers that do not serve yet, a deposed leader serves on."""
        others = len(self.servers) - 1
        return self._leader(with_followers=others) is not None and len(self.followers()) == others

    def leader(self, *, deadline: float = START_DEADLINE) -> Server:
        """Return the server that leads the ensemble, with a quorum behind it; wait until there is one."""
        quorum = len(self.servers) // 2
        return wait_until(lambda: self._leader(with_followers=quorum), deadline=deadline, what="an ensemble's leader")

    def _leader(self, *, with_followers: int) -> Server | None:
        """Return the only server that says that it leads, if so many follow it.

        A deposed leader goes on saying so for a while, and is alone in believing it.
        """
        leaders = [server for server in self.servers if server.mode() == "leader"]
        if len(leaders) != 1:
            return None
        for line in (leaders[0].ask("mntr") or "").splitlines():
            name, _, value = line.partition("\t")
            if name == "zk_synced_followers" and float(value) >= with_followers:
                return leaders[0]
        return None

    def followers(self) -> list[Server]:
        """Return the servers that follow at this moment."""
        return [server for server in self.servers if server.mode() == "follower"]

    def start(self, server: Server) -> None:
        server.start()

    def stop(self, server: Server) -> None:
        server.stop()

    def kill(self, server: Server) -> None:
        server.kill()

    def pause(self, server: Server) -> None:
        server.pause()

    def resume(self, server: Server) -> None:
        server.resume()

    def close(self) -> None:
        """Kill every server and remove their directories."""
        for server in self.servers:
            server.close()
