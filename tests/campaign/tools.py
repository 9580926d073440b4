"""The tools on trial: how each is started, and what it has that a nemesis can reach. All else is the same for all.

Each is used as its own documentation says, with the lease as its session timeout or time to live. Where it leaves a
choice, both ways are tools of their own.
"""

import atexit
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from campaign import etcd
from zkleader.demo.server import find_classpath, find_java

PEERS = Path(__file__).with_name("peers")
CURATOR = tuple(f"/usr/share/java/curator-{part}.jar" for part in ("client", "framework", "recipes"))
GUAVA = "/usr/share/java/guava.jar"
JVM_OPTIONS = ("-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")


class Task(NamedTuple):
    """What a candidate is to do: stand for election at these servers, and run COMMAND while it leads."""

    servers: str
    election: str
    candidate: str
    lease: float
    """Seconds; for a tool that knows no lease, its session timeout or time to live."""
    grace: float
    """Seconds from the stop signal to SIGKILL, whoever asked for it; for a tool that knows such a thing."""
    options: tuple[str, ...]
    """Further ones, of the tool."""
    command: tuple[str, ...]


class Tool:
    """One tool, as a peer is: without a second process, without a record, and with nothing promised of its end."""

    name: str
    kind = "zookeeper"
    """Of servers."""
    has_guard = False
    """A second process that can be killed and frozen by itself."""
    has_record = False
    """Something in the store, beside the candidates, that an operator can destroy."""
    has_policies = False
    """It can be told what is to become of its command while it is cut off."""
    has_hooks = False
    """Programs that it runs before COMMAND starts and after it is gone."""
    has_slots = False
    """Several may lead at once."""
    asks_library_for_time = True
    """Its wall clock is the C library's, and so can be stepped."""
    ends_clean = False
    """It promises to leave nothing behind; else that is not looked at."""

    def why_not(self) -> str:
        """Return why it cannot be tried here, or an empty string."""
        return ""

    def misses(self, needs: Sequence[str]) -> str:
        """Return what it has not of what a scenario needs, or an empty string."""
        if "guard" in needs and not self.has_guard:
            return "it has no second process"
        if "record" in needs and not self.has_record:
            return "it has no lease record"
        if "policy" in needs and not self.has_policies:
            return "it has no such policy"
        if "hooks" in needs and not self.has_hooks:
            return "it has no hooks"
        if "slots" in needs and not self.has_slots:
            return "it has one leader"
        if "wall clock" in needs and not self.asks_library_for_time:
            return "its clock cannot be stepped"
        return ""

    def line(self, task: Task) -> list[str]:
        """Return the command line of a candidate."""
        raise NotImplementedError

    def hook_options(self, _line: str) -> tuple[str, ...]:
        """Return the options that have it run a shell's line before and after COMMAND, if it can."""
        return ()

    def result_options(self, _file: str) -> tuple[str, ...]:
        """Return the options that have the tool write its result to a file, if it can."""
        return ()


class Zkleader(Tool):
    """The one of this project."""

    name = "zkleader"
    has_hooks = True
    has_guard = True
    has_record = True
    has_policies = True
    has_slots = True
    ends_clean = True

    def line(self, task: Task) -> list[str]:
        where = ["-z", task.servers, "-e", task.election, "--id", task.candidate]
        timing = ["--lease", f"{task.lease}s", "--grace", f"{task.grace}s", "--stop-timeout", f"{task.grace}s"]
        return [sys.executable, "-m", "zkleader", "run", "-v", *where, *timing, *task.options, "--", *task.command]

    def hook_options(self, line: str) -> tuple[str, ...]:
        return ("--on-elected", line, "--on-lost", line)

    def result_options(self, file: str) -> tuple[str, ...]:
        return ("--result", file)


class KazooElection(Tool):
    """Python: kazoo's Election. `policy`: the state of the connection at which the command is stopped."""

    def __init__(self, policy: str) -> None:
        self.name = f"kazoo-{policy}"
        self._policy = policy

    def line(self, task: Task) -> list[str]:
        what = [task.servers, f"{task.lease}", f"{task.grace}", f"/zkleader/{task.election}", task.candidate]
        return [sys.executable, str(PEERS / "kazoo_election.py"), self._policy, *what, *task.command]


class CuratorLatch(Tool):
    """Java: Curator's LeaderLatch with a listener. `policy`: the states of the connection that it takes for a loss.

    Compiled, because a Java that runs a source file as it is must have the compiler too.
    """

    def __init__(self, policy: str) -> None:
        self.name = f"curator-{policy}"
        self._policy = policy

    def why_not(self) -> str:
        if not shutil.which("javac"):
            return "there is no javac (tests/setup --peers)"
        if not all(map(os.path.exists, CURATOR)):
            return "there is no Curator (tests/setup --peers)"
        return ""

    def line(self, task: Task) -> list[str]:
        milliseconds = [str(int(seconds * 1000)) for seconds in (task.lease, task.grace)]
        what = [task.servers, *milliseconds, f"/zkleader/{task.election}", task.candidate]
        classes = f"{_compiled()}:{_class_path()}"
        return [find_java(), *JVM_OPTIONS, "-cp", classes, "Latch", self._policy, *what, *task.command]


class EtcdctlLock(Tool):
    """Go: `etcdctl lock NAME COMMAND`, with all servers as endpoints and the lease as --ttl.

    Its documentation says that the lock is held until etcdctl is terminated. There is no option for what becomes of the
    command before that, and so no grace.
    """

    name = "etcdctl-lock"
    kind = "etcd"
    asks_library_for_time = False

    def why_not(self) -> str:
        return etcd.why_not()

    def line(self, task: Task) -> list[str]:
        options = [f"--endpoints={task.servers}", f"--ttl={round(task.lease)}"]
        return [str(etcd.PROGRAMS / "etcdctl"), "lock", *options, "--", task.election, *task.command]


def _class_path() -> str:
    return ":".join((*CURATOR, GUAVA, find_classpath()))


@cache
def _compiled() -> str:
    """Return where the class of the peer lies, compiled once a run."""
    directory = tempfile.mkdtemp(prefix="zkleader-campaign-classes-")
    atexit.register(shutil.rmtree, directory)
    line = ["javac", "-d", directory, "-cp", _class_path(), str(PEERS / "Latch.java")]
    subprocess.run(line, check=True, timeout=120)
    return directory


TOOLS: dict[str, Tool] = {
    tool.name: tool
    for tool in (
        Zkleader(),
        KazooElection("lost"),
        KazooElection("suspended"),
        CuratorLatch("session"),
        CuratorLatch("standard"),
        EtcdctlLock(),
    )
}
ZKLEADER = TOOLS["zkleader"]
