"""What ``run`` was told to do, checked once.

All inequalities between durations stand here; the durations that follow from others are in ``core.lease``.  Options,
environment and files are somebody else's business: this module is handed values and says whether they can work.  It
does not promise that a server exists or that the command ends well.
"""

from __future__ import annotations

import os
import re
from enum import Enum

from zkleader.core.acts import Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import LONGEST_LEASE, SHORTEST_LEASE, Timing
from zkleader.core.restart import Restart
from zkleader.core.value import Value
from zkleader.zk.access import Access
from zkleader.zk.hosts import check_path

DEFAULT_LEASE = 20.0
DEFAULT_GRACE = 5.0
DEFAULT_CONNECT_TIMEOUT = 15.0

ELECTIONS = "/zkleader"
"""Elections that are given by name lie below this."""

LONGEST_PATH = 1024
"""Bytes of an election's path.  ZooKeeper would take more, but it goes into the command's environment and every log
line."""

LONGEST_IDENTITY = 255
"""Bytes of an id: as long as a host name may be."""

_NOT_PASSED_ON = (
    b"ZKLEADER_TOKEN",
    b"ZKLEADER_ELECTION",
    b"ZKLEADER_ID",
    b"ZKLEADER_SLOT",
    b"ZKLEADER_REASON",
    b"NOTIFY_SOCKET",
)
_TAKEN_OUT = (b"ZKLEADER_RUN_", b"WATCHDOG_")
"""How the other names begin that the command does not get."""

_VERSIONED = r"(python|pypy|perl|ruby|php|lua|node|java)[\d.]*(w|m)?"
# fmt: off
_WRAPPERS = frozenset({
    "ash", "bash", "busybox", "chroot", "chronic", "chrt", "csh", "dash", "doas", "docker", "env", "exec", "fish",
    "flock", "ionice", "ksh", "nice", "nohup", "nsenter", "podman", "runuser", "screen", "setpriv", "setsid",
    "sh", "ssh", "stdbuf", "strace", "su", "sudo", "systemd-run", "taskset", "tcsh", "time", "timeout", "tini",
    "tmux", "unshare", "watch", "xargs", "zsh",
})
# fmt: on
"""Programs whose name says nothing about the job that they run."""


class UsageProblem(ValueError):  # noqa: N818 # not an error of ours: the message is for the user
    """A value or a combination is wrong (64); ``option`` is the long name of the one to blame, if it is one."""

    def __init__(self, message: str, option: str | None = None) -> None:
        super().__init__(message)
        self.option = option


class ConfigurationProblem(ValueError):  # noqa: N818 # as above
    """The values are well-formed but cannot work (78)."""


class CommandProblem(Exception):  # noqa: N818 # as above
    """The command was not found (127) or cannot be executed (126)."""

    def __init__(self, message: str, *, found: bool) -> None:
        super().__init__(message)
        self.found = found


class OnLoss(Enum):
    """What to do after losing leadership."""

    EXIT = "exit"
    REJOIN = "rejoin"


class Config(Value):
    """One run.  Durations in seconds; ``election`` is the path below the chroot; ``wait`` None: for ever."""

    access: Access
    connect_timeout: float
    election: str
    id: str
    leaders: int
    wait: float | None
    conflict_status: int
    timing: Timing
    stop_signal: int
    on_disconnect: OnDisconnect
    on_loss: OnLoss
    once_per: float | None
    retry_failed: bool
    restart: Restart
    restart_delay: float
    on_elected: bytes | None
    on_lost: bytes | None
    hook_timeout: float
    argv: tuple[bytes, ...]
    executable: bytes
    environment: dict[bytes, bytes]

    @property
    def outage_ridden_out(self) -> float:
        """The longest outage, as far as the lease goes, that does not cost the leadership."""
        return 0.0 if self.on_disconnect is OnDisconnect.STOP else self.timing.ridden_out

    @property
    def hooks(self) -> Hooks:
        """Which hooks there are."""
        has_elected, has_lost = self.on_elected is not None, self.on_lost is not None
        return Hooks(on_elected=has_elected, on_lost=has_lost, timeout=self.hook_timeout)

    @property
    def command_name(self) -> str:
        """The base name of the command, for people."""
        return os.fsdecode(os.path.basename(self.argv[0]))


def show(seconds: float) -> str:
    """Return a duration the way options take it."""
    return f"{round(seconds, 3):g}s"


def check_lease(lease: float) -> None:
    """Refuse a lease that cannot work, whatever else is said.

    Raises:
        UsageProblem: it is out of range.
    """
    if not SHORTEST_LEASE <= lease <= LONGEST_LEASE:
        raise UsageProblem(f"{show(lease)} is not within {show(SHORTEST_LEASE)} and {show(LONGEST_LEASE)}", "--lease")


def check_timing(timing: Timing) -> None:
    """Refuse a timing that cannot work.

    Raises:
        UsageProblem: the lease is out of range.
        ConfigurationProblem: the parts do not fit into the lease.
    """
    check_lease(timing.lease)
    needed = timing.grace + timing.margin + timing.kill_allowance + 3 * timing.renewal_interval
    if not needed <= timing.lease:  # so that what is no number does not fit either
        raise ConfigurationProblem(
            f"cannot use this timing: --grace {show(timing.grace)} + margin {show(timing.margin)} + kill allowance "
            f"{show(timing.kill_allowance)} + 3 renewal intervals {show(3 * timing.renewal_interval)} = {show(needed)} "
            f"must not exceed --lease {show(timing.lease)}"
        )


