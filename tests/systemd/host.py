"""A host with a real systemd: PID 1 of namespaces of its own, on a root file system of its own.

Owns starting it, reaching it, and ending it to the last process. What it must never do: let that systemd see the real
/tmp (systemd-tmpfiles empties it), a mount of this host that can be written to, or a control group but its own leaf (at
the root it would move every process). The script that makes the root looks at its own mounts and gives up before
systemd starts when one of them is not what it should be.

The network is a namespace too; a relay carries connections from the host's loopback to a server outside.
"""

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Self

from processes import bound_to_us, children
from relay import Relay
from waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
SYSTEMD = "/lib/systemd/systemd"
NAMESPACES = ("--fork", "--kill-child", "--pid", "--mount", "--uts", "--ipc", "--cgroup", "--net")
TARGET = "tests.target"
# They would change what belongs to the kernel, or wait for devices that are not there.
MASKED = (
    "systemd-tmpfiles-setup.service",
    "systemd-tmpfiles-setup-dev.service",
    "systemd-tmpfiles-clean.timer",
    "systemd-sysctl.service",
    "systemd-sysusers.service",
    "systemd-udevd.service",
    "systemd-udev-trigger.service",
    "systemd-random-seed.service",
)
OWN_FILE_SYSTEMS = ("tmpfs", "proc", "cgroup2", "devpts", "mqueue", "hugetlbfs", "ramfs")
"""Each mount of these is a new one, or shows what the namespaces let be seen."""

# $1: where the new root is to be; $2: our control group; further: directories to be seen inside, read-only.
MAKE_ROOT = r"""
set -eu
root=$1; shift
mount --make-rprivate /
mount -t tmpfs -o mode=755 tests "$root"
cd "$root"
mkdir -p usr proc sys dev run tmp etc/systemd/system var/lib var/log root old
chmod 1777 tmp
for directory in /usr "$@"; do
    mkdir -p ".$directory"
    mount --bind "$directory" ".$directory"
    mount -o remount,bind,ro ".$directory"
done
for name in bin sbin lib lib32 lib64 libx32; do
    if [ -L "/$name" ]; then cp -a "/$name" "$name"; fi
done
cp /etc/ld.so.cache /etc/passwd /etc/group etc/
printf '%s: files\n' passwd hosts >etc/nsswitch.conf
printf '%032d\n' 1 >etc/machine-id
mount -t proc proc proc
# Kernel settings are the host's.
for path in proc/sys proc/sysrq-trigger; do
    [ -e $path ] || continue
    mount --bind $path $path
    mount -o remount,bind,ro $path
done
mount -t sysfs -o ro sysfs sys
# Not a mount, /dev would be made one by systemd: the devtmpfs that all share.
mount -t tmpfs -o mode=755 tests dev
mkdir dev/shm dev/pts
mount -t cgroup2 cgroup2 sys/fs/cgroup
for device in null:3 zero:5 full:7 random:8 urandom:9; do
    mknod -m 666 "dev/${device%:*}" c 1 "${device#*:}"
done
ln -s pts/ptmx dev/ptmx  # PrivateDevices= wants it
for unit in $MASKED; do ln -s /dev/null "etc/systemd/system/$unit"; done
printf '[Unit]\nDefaultDependencies=no\nAllowIsolate=yes\n' >"etc/systemd/system/$TARGET"
printf '[Manager]\nShowStatus=no\nLogTarget=null\n' >etc/systemd/system.conf
pivot_root . old
umount -l /old
rmdir /old
# Fields 5 and 6 of a line of mountinfo are where and how; what is ours begins with these.
while read -r _ _ _ _ where how _; do
    case $where in
        / | /dev | /proc | /sys/fs/cgroup) ;;
        *) case $how in ro | ro,*) ;; *) echo "$where is writable" >&2; exit 1 ;; esac ;;
    esac
done </proc/self/mountinfo
# A control group that has no parent here must still be our leaf, or this is the root of all.
[ "$(cat /proc/self/cgroup | sed -n s/^0:://p)" = / ]
[ -e /sys/fs/cgroup/cgroup.kill ]
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin container=tests "$SYSTEMD" --system --unit="$TARGET"
"""


