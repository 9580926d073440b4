"""Real ZooKeeper servers on loopback, for tests and the benchmark, or on hosts of the campaign.

Owns how they are configured, and what they say of themselves; `daemon` starts, breaks and ends them.
Where there is one to start, `zkleader demo` knows: both ask the same. Knows no pytest and no kazoo.

Data of these servers is not meant to survive a power failure: they do not force their log to disk unless asked to.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Self

from daemon import LOOPBACK, Daemon, Group, Place

from zkleader.demo.server import (
    JVM_OPTIONS,
    MAIN_CLASS,
    find_classpath,
    find_java,
    free_port,
)

LOGBACK = """<configuration>
  <appender name="OUT" class="ch.qos.logback.core.ConsoleAppender">
    <encoder><pattern>%d{ISO8601} %-5p %c - %m%n</pattern></encoder>
  </appender>
  <root level="INFO"><appender-ref ref="OUT"/></root>
</configuration>
"""


class Server(Daemon):
    """One server: alone, or a member of an ensemble (see `Ensemble`).

    `tick_time` and the session timeouts are in milliseconds. `settings` are further lines of zoo.cfg. `tls` are those
    of its keys (see `keys`): it then has a port for TLS as well, and `secure_hosts` names that one. `users` are the
    passwords of those whom it knows by SASL (see `set_users`). A server may be stopped, killed, paused and started
    again; its data and its ports stay the same until `close`.
    """

    def __init__(
        self,
        *,
        tick_time: int = 500,
        min_session_timeout: int | None = None,
        max_session_timeout: int = 120_000,
        force_sync: bool = False,
        settings: Mapping[str, str] | None = None,
        tls: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
        jvm_options: tuple[str, ...] = (),
        port: int | None = None,
        number: int | None = None,
        place: Place = LOOPBACK,
    ) -> None:
        super().__init__(place, "zookeeper-")
        self.port = port or free_port()
        self.number = number
        self.hosts = f"{place.address}:{self.port}"
        self.secure_port = 0 if tls is None else free_port()
        self.secure_hosts = f"localhost:{self.secure_port}"
        self._jvm_options = jvm_options
        lines = {
            "tickTime": str(tick_time),
            "initLimit": "10",
            "syncLimit": "5",
            "dataDir": str(self.directory / "data"),
            "clientPort": str(self.port),
            "clientPortAddress": place.address,
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
        if tls is not None:
            lines |= {**tls, "secureClientPort": str(self.secure_port), "secureClientPortAddress": "127.0.0.1"}
        if users is not None:
            lines["authProvider.sasl"] = "org.apache.zookeeper.server.auth.SASLAuthenticationProvider"
            self._jvm_options += (f"-Djava.security.auth.login.config={self.directory}/jaas.conf",)
            self.set_users(users)
        (self.directory / "data").mkdir()
        if number is not None:
            (self.directory / "data" / "myid").write_text(f"{number}\n")
        (self.directory / "zoo.cfg").write_text("".join(f"{key}={value}\n" for key, value in lines.items()))
        (self.directory / "logback.xml").write_text(LOGBACK)

    def set_users(self, users: Mapping[str, str]) -> None:
        """Have it know these users and passwords by SASL from its next start on."""
        known = "".join(f'    user_{name}="{password}"\n' for name, password in users.items())
        module = "org.apache.zookeeper.server.auth.DigestLoginModule"
        (self.directory / "jaas.conf").write_text(f"Server {{\n    {module} required\n{known}    ;\n}};\n")

    def start(self, *, wait: bool = True) -> Self:
        """Start the server if it is not running; with `wait` return only when it serves clients."""
        if self.pid is None:
            command = [find_java(), *JVM_OPTIONS, *self._jvm_options]
            command += [f"-Dlogback.configurationFile={self.directory}/logback.xml", "-cp", find_classpath()]
            command += [MAIN_CLASS, str(self.directory / "zoo.cfg")]
            self.launch(*command)
        if wait:
            self.wait_until_serving()
        return self

    def ask(self, word: str, *, timeout: float = 1.0) -> str | None:
        """Return the answer to a four letter word, None when there is no answer."""
        try:
            with (
                self.place.entered(),
                socket.create_connection((self.place.address, self.port), timeout=timeout) as connection,
            ):
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


class Ensemble(Group[Server]):
    """Several servers that elect a leader among themselves."""

    def __init__(
        self,
        size: int = 3,
        *,
        tick_time: int = 500,
        settings: Mapping[str, str] | None = None,
        tls: Mapping[str, str] | None = None,
        places: Sequence[Place] = (),
    ) -> None:
        places = places or [LOOPBACK] * size
        ports = [(free_port(), free_port(), free_port()) for _ in places]
        members = {
            f"server.{number}": f"{place.address}:{quorum}:{election}"
            for number, (place, (_, quorum, election)) in enumerate(zip(places, ports, strict=True), start=1)
        }
        servers = [
            Server(
                tick_time=tick_time,
                settings={**members, **(settings or {})},
                tls=tls,
                port=client,
                number=number,
                place=place,
            )
            for number, (place, (client, _, _)) in enumerate(zip(places, ports, strict=True), start=1)
        ]
        super().__init__(servers)
        self.secure_hosts = ",".join(server.secure_hosts for server in servers)

    def leading(self, *, with_followers: int) -> Server | None:
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
