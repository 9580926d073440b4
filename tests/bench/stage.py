"""Where figures are taken: a real server, an operator of it, and the programs that are compared, started alike.

Owns how each of them is started, and what is waited for before anything is measured. Knows no figure.
"""

import re
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self

import witness
from campaign import etcd
from daemon import LOOPBACK
from kazoo.client import KazooClient
from program import Program
from waiting import wait_until
from zookeeper import Server

PEER = Path(__file__).with_name("peer_kazoo.py")
OURS = Path(sys.executable).with_name("zkleader")
"""What pip installs, and users start: `python -m` would cost an import more."""

CANDIDATE = re.compile(r"\d{10}$")
LEASE = 20  # seconds; kazoo's session timeout in the peer, and etcd's time to live, are the same
NAMESPACE = "bench"
"""What is below it, and nothing else, is counted on the server."""

Start = Callable[..., Program]
"""Starts a candidate: the path of its election, its command, and what its standard input is."""


class Stage:
    """A server, an operator, and the tools by name: ours first."""

    def __init__(self) -> None:
        self._ending = ExitStack()
        self._etcd: etcd.EtcdCluster | None = None

    def __enter__(self) -> Self:
        with ExitStack() as ending:
            self.server = ending.enter_context(Server())
            self.operator = ending.enter_context(operator_of(self.server.hosts))
            self.directory = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="zkleader-bench-")))
            self._ending = ending.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    # The tools. ------------------------------------------------------------------------------------------------------

    def ours(self, path: str, *command: str, stdin: int = subprocess.DEVNULL, hosts: str = "") -> Program:
        options = ("-z", hosts or self.server.hosts, "-e", path, "--lease", str(LEASE))
        return Program("run", *options, "--", *command, command=(str(OURS),), stdin=stdin, bound=False)

    def kazoo(self, path: str, *command: str, stdin: int = subprocess.DEVNULL, hosts: str = "") -> Program:
        line = (sys.executable, str(PEER))
        return Program(hosts or self.server.hosts, path, *command, command=line, stdin=stdin, bound=False)

    def etcdctl(self, path: str, *command: str, stdin: int = subprocess.DEVNULL) -> Program:
        """Start `etcdctl lock`, on a cluster of one that is started when this is first asked for."""
        if self._etcd is None:
            self._etcd = self._ending.enter_context(etcd.EtcdCluster([LOOPBACK]))  # type: ignore[list-item]
        options = (f"--endpoints={self._etcd.hosts}", f"--ttl={LEASE}")
        line = (str(etcd.PROGRAMS / "etcdctl"), "lock", *options, "--")
        return Program(path, *command, command=line, stdin=stdin, bound=False)

    def tools(self, *names: str) -> dict[str, Start]:
        """Return those of the tools that are to be had here."""
        known: dict[str, Start] = {"zkleader": self.ours, "kazoo": self.kazoo}
        if not etcd.why_not():
            known["etcdctl"] = self.etcdctl
        return {name: known[name] for name in names if name in known}

    # The election. ---------------------------------------------------------------------------------------------------

    def candidates(self, path: str) -> list[str]:
        """Return the candidates in a path, in order of their numbers; the lease records are none."""
        if not self.operator.exists(path):
            return []
        found = [name for name in self.operator.get_children(path) if CANDIDATE.search(name)]
        return sorted(found, key=lambda name: int(name[-10:]))

    def wait_for_candidates(self, path: str, number: int, *, deadline: float = 10.0) -> list[str]:
        return wait_until(
            lambda: found if len(found := self.candidates(path)) == number else None,
            deadline=deadline,
            what=f"{number} candidates",
        )

    def witness(self, name: str) -> tuple[Path, tuple[str, ...]]:
        """Return a file and the command line of a witness that writes to it."""
        file = self.directory / f"{name}-{uuid.uuid4().hex[:8]}"
        return file, (sys.executable, "-I", "-S", witness.__file__, str(file), "--token", name)


def fresh_path() -> str:
    """Return the path of an election that nobody has used."""
    return f"/{NAMESPACE}/{uuid.uuid4().hex[:12]}"


@contextmanager
def operator_of(hosts: str) -> Iterator[KazooClient]:
    client = KazooClient(hosts=hosts)
    client.start()
    try:
        yield client
    finally:
        client.stop()
        client.close()


def progress(text: str) -> None:
    """Say on a terminal what is being done; an empty text wipes it."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)
