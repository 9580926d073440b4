"""Odd places to start a candidate in. Each is put before its command line, and is gone with its processes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from campaign.play import Play
from campaign.stage import HOLE

PRIVATE_MOUNTS = ("unshare", "--mount", "--propagation", "private", "sh", "-c")
"""A shell whose mounts nobody else sees."""


def small_disk(directory: Path) -> tuple[str, ...]:
    """Return what is put before a command line: a little disk of its own as directory, its log on it.

    The mount is seen by that process and its children alone, and goes with them.
    """
    script = f'mount -t tmpfs -o size=128k campaign {directory} && cd {directory} && exec "$@" 2>log'
    return (*PRIVATE_MOUNTS, script, "sh")


def without_control_group() -> tuple[str, ...]:
    """Return what is put before a command line: no control groups are to be seen, as for most who are not root.

    The tool then has to search for the processes of its command.
    """
    return (*PRIVATE_MOUNTS, 'umount --all --lazy --types cgroup2 && exec "$@"', "sh")


UNREAD = """
import os, sys
_, writing = os.pipe()
os.set_blocking(writing, False)
try:
    while os.write(writing, b"x" * 4096):
        pass
except BlockingIOError:
    pass
os.set_blocking(writing, True)
os.dup2(writing, 2)
for descriptor in (_, writing):
    os.set_inheritable(descriptor, descriptor == _)
os.execvp(sys.argv[1], sys.argv[1:])
"""


def unread_log() -> tuple[str, ...]:
    """Return what is put before a command line: its standard error is a pipe that is full, and that nobody reads."""
    return (sys.executable, "-I", "-S", "-c", UNREAD)


class Names:
    """Names of servers that a candidate can look up, until it cannot: then the name server is a black hole."""

    def __init__(self, play: Play) -> None:
        self._file = play.directory / "hosts"
        resolver = play.directory / "resolv.conf"
        resolver.write_text(f"nameserver {play.stage.network[HOLE].address}\n")
        lines = [f"{server.place.address} {play.stage.host_of(server)}.test" for server in play.stage.servers]
        self._file.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        self.servers = ",".join(
            f"{play.stage.host_of(server)}.test:{server.hosts.rpartition(':')[2]}" for server in play.stage.servers
        )
        script = f'mount --bind {self._file} /etc/hosts && mount --bind {resolver} /etc/resolv.conf && exec "$@"'
        self.wrapper = (*PRIVATE_MOUNTS, script, "sh")

    @contextmanager
    def forgotten(self, play: Play) -> Iterator[None]:
        """Have them looked up in vain."""
        with (
            play.fault("no name can be looked up", harm=0),
            play.stage.network.cut(play.stage.network, [play.stage.network[HOLE]]),
        ):
            self._file.write_text("127.0.0.1 localhost\n")
            yield
