"""A private throwaway ZooKeeper on loopback, for the demonstration.

It owns finding one (the tests ask here as well), and its start.  It ends nothing: the server is a child of ours, and
``stage`` ends all of those.  Its data is not meant to survive anything, so nothing is forced to disk.
"""

from __future__ import annotations

import contextlib
import glob
import os
import random
import shutil
import signal
import socket
import subprocess
import zipfile

from zkleader.demo.loop import Loop
from zkleader.guard.system import set_parent_death_signal

DEBIAN_JARS = "/usr/share/java"
JAVA_MISSING = (
    "cannot start ZooKeeper: no java in PATH or JAVA_HOME; "
    "install it with `apt-get install --no-install-recommends default-jre-headless`"
)
HOW_TO_GET_IT = (
    "install it with `apt-get install --no-install-recommends zookeeper`, "
    "or set ZOOKEEPER_HOME to an unpacked release of Apache ZooKeeper"
)
NEEDED = ("zookeeper-jute", "slf4j-api")
"""Without these no server starts, and Java's own message is hard to read."""

USEFUL_ON_DEBIAN = (
    "slf4j-simple.jar",
    "netty-codec.jar",
    "netty-resolver.jar",
    "netty-transport-native-unix-common.jar",
)
"""Not in the class path of Debian's manifest: the first makes the server's log visible, the others TLS possible."""

JVM_OPTIONS = ("-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Djava.awt.headless=true")
"""Start fast rather than run fast: the server is gone before a better compiler or collector would have paid."""

MAIN_CLASS = "org.apache.zookeeper.server.quorum.QuorumPeerMain"

_START_DEADLINE = 30.0
"""It takes a second or two; a loaded machine takes several."""

_ANSWER_TIMEOUT = 0.5


class ServerUnavailableError(RuntimeError):
    """There is no server to be had: not installed, incomplete, or it does not come up.  The message is for users."""


def find_classpath() -> str:
    """Return the class path of a ZooKeeper server.

    ZOOKEEPER_HOME wins: the jars of its lib directory (and beside it, as in old releases). Else Debian's package, whose
    zookeeper.jar names what it needs in its manifest.

    Raises:
        ServerUnavailableError: there is none; the message says how to get one.
    """
    home = os.environ.get("ZOOKEEPER_HOME")
    if home:
        where = f"ZOOKEEPER_HOME ({home})"
        jars = [jar for part in ("lib/", "") for jar in sorted(glob.glob(f"{glob.escape(home)}/{part}*.jar"))]
    else:
        where = DEBIAN_JARS
        main = f"{DEBIAN_JARS}/zookeeper.jar"
        jars = [main, *_class_path_of(main), *(f"{DEBIAN_JARS}/{name}" for name in USEFUL_ON_DEBIAN)]
    jars = [jar for jar in jars if os.path.exists(jar)]
    names = [os.path.basename(jar) for jar in jars]
    if not any(name.startswith("zookeeper") and not name.startswith("zookeeper-jute") for name in names):
        raise ServerUnavailableError(f"cannot find ZooKeeper: no zookeeper jar in {where}; {HOW_TO_GET_IT}")
    missing = [needed for needed in NEEDED if not any(name.startswith(needed) for name in names)]
    if missing:
        raise ServerUnavailableError(
            f"cannot start ZooKeeper: {' and '.join(missing)} missing in {where}; {HOW_TO_GET_IT}"
        )
    return ":".join(jars)


def find_java() -> str:
    """Return the java program: JAVA_HOME's, else the one in PATH.

    Raises:
        ServerUnavailableError: there is none; the message says how to get one.
    """
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise ServerUnavailableError(JAVA_MISSING)
    return java


def _class_path_of(jar: str) -> list[str]:
    """Return what a jar's manifest names; long lines are folded there with a newline and one blank."""
    try:
        with zipfile.ZipFile(jar) as archive:
            manifest = archive.read("META-INF/MANIFEST.MF").decode().replace("\r\n", "\n").replace("\n ", "")
    except (OSError, KeyError, zipfile.BadZipFile):
        return []
    for line in manifest.splitlines():
        if line.startswith("Class-Path:"):
            return [os.path.join(os.path.dirname(jar), name) for name in line.partition(":")[2].split()]
    return []


_handed_out: set[int] = set()


def free_port() -> int:
    """Return a loopback port that nobody has, and each only once.

    From below the range that the kernel uses for outgoing connections: a server that is down for a while, to come back
    on the same port, must not find it taken by somebody's connection.

    Raises:
        ServerUnavailableError: there is none.
    """
    for _ in range(1000):
        port = random.randint(12000, 32000)  # noqa: S311 # nothing to guess
        if port in _handed_out:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _handed_out.add(port)
            return port
    raise ServerUnavailableError("cannot find a free loopback port")


class Server:
    """One server that runs in a directory, on a loopback port of its own."""

    def __init__(self, directory: str) -> None:
        self.port = free_port()
        self._log = f"{directory}/server.log"
        settings = {
            "tickTime": 500,
            "dataDir": directory,
            "clientPort": self.port,
            "clientPortAddress": "127.0.0.1",
            "admin.enableServer": "false",
            "4lw.commands.whitelist": "srvr",
            "forceSync": "no",
            "preAllocSize": 1024,  # KiB; the default would write 64 MiB of zeros
        }
        configuration = f"{directory}/zoo.cfg"
        with open(configuration, "w", encoding="utf-8") as file:
            file.writelines(f"{key}={value}\n" for key, value in settings.items())
        with open(self._log, "wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 # java, with arguments of ours
                [find_java(), *JVM_OPTIONS, "-cp", find_classpath(), MAIN_CLASS, configuration],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=directory,
                start_new_session=True,  # Ctrl-C is for us: we end it after the candidates
                preexec_fn=bind_to_parent,  # noqa: PLW1509 # there is no other thread
            )

    def wait_until_serving(self, loop: Loop) -> None:
        """Return when it serves clients.

        Raises:
            ServerUnavailableError: it does not, or has ended.
        """
        is_serving = loop.wait(lambda: self._process.poll() is not None or self._answers(), _START_DEADLINE)
        if self._process.poll() is not None:
            raise ServerUnavailableError(f"cannot start ZooKeeper: it ended: {self._last_words()}")
        if not is_serving:
            raise ServerUnavailableError(f"cannot start ZooKeeper: it does not serve after {_START_DEADLINE:g} s")

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it has."""
        return self._process.poll() is not None

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=_ANSWER_TIMEOUT) as connection:
                connection.sendall(b"srvr")
                answer = b""
                while part := connection.recv(4096):
                    answer += part
        except OSError:
            return False
        return b"Mode: " in answer

    def _last_words(self) -> str:
        with open(self._log, encoding="utf-8", errors="replace") as log:
            lines = log.read().split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")


def bind_to_parent() -> None:
    """Have the kernel kill us when the demonstration is killed; it cannot clean up then."""
    set_parent_death_signal(signal.SIGKILL)
