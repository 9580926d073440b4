"""What the guard knows: the phase that it is in, its lease, and the causes to stop that it has met.

    IDLE -> STARTING -> RUNNING -> STOPPING -> KILLING -> GONE -> RELEASING -> RELEASED -> EXITED

Every phase may be skipped forwards and none is entered twice.  That a guard starts a command at most once is the
finality on which a release for a frozen supervisor rests.

It owns the one Enum of that, and what is kept beside it.  It must not decide: that is ``termination``'s, which replaces
a state by the next.  It does not promise that a combination of these values makes sense; only that ``step`` makes none
that does not.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from zkleader.core import wire
from zkleader.core.lease import Instant, Timing
from zkleader.core.value import Value
from zkleader.core.wire import Cause


class Phase(Enum):
    """The guard's one state machine."""

    IDLE = "idle"
    """Nothing was started yet."""
    STARTING = "starting"
    """The command's process exists, and has not been seen to execute the command."""
    RUNNING = "running"
    """The command runs, and nobody wants it stopped."""
    STOPPING = "stopping"
    """The stop signal was sent."""
    KILLING = "killing"
    """SIGKILL was sent, and is repeated until there is proof."""
    GONE = "gone"
    """Nothing of a command exists, and nothing will be started any more."""
    RELEASING = "releasing"
    """A program releases in the supervisor's place."""
    RELEASED = "released"
    """That program has ended; the guard stays for a supervisor that may yet be continued."""
    EXITED = "exited"
    """The guard has nothing left to do."""


COMMAND_EXISTS = (Phase.STARTING, Phase.RUNNING, Phase.STOPPING, Phase.KILLING)
"""The phases in which something of the command may exist."""


class Supervisor(Enum):
    """What is known of the other process."""

    ANSWERING = "answering"
    ABSENT = "absent"
    """Stopped, or silent for longer than a healthy one would be; it may come back."""
    GONE = "gone"
    """Dead, or its end of the socket is; it cannot come back."""
    DISMISSED_US = "dismissed_us"
    """It needs us no longer and has released, or will release, itself."""


class Limit(NamedTuple):
    """A deadline: so many seconds ``after`` the instant ``since``, counted as a holder must."""

    since: Instant
    after: float

    def left(self, now: Instant) -> float:
        """Seconds that are left; zero or less when it has passed."""
        return self.after - now.held_since(self.since)


class State(Value):
    """Everything that the decisions depend on."""

    timing: Timing
    phase: Phase = Phase.IDLE
    supervisor: Supervisor = Supervisor.ANSWERING
    guid: str | None = None
    """Of the candidacy that would have to be released; None before there is one."""
    lease_start: Instant | None = None
    """When the last renewal that counts was sent; None before a start was asked for."""
    cause: Cause | None = None
    """The first cause that was met: the one told."""
    loss: Cause | None = None
    """The first cause that ended leadership itself; from then on nothing starts and no renewal counts."""
    forwards: tuple[wire.Forward, ...] = ()
    """Signals that came while the command was being started, in order: they are its own as soon as it is there."""
    refusal: wire.TooLate | wire.ExecFailed | None = None
    """Why the command was never executed; told instead of its end."""
    wait_status: int = 0
    """The first process's, raw, once it was reaped."""
    stop_began: Instant | None = None
    kill_began: Instant | None = None
    kill_limit: Limit | None = None
    """The earliest SIGKILL that the causes met so far ask for; the lease's own always holds beside it."""
    release_limit: Limit | None = None
