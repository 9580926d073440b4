"""What supervisor and guard say to each other: frozen messages, and their form as bytes.

One message is one packet of a SOCK_SEQPACKET pair, JSON, an object whose ``type`` names the class.  Both sides are the
same installed version (the supervisor executes the guard from its own files), so the form carries no version of its
own.  This module does not know sockets, and decides nothing.
"""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from zkleader.core.lease import Instant
from zkleader.core.value import Value

MAX_BYTES = 65536
"""No message is longer; what may be longer (command line, environment) goes through a memory file at the start."""


class MalformedMessageError(ValueError):
    """The bytes are no message of ours: the other side is not what it should be."""


class Cause(Enum):
    """Why the guard stops the command.  The first that it meets is the one told."""

    ENDED = "ended"
    """The command's first process ended by itself; what it left behind is stopped."""
    ASKED = "asked"
    """The user asked for it while the lease is healthy; renewing goes on."""
    HOOK_FAILED = "on_elected_failed"
    """The hook that has to succeed before the command may start has failed, or took too long."""
    LOSS = "loss"
    """The supervisor was told for certain that leadership is over."""
    DEADLINE = "deadline"
    """No renewal came in time."""
    OVERDUE = "overdue"
    """A renewal was overdue, and with ``--on-disconnect stop`` nobody waits any longer."""
    SUPERVISOR_GONE = "supervisor_gone"
    """The supervisor died, or was silent for so long that it was killed."""

    @property
    def is_final_loss(self) -> bool:
        """Whether leadership itself is over, so that the lease will not be renewed while stopping."""
        return self in (Cause.LOSS, Cause.DEADLINE, Cause.OVERDUE, Cause.SUPERVISOR_GONE)


class Message(Value):
    """Base of all messages."""


# ---- supervisor to guard


class Beat(Message):
    """Sign of life; the guard answers with the same number."""

    number: int


class Candidacy(Message):
    """A candidacy begins: what has to be released or deleted for us, should we die, bears this guid."""

    guid: str


class Start(Message):
    """Start the command under a lease confirmed as from ``lease_start``; ``environment`` is added to its own."""

    lease_start: Instant
    environment: dict[str, str]


class Extend(Message):
    """A renewal sent at ``lease_start`` was confirmed."""

    lease_start: Instant


class Suspended(Message):
    """The connection was found to be down at this instant: what was sent before is no sign of life any more."""

    suspended_at: Instant


class Stop(Message):
    """Stop the command: ``cause`` is ASKED (SIGKILL after the stop timeout) or LOSS (after grace).

    ``reason`` is what on-lost is told of a loss: should the supervisor be frozen from here on, nobody else could tell.
    """

    cause: Cause
    reason: str = ""


class KillNow(Message):
    """Asked twice: SIGKILL without waiting any longer."""


class Forward(Message):
    """Hand a signal to the command's first process, or to its process group."""

    signal: int
    to_group: bool


class Continue(Message):
    """The command is to run again, or was continued already; the guard answers, and says again if it is stopped."""

    is_continued: bool


class EndTenure(Message):
    """Nothing is started any more in this tenure, for this reason: run on-lost.  The guard answers `TenureOver`."""

    reason: str


class Dismiss(Message):
    """The supervisor needs the guard no longer; end, and release nothing."""


# ---- guard to supervisor


class Ready(Message):
    """The guard stands.  ``scope`` is how it will kill: ``cgroup`` or ``search``; ``detail`` says which, or why not."""

    pid: int
    scope: str
    detail: str


class BeatAnswer(Message):
    """Answer to the beat of the same number."""

    number: int


class Started(Message):
    """The command was executed."""

    pid: int


class TooLate(Message):
    """Not started: the stop signal was already due.  Nothing of the command exists."""


class ExecFailed(Message):
    """The command could not be executed.  Nothing of it exists."""

    errno: int


class Stopping(Message):
    """The guard has begun to stop the command."""

    cause: Cause


class Paused(Message):
    """All of the command is frozen, for this reason, so many seconds after that was ordered."""

    reason: str
    took: float


class Resumed(Message):
    """It goes on, so many seconds after it was ordered to be frozen."""

    seconds: float


class FirstStopped(Message):
    """The command's first process was stopped by this signal; ``wants_terminal``: for using it in the background."""

    pid: int
    signal: int
    wants_terminal: bool


class Continued(Message):
    """Answer to `Continue`."""


class FirstEnded(Message):
    """The command's first process ended with this raw wait status; what it left behind may still be there."""

    wait_status: int


class Gone(Message):
    """Everything of the command is proven gone.

    ``wait_status`` is the first process's, raw; ``in_time``: before the lease's end less the margin; ``signalled`` and
    ``killed`` count processes that got the stop signal and that were there when SIGKILL began; the durations are in
    seconds, from the start of stopping to SIGKILL (0 if none was needed) and to the proof.  ``lost``: whatever the
    cause was at first, leadership was over for the guard before the end, and it may release for a frozen supervisor.
    Not ``ran``: the command never began, because on-elected failed or was stopped; the rest is about that hook.
    """

    cause: Cause
    wait_status: int
    in_time: bool
    signalled: int
    killed: int
    kill_began_after: float
    gone_after: float
    lost: bool
    ran: bool = True


class TenureOver(Message):
    """Nothing of on-lost is left, or it had nothing to do or no time; ``in_time`` and ``lost`` as for `Gone`.

    A guard that has a hook of that name says so once for each tenure, and again to whoever asks.
    """

    in_time: bool
    lost: bool


class Note(Message):
    """Something for the log; ``level`` is ``debug``, ``info``, ``warning`` or ``error``."""

    level: str
    event: str
    facts: dict[str, Any]


_TYPES: dict[str, type[Message]] = {kind.__name__: kind for kind in Message.__subclasses__()}


def encode(message: Message) -> bytes:
    """Return the packet for a message."""
    content: dict[str, Any] = {"type": type(message).__name__}
    for name, value in message.as_dict().items():
        content[name] = value.value if isinstance(value, Cause) else value
    return json.dumps(content).encode("ascii")


def decode(packet: bytes) -> Message:
    """Return the message that a packet holds.

    Raises:
        MalformedMessageError: it is not one of ours.
    """
    try:
        content = json.loads(packet)
        kind = _TYPES[content.pop("type")]
        for name in ("lease_start", "suspended_at"):
            if name in content:
                content[name] = Instant(*content[name])
        if "cause" in content:
            content["cause"] = Cause(content["cause"])
        return kind(**content)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise MalformedMessageError(f"not a message: {packet[:80]!r}") from error
