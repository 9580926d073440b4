"""What the guard learns, as its loop hands it to ``termination``.

It owns the names of what the guard finds out by itself; what the supervisor says is an event as it stands
(``core.wire``).  It must not know what follows from any of it.  Nothing here promises that what it tells is still so.
"""

from __future__ import annotations

from zkleader.core import wire
from zkleader.core.value import Value


class Executed(Value):
    """The command's process has executed the command."""

    pid: int


class NotExecuted(Value):
    """The command's process could not execute the command, or was too late; it ends without having done anything."""

    refusal: wire.TooLate | wire.ExecFailed


class FirstStopped(Value):
    """The command's first process was stopped, as ``wire.FirstStopped`` says."""

    pid: int
    signal: int
    wants_terminal: bool


class Frozen(Value):
    """The kernel says that everything in the command's control group is frozen."""


class FirstReaped(Value):
    """The command's first process was reaped.  ``alone``: nothing else lives, so there is nobody to stop."""

    wait_status: int
    alone: bool


class TreeGone(Value):
    """Proof, not absence of evidence: nothing of the command exists.  The counts are for the report."""

    signalled: int
    killed: int


class Tick(Value):
    """Time has passed, and everything that had arrived before was handed in."""


class SupervisorAbsent(Value):
    """The supervisor is stopped, or was silent for longer than a healthy one would be."""


class SupervisorSilent(Value):
    """The supervisor was silent for so long that it holds up the election, and it is not merely stopped."""


class SupervisorGone(Value):
    """The supervisor is dead, or its end of the socket is closed."""


class ReleaseEnded(Value):
    """The program that releases for the supervisor has ended, or could not be started."""


Event = (
    wire.Message
    | Executed
    | NotExecuted
    | FirstStopped
    | Frozen
    | FirstReaped
    | TreeGone
    | Tick
    | SupervisorAbsent
    | SupervisorSilent
    | SupervisorGone
    | ReleaseEnded
)
