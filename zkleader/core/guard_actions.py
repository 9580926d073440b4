"""What ``termination`` wants done, as the guard's loop performs it.

It owns the names of the effects that the guard has on the world.  It must not know why one is wanted, nor how it is
done.  An action promises nothing: that a kill took effect is told by an event, or never.
"""

from __future__ import annotations

from zkleader.core import wire
from zkleader.core.acts import Act
from zkleader.core.lease import Instant
from zkleader.core.value import Value


class Spawn(Value):
    """Fork and execute the command, or a hook, with this added to its environment.

    ``frozen``: into a control group that is frozen already, so that it does nothing before a Thaw.
    """

    act: Act = Act.COMMAND
    lease_start: Instant
    environment: dict[str, str]
    frozen: bool = False


class SendStopSignal(Value):
    """Send the stop signal, and SIGCONT, to everything of the command."""


class ForwardSignal(Value):
    """Send a signal to the command's first process or to its group, if it has not been reaped."""

    signal: int
    to_group: bool


class ContinueCommand(Value):
    """Send SIGCONT to the command's group, if its first process has not been reaped."""


class LookForStop(Value):
    """Hand in that the command's first process is stopped, if it is, though that was done before."""


class Freeze(Value):
    """Freeze everything in the command's control group, what will be forked into it too; it takes effect in a while."""


class Thaw(Value):
    """Let it go on."""


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
    | LookForStop
    | Freeze
    | Thaw
    | Kill
    | Report
    | KillSupervisor
    | ReleaseForSupervisor
    | AbandonRelease
    | Exit
)
