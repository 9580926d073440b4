"""One candidate on its host: a run of a tool, its processes, and what its witness has written.

Owns nothing of the network and does no fault by itself. What it needs to know of a candidate it learns from the kernel
and from the witness, so that it is the same for every tool.
"""

import contextlib
import os
import shlex
import socket
import struct
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from program import Program
from waiting import wait_until
from witness import Beat, read_beats

from campaign.hosts import Host
from campaign.tools import Task, Tool

WITNESS = Path(__file__).resolve().parent.parent / "witness.py"
LONGEST_LINE = 200  # bytes of a witness's
ALIVE = 0.25  # seconds since the last act, of a witness that acts every two thousandths
ESTABLISHED = "01"  # in /proc/net/tcp


class Candidate:
    """A candidate; `wrapper` is put before its command line, `witness` are options of its COMMAND.

    With `hooks`, their options, it has hooks. These are witnesses as well, whose beats count as COMMAND's do.
    """

    def __init__(
        self,
        name: str,
        tool: Tool,
        host: Host,
        task: Task,
        directory: Path,
        *,
        witness: tuple[str, ...] = (),
        hooks: tuple[str, ...] = (),
        wrapper: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        self.name = name
        self.tool = tool
        self.host = host
        self.beats = directory / f"{name}.beats"
        self.directory = directory / f"{name}.cwd"
        self.directory.mkdir(exist_ok=True)
        acting = (sys.executable, "-I", "-S", str(WITNESS), str(self.beats), "--candidate", name)
        if hooks:
            task = task._replace(options=(*task.options, *tool.hook_options(shlex.join((*acting, *hooks)))))
        line = tool.line(task._replace(candidate=name, command=(*acting, *witness)))
        environment = {"TMPDIR": str(self.directory), **(env or {})}
        with host.entered():
            self.program = Program(command=(*wrapper, *line), env=environment, cwd=self.directory)

    def __repr__(self) -> str:
        return self.name

    @property
    def pid(self) -> int:
        """The tool's process: for zkleader the supervisor."""
        return self.program.pid

    @property
    def has_ended(self) -> bool:
        """Whether the tool's process has."""
        return self.program.returncode is not None

    def processes_of(self, *parts: str) -> list[int]:
        """Return the pids of these parts: "supervisor", "guard"."""
        return [self.pid if part == "supervisor" else self.program.guard_pid(deadline=2) for part in parts]

    # What its command does. ------------------------------------------------------------------------------------------

    @property
    def last_beat(self) -> Beat | None:
        """The last act of its command, in any tenure; None if it never acted."""
        try:
            with self.beats.open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(max(0, size - LONGEST_LINE))
                tail = file.read().decode().splitlines(keepends=True)
        except FileNotFoundError:
            return None
        beats = read_beats(tail[1:] if size > LONGEST_LINE else tail)
        return beats[-1] if beats else None

    @property
    def token(self) -> int:
        """The token of its last tenure; 0 if it had none."""
        beat = self.last_beat
        return beat.token if beat is not None else 0

    @property
    def is_acting(self) -> bool:
        """Whether its command acts at this moment."""
        beat = self.last_beat
        return beat is not None and time.monotonic_ns() - beat.at_ns < ALIVE * 1e9

    # Whom it talks to. -----------------------------------------------------------------------------------------------

    def peers(self) -> set[str]:
        """Return the addresses of the other ends of its host's connections."""
        # An address is hexadecimal in the order of the processor; of a mapped one the end counts.
        words = [int(row[1].partition(":")[0][-8:], 16) for row in self._sockets() if row[2] == ESTABLISHED]
        return {socket.inet_ntoa(struct.pack("=I", word)) for word in words}

    def local_ports(self) -> set[str]:
        """Return the own ends of its host's connections."""
        return {row[0] for row in self._sockets() if row[2] == ESTABLISHED}

    def connections(self, pid: int) -> set[int]:
        """Return the descriptors of one of its processes that are connections."""
        wanted = {f"socket:[{row[8]}]" for row in self._sockets()}
        found = set()
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):
                if os.readlink(entry) in wanted:
                    found.add(int(entry.name))
        return found

    def _sockets(self) -> list[list[str]]:
        """Return the kernel's rows: own and remote address, state, and further on the inode."""
        try:
            tables = [Path(f"/proc/{self.pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
        except FileNotFoundError:
            return []  # it has ended, as one does at once that is not to go on without its connection
        return [line.split()[1:] for table in tables for line in table]

    def wait_connected(self) -> None:
        """Wait until it is connected to somebody."""
        wait_until(self.peers, deadline=15, what=f"a connection of {self}")

    # Its end. --------------------------------------------------------------------------------------------------------

    def report(self) -> str:
        """Return what it wrote and what of it lives."""
        return self.program.report()

    def close(self) -> None:
        """Kill whatever is left of it."""
        self.program.close()