def control_groups() -> Path | None:
    """Return where cgroup2 is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.startswith("cgroup2 "):
            return Path(before.split()[4])
    return None


def why_not() -> str:
    """Return why there can be no such host here, or an empty string."""
    if os.geteuid() != 0:
        return "a real systemd is started by root only"
    for program in ("unshare", "nsenter", "pivot_root", "systemctl"):
        if not shutil.which(program):
            return f"there is no {program}"
    if not os.path.exists(SYSTEMD):
        return "systemd is not installed (apt-get install --no-install-recommends systemd)"
    group = control_groups()
    if group is None or not os.access(group, os.W_OK):
        return "there is no cgroup2 to make a control group in"
    probe = subprocess.run(["unshare", *NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return f"we may not have namespaces: {probe.stderr.strip()}" if probe.returncode != 0 else ""


class Host:
    """One running systemd, without services until they are written and started."""

    def __init__(self, directory: Path, *visible: str) -> None:
        parent = control_groups()
        assert parent is not None
        self._group = parent / f"zkleader-tests-{uuid.uuid4().hex[:12]}"
        self._group.mkdir()
        self._root = directory / "root"
        self._root.mkdir()
        self._relays: list[Relay] = []
        join = f'echo 0 >{shlex.quote(str(self._group))}/cgroup.procs; exec "$@"'
        make_root = ["sh", "-c", MAKE_ROOT, "sh", str(self._root), *visible]
        line = ["sh", "-c", join, "sh", "unshare", *NAMESPACES, "--propagation", "private", *make_root]
        environment = {"PATH": os.environ["PATH"], "MASKED": " ".join(MASKED), "TARGET": TARGET, "SYSTEMD": SYSTEMD}
        self._log = directory / "systemd.log"
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(bound_to_us(*line), env=environment, stdout=log, stderr=log)
        try:
            self.pid = wait_until(self._find_init, deadline=20, what="systemd as PID 1")
            wait_until(self._is_up, deadline=30, what="a systemd that is up")
            self._check_mounts()
        except BaseException:
            print(self._log.read_text(errors="replace"))
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _find_init(self) -> int:
        assert self._process.poll() is None, self._log.read_text(errors="replace")
        for pid in children(self._process.pid):
            with contextlib.suppress(OSError):
                if Path(f"/proc/{pid}/comm").read_text() == "systemd\n":
                    return pid
        return 0

    def _is_up(self) -> bool:
        return self.run("systemctl", "is-active", TARGET, check=False).strip() == "active"

    def _check_mounts(self) -> None:
        """Refuse to go on where systemd itself has mounted something that is the host's."""
        for line in Path(f"/proc/{self.pid}/mountinfo").read_text().splitlines():
            words, _, kind = line.partition(" - ")
            is_writable = words.split()[5].split(",")[0] == "rw"
            assert not is_writable or kind.split()[0] in OWN_FILE_SYSTEMS, line

    def close(self) -> None:
        """Kill systemd, and with it every process of its namespace; remove its control group."""
        for relay in self._relays:
            relay.close()
        for pid in children(self._process.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait(10)
        # Whatever was moved into the leaf and is not of the namespace (a command on its way in) is ended by it.
        (self._group / "cgroup.kill").write_text("1")
        groups = [Path(path) for path, _, _ in os.walk(self._group, topdown=False)]
        for group in groups:
            wait_until(lambda group=group: _is_removed(group), deadline=10, what=f"the removal of {group}")

    # Reaching it. ----------------------------------------------------------------------------------------------------

    def run(self, *command: str, check: bool = True, namespaces: str = "-mpCun") -> str:
        """Run a command on the host; return what it wrote."""
        enter = ["nsenter", "-t", str(self.pid), *(f"-{letter}" for letter in namespaces.removeprefix("-"))]
        result = subprocess.run([*enter, "--", *command], capture_output=True, text=True, check=False, timeout=60)
        assert result.returncode == 0 or not check, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout + result.stderr

    def systemctl(self, *arguments: str) -> str:
        return self.run("systemctl", *arguments)

    def path(self, inside: str) -> Path:
        """Return a file of the host as we reach it."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def write(self, inside: str, text: str) -> None:
        """Write a file on the host."""
        path = self.path(inside)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, inside: str) -> str:
        path = self.path(inside)
        return path.read_text(errors="replace") if path.exists() else ""

    def add_relay(self, target: str, port: int = 0) -> Relay:
        """Let the host reach a server of ours; on a port of its own loopback, a free one unless it is named."""
        self._relays.append(Relay(self.pid, target, port))
        return self._relays[-1]

    # Services. -------------------------------------------------------------------------------------------------------

    def show(self, unit: str) -> dict[str, str]:
        """Return all properties of a unit."""
        lines = self.systemctl("show", unit).splitlines()
        return {name: value for name, _, value in (line.partition("=") for line in lines)}

    def wait_for(self, unit: str, deadline: float = 20.0, **wanted: str) -> dict[str, str]:
        """Return the properties of a unit once they begin with what is wanted."""
        until = time.monotonic() + deadline
        while True:
            shown = self.show(unit)
            if all(shown.get(name, "").startswith(value) for name, value in wanted.items()):
                return shown
            if time.monotonic() > until:
                interesting = ("ActiveState", "SubState", "StatusText", "Result", "ExecMainStatus", "NRestarts")
                seen = {name: shown.get(name) for name in {*interesting, *wanted}}
                raise AssertionError(f"{unit} is not {wanted} within {deadline:g} s but {seen}")
            time.sleep(0.05)

    def pids_of(self, unit: str) -> list[int]:
        """Return the pids, as we see them, of all processes in a unit's control group and below it."""
        group = self._group / self.show(unit)["ControlGroup"].lstrip("/")
        found: list[int] = []
        for path in group.rglob("cgroup.procs") if group != self._group else ():
            with contextlib.suppress(OSError):
                found += map(int, path.read_text().split())
        return sorted(found)

    def main_pid(self, unit: str) -> int:
        """Return the pid, as we see it, of a unit's main process."""
        inside = self.show(unit)["MainPID"]
        for pid in self.pids_of(unit):
            with contextlib.suppress(OSError):
                numbers = Path(f"/proc/{pid}/status").read_text().partition("NSpid:")[2].splitlines()[0].split()
                if numbers[-1] == inside:
                    return pid
        raise AssertionError(f"{unit} has no main process")


def _is_removed(group: Path) -> bool:
    with contextlib.suppress(FileNotFoundError):
        try:
            group.rmdir()
        except OSError:
            return False
    return True


def visible_directories() -> list[str]:
    """Return what the program needs beside /usr: this checkout, and the Python that runs us with its packages."""
    wanted = {str(ROOT), sys.prefix, sys.base_prefix, os.path.dirname(os.path.realpath(sys.executable))}
    outside = sorted(path for path in wanted if not path.startswith("/usr/"))
    return [path for path in outside if not any(path.startswith(f"{other}/") for other in outside)]