def check_period(once_per: float | None, timing: Timing, *, retry_failed: bool) -> None:
    """Refuse a period that cannot work.

    Raises:
        UsageProblem: it is shorter than the lease, or --retry-failed stands without it.
    """
    if once_per is None and retry_failed:
        raise UsageProblem("it needs --once-per", "--retry-failed")
    if once_per is not None and once_per < timing.lease:
        raise UsageProblem(f"{show(once_per)} is shorter than --lease {show(timing.lease)}", "--once-per")


def check_leaders(leaders: int, once_per: float | None) -> None:
    """Refuse several leaders of what is to be run once.

    Raises:
        UsageProblem: they contradict each other.
    """
    if leaders > 1 and once_per is not None:
        raise UsageProblem(f"{leaders} contradicts --once-per: what runs once has one leader", "--leaders")


def check_restart(
    restart: Restart, once_per: float | None, *, has_delay: bool, rejoins_after_hook: bool = False
) -> None:
    """Refuse to restart what is to be run once, and a delay for what neither is restarted nor comes back.

    ``rejoins_after_hook``: after a failed on-elected we campaign again.

    Raises:
        UsageProblem: they contradict each other.
    """
    if restart is not Restart.NEVER and once_per is not None:
        raise UsageProblem(f"'{restart.value}' contradicts --once-per", "--restart")
    if restart is Restart.NEVER and has_delay and not rejoins_after_hook:
        raise UsageProblem("it needs --restart, or --on-elected with --on-loss rejoin", "--restart-delay")


def check_files(result: str | None, metrics: str | None) -> None:
    """Refuse one file for both: what is written last would be all that is left.

    Raises:
        UsageProblem: they are one.
    """
    if result and metrics and _entry(result) == _entry(metrics):
        raise UsageProblem(f"'{metrics}' is the file of --result", "--metrics-textfile")


def _entry(path: str) -> tuple[str, str]:
    """Return what a file is written as, however it is named: a name in a directory, and never through a link."""
    directory, name = os.path.split(path)
    return os.path.realpath(directory), name


def tightness(timing: Timing, servers: int) -> str:
    """Return why one silent server may cost the leadership, or an empty string if it does not."""
    needed = (
        timing.grace
        + timing.margin
        + timing.kill_allowance
        + 2 * timing.renewal_interval
        + timing.request_timeout
        + servers * timing.connect_cap
        + timing.reconnect_delay
    )
    if needed <= timing.lease:
        return ""
    return (
        f"--grace {show(timing.grace)} leaves too little of --lease {show(timing.lease)} to go from a silent server to "
        f"the next of {servers}: that takes a lease of {show(needed)}"
    )


def election_path(name: str | None, command: str) -> str:
    """Return the path of the election that the user named, or that the command's name stands for.

    Raises:
        UsageProblem: there is no usable name.
    """
    if name is None:
        base = os.path.basename(command)
        if base in _WRAPPERS or re.fullmatch(_VERSIONED, base):
            raise UsageProblem(f"'{base}' says nothing about the job: name the election with -e")
        name = base
    return path_named(name, "--election")


def path_named(name: str, option: str) -> str:
    """Return the path of the election that was named by an option or argument.

    Raises:
        UsageProblem: there cannot be such an election.
    """
    if not name:
        raise UsageProblem("it is empty", option)
    path = name if name.startswith("/") else f"{ELECTIONS}/{name}"
    try:
        check_path(path, "election")
    except ValueError as error:
        raise UsageProblem(str(error), option) from None
    if len(path.encode()) > LONGEST_PATH:
        raise UsageProblem(f"its path is longer than {LONGEST_PATH} bytes", option)
    return path


def check_identity(text: str) -> str:
    """Return how the candidate is to be shown.

    Raises:
        UsageProblem: it cannot be shown in one line.
    """
    if not text or not text.isprintable():
        raise UsageProblem("it is empty or has characters that cannot be shown", "--id")
    if len(text.encode()) > LONGEST_IDENTITY:
        raise UsageProblem(f"it is longer than {LONGEST_IDENTITY} bytes", "--id")
    return text


def find_command(name: str, search_path: str) -> bytes:
    """Return the file to execute, looked for the way execvp does.

    Raises:
        CommandProblem: there is none, or it may not be executed.
    """
    if not name:
        raise CommandProblem("cannot run '': empty command name", found=False)
    candidates = [name] if "/" in name else [os.path.join(part or ".", name) for part in search_path.split(":")]
    refused = None
    for candidate in candidates:
        if os.path.isfile(candidate):
            if os.access(candidate, os.X_OK):
                return os.fsencode(candidate)
            refused = "permission denied"
        elif os.path.isdir(candidate):
            refused = refused or "is a directory"
    if refused is not None:
        raise CommandProblem(f"cannot run {name}: {refused}", found=True)
    raise CommandProblem(f"cannot run {name}: not found", found=False)


def command_environment() -> dict[bytes, bytes]:
    """Return our own environment as we got it, less what is not for the command.

    From the bytes that the kernel keeps: Python may have added to its own copy (LC_CTYPE), and cannot hold every byte.
    """
    environment: dict[bytes, bytes] = {}
    with open("/proc/self/environ", "rb") as source:
        entries = source.read().split(b"\0")
    for entry in entries:
        name, equals, value = entry.partition(b"=")
        is_ours = name in _NOT_PASSED_ON or name.startswith(_TAKEN_OUT)
        if equals and name and name not in environment and not is_ours:
            environment[name] = value
    return environment
