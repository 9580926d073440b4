"""One instance of the example unit on a host, with a short lease, and a witness as COMMAND unless told otherwise.

Changed is what the test needs to be fast and to see anything; type, watchdog, signals, delegation and the sandbox are
the example's own.
"""

import sys
import uuid
from pathlib import Path

from host import Host, visible_directories
from processes import look_at
from waiting import wait_until

LEASE = 4.0
GRACE = 1.0
WATCHDOG = 3.0
WITNESS = Path(__file__).resolve().parent.parent / "witness.py"


class Service:
    """A `zkleader@NAME.service`; NAME is made unique, so that tests do not meet."""

    def __init__(
        self,
        host: Host,
        name: str,
        *options: str,
        command: tuple[str, ...] = (),
        witness: tuple[str, ...] = (),
        settings: tuple[str, ...] = (),
        template: str = "zkleader",
    ) -> None:
        self.host = host
        self.unit = f"{template}@{name}-{uuid.uuid4().hex[:8]}.service"
        self.log = f"/run/{self.unit}.log"
        election = options[options.index("-e") + 1].rpartition("/")[2]
        own_command = (sys.executable, "-I", "-S", str(WITNESS), f"/run/beats/{election}", *witness)
        timing = ("--lease", f"{LEASE}s", "-g", f"{GRACE}s")
        line = (sys.executable, "-m", "zkleader", "run", "-v", "--id", name, *timing, *options, "--")
        lines = [
            "[Unit]",
            "DefaultDependencies=no",
            "[Service]",
            "EnvironmentFile=",
            "ExecStart=",
            f"ExecStart={' '.join(map(quoted, (*line, *(command or own_command))))}",
            f"WatchdogSec={WATCHDOG}",
            "ProtectHome=tmpfs",
            f"BindReadOnlyPaths={' '.join(visible_directories())}",
            "ReadWritePaths=/run/beats",
            "UMask=0000",
            "Environment=PYTHONDONTWRITEBYTECODE=1",
            f"StandardError=append:{self.log}",
            *settings,
        ]
        host.write(f"/etc/systemd/system/{self.unit}.d/test.conf", "\n".join(lines) + "\n")
        host.systemctl("daemon-reload")

    def start(self) -> None:
        """Start the unit; return when it has said that it is ready."""
        self.host.systemctl("start", self.unit)

    def wait_for(self, deadline: float = 20.0, **wanted: str) -> dict[str, str]:
        """Return the unit's properties once they begin with what is wanted."""
        return self.host.wait_for(self.unit, deadline, **wanted)

    def shown(self, name: str) -> str:
        """Return a property of the unit."""
        return self.host.show(self.unit)[name]

    def pids(self) -> list[int]:
        """Return the pids of all processes of the unit, as we see them."""
        return self.host.pids_of(self.unit)

    def guard_pid(self) -> int:
        """Return the guard's pid, as we see it."""

        def find() -> int:
            found = [pid for pid in self.pids() if (seen := look_at(pid)) and "zkleader/guard/" in seen.command]
            return found[0] if found else 0

        return wait_until(find, what=f"the guard of {self.unit}")

    def supervisor_pid(self) -> int:
        """Return the main process's pid, as we see it."""
        return self.host.main_pid(self.unit)

    def report(self) -> str:
        """Return what the unit logged."""
        return self.host.read(self.log)

    def close(self) -> None:
        """Kill whatever is left of the unit, and forget it."""
        self.host.write(f"/etc/systemd/system/{self.unit}.d/zz.conf", "[Service]\nRestart=no\nTimeoutStopSec=1\n")
        for command in (("daemon-reload",), ("kill", "-s", "KILL", self.unit), ("stop", self.unit)):
            self.host.run("systemctl", *command, check=False)
        self.host.run("systemctl", "reset-failed", self.unit, check=False)


def quoted(word: str) -> str:
    """Return a word as ExecStart= takes it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{escaped}"'
