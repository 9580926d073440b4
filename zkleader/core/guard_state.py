"""What the guard knows: the phase that it is in, its lease, and the causes to stop that it has met.

    IDLE -> STARTING -> RUNNING -> STOPPING -> KILLING -> VACANT -> GONE -> RELEASING -> RELEASED -> EXITED

Every phase may be skipped forwards.  The way from STARTING to KILLING is that of one act; the next (``acts``) begins
when nothing of it is left, or from VACANT.  After a loss nothing but on-lost is begun, and after that nothing at all:
this is the finality on which a release for a frozen supervisor rests.

It owns the one Enum of that, and what is kept beside it.  It must not decide: that is ``termination``'s, which replaces
a state by the next.  It does not promise that a combination of these values makes sense; only that ``step`` makes none
that does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from zkleader.core import wire
from zkleader.core.acts import Act, Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import Instant, Timing
from zkleader.core.value import Value
from zkleader.core.wire import Cause


class Phase(Enum):
    """The guard's one state machine."""

    IDLE = "idle"
    """Nothing was started yet."""
    STARTING = "starting"
    """The process of the command, or of a hook, exists, and has not been seen to execute it."""
    RUNNING = "running"
    """It runs, and nobody wants it stopped."""
    STOPPING = "stopping"
    """The stop signal was sent."""
    KILLING = "killing"
    """SIGKILL was sent, and is repeated until there is proof."""
    VACANT = "vacant"
    """Nothing exists, and the tenure goes on: the supervisor starts the command again, or says that it is over."""
    GONE = "gone"
    """Nothing of a command exists, and nothing will be started any more."""
    RELEASING = "releasing"
    """A program releases in the supervisor's place."""
    RELEASED = "released"
    """That program has ended; the guard stays for a supervisor that may yet be continued."""
    EXITED = "exited"
    """The guard has nothing left to do."""


COMMAND_EXISTS = (Phase.STARTING, Phase.RUNNING, Phase.STOPPING, Phase.KILLING)
"""The phases in which something of the command, or of a hook, may exist."""


FREEZABLE = (Phase.STARTING, Phase.RUNNING, Phase.STOPPING)
"""The phases in which it may have to be frozen; later on SIGKILL is on its way, which takes frozen ones too."""


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


class Freezing(Value):
    """The command was told to stand still."""

    reason: str
    """A word of ``disconnect``'s."""
    since: Instant
    is_whole: bool = False
    """Whether the kernel has said that all of it does."""


class State(Value):
    """Everything that the decisions depend on."""

    timing: Timing
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    hooks: Hooks = Hooks()
    phase: Phase = Phase.IDLE
    act: Act | None = None
    """What runs, or has run last; None before a start was asked for."""
    act_began: Instant | None = None
    environment: Mapping[str, str] = {}
    """What the last start has added to the command's; hooks get it as well."""
    supervisor: Supervisor = Supervisor.ANSWERING
    guid: str | None = None
    """Of the candidacy that would have to be released; None before there is one."""
    lease_start: Instant | None = None
    """When the last renewal that counts was sent; None before a start was asked for."""
    suspended_at: Instant | None = None
    """When the supervisor last found the connection to be down, as far as it told."""
    freezing: Freezing | None = None
    """None while the command may act."""
    cause: Cause | None = None
    """The first cause that was met in this act: the one told."""
    loss: Cause | None = None
    """The first cause that ended leadership itself; from then on no command starts and no renewal counts."""
    reason: str = ""
    """What the supervisor has called the loss."""
    forwards: tuple[wire.Forward, ...] = ()
    """Signals that came while the command was being started, in order: they are its own as soon as it is there."""
    refusal: wire.TooLate | wire.ExecFailed | None = None
    """Why the command was never executed; told instead of its end."""
    wait_status: int = 0
    """The first process's, raw, once it was reaped."""
    stop_began: Instant | None = None
    kill_began: Instant | None = None
    kill_limit: Limit | None = None
    """The earliest SIGKILL that the causes met so far, or a hook's time-out, ask for; the lease's own always holds."""
    release_limit: Limit | None = None
    on_lost_came_to: str = ""
    """How on-lost has ended, in words; for who has nobody to log through."""

    @property
    def owes_on_lost(self) -> bool:
        """Whether on-lost is still to be run: something was begun that it may have to undo."""
        return self.hooks.on_lost and self.act in (Act.ON_ELECTED, Act.COMMAND)
