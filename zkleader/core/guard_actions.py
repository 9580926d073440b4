"""What ``termination`` wants done, as the guard's loop performs it.

It owns the names of the effects that the guard has on the world.  It must not know why one is wanted, nor how it is
done.  An action promises nothing: that a kill took effect is told by an event, or never.
"""

from __future__ import annotations

from zkleader.core import wire
from zkleader.core.lease import Instant
from zkleader.core.value import Value


class Spawn(Value):
    """Fork and execute the command with this added to its environment."""

    lease_start: Instant
    environment: dict[str, str]


class SendStopSignal(Value):
    """Send the stop signal, and SIGCONT, to everything of the command."""


class ForwardSignal(Value):
    """Send a signal to the command's first process or to its group, if it has not been reaped."""

    signal: int
    to_group: bool


class ContinueCommand(Value):
    """Send SIGCONT to the command's group, if its first process has not been reaped."""


class Kill(Value):
    """One more pass of SIGKILL over everything of the command."""


class Report(Value):
    """Tell the supervisor."""

    message: wire.Message


class KillSupervisor(Value):
    """SIGKILL the supervisor."""


class ReleaseForSupervisor(Value):
    """Start the program that releases the lease, or deletes the candidate, of this guid."""

    guid: str


class AbandonRelease(Value):
    """SIGKILL that program: it has had its time."""


class Exit(Value):
    """The guard ends."""


Action = (
    Spawn
    | SendStopSignal
    | ForwardSignal
    | ContinueCommand
    | Kill
    | Report
    | KillSupervisor
    | ReleaseForSupervisor
    | AbandonRelease
    | Exit
)
