"""What a candidacy wants done: the output of ``candidacy.step``, and the requests to ZooKeeper among it.

It owns the words for that.  It must not know who does it or how, and does not promise that it will be done: what became
of an action comes back as an event.
"""

from __future__ import annotations

from enum import Enum
from typing import Any

from zkleader.core.lease import Instant
from zkleader.core.value import Value
from zkleader.core.wire import Cause

ANY_VERSION = -1


class Create(Value):
    """Create a znode (answer: Created)."""

    path: str
    data: bytes
    ephemeral: bool = False
    sequence: bool = False


class Check(Value):
    """Only within a multi: fail unless the znode exists (in that version)."""

    path: str
    version: int = ANY_VERSION


class SetData(Value):
    """Only within a multi: write a znode if its version is this one."""

    path: str
    data: bytes
    version: int


class Delete(Value):
    """Delete a znode, whatever its version (answer: Applied)."""

    path: str


class Multi(Value):
    """All of the operations or none (answer: Applied with a stat per operation)."""

    operations: tuple[Create | Check | SetData | Delete, ...]


class ListNames(Value):
    """List the children (answer: Names).  Candidates do not watch them: all would be woken by each."""

    path: str
    watch: bool = False


class Get(Value):
    """Read a znode and watch it (answer: Content)."""

    path: str
    watch: bool = True


class Exists(Value):
    """Watch a znode that we may not read (answer: Applied)."""

    path: str


class GetAcl(Value):
    """Read who may do what with a znode (answer: Acl)."""

    path: str


class Sync(Value):
    """Let the server catch up with the leader of the ensemble (answer: Applied)."""

    path: str


Request = Create | Delete | Multi | ListNames | Get | GetAcl | Exists | Sync


class Send(Value):
    """Send a request; its answer comes with this number."""

    number: int
    request: Request


class DropConnection(Value):
    """Cut the connection, so that the next server is tried."""


class StartCommand(Value):
    """Leadership is won: start the command under the lease that runs from ``lease_start``."""

    lease_start: Instant
    token: int
    slot: int = 0


class ExtendLease(Value):
    """A renewal was confirmed."""

    lease_start: Instant


class TellSuspended(Value):
    """The guard is to know that the connection was found to be down at this instant."""

    suspended_at: Instant


class StopCommand(Value):
    """Stop the command (cause ASKED or LOSS)."""

    cause: Cause


class EndTenure(Value):
    """Nothing of the command is left, and nothing is started any more: run on-lost, with this reason."""

    reason: str


class KillCommand(Value):
    """Kill the command now."""


class Tell(Value):
    """Log an event."""

    level: str
    event: str
    facts: dict[str, Any]


class End(Enum):
    """How a candidacy ended; the value is the stable word for it in logs and results."""

    COMMAND_ENDED = "command_ended"
    NOT_ELECTED = "not_elected"
    UNREACHABLE = "unreachable"
    LOST = "lost"
    LOST_LATE = "lost_late"
    HOOK_FAILED = Cause.HOOK_FAILED.value
    """On-elected has failed, and so the command was not started."""
    RESIGNED = "resigned"
    """Somebody has asked the leader to step down, and it has."""
    NOT_PERMITTED = "not_permitted"
    NEWER_FORMAT = "newer_format"
    LEFT = "left"
    NOT_EXECUTED = "not_executed"
    GUARD_FAILED = "internal_error"
    REFUSED = "refused"
    DONE = "already_done"
    """The run of this period is done already."""
    NOT_RECORDED = "not_recorded"
    """The command has ended, but that it was run could not be recorded."""
    CANDIDACY_LOST = "candidacy_lost"
    """Only the candidacy is gone, while waiting: campaign again with a new one."""


AUTHENTICATE = "authenticate"
"""The reason of NOT_PERMITTED where the session was refused, and not something that was asked for in it."""


class Outcome(Value):
    """How it ended, with what the end calls for.

    ``number`` is the raw wait status (COMMAND_ENDED, NOT_RECORDED; the hook's: HOOK_FAILED), the signal (LEFT) or the
    errno (NOT_EXECUTED); ``reason`` is a stable snake_case word or, for REFUSED, NOT_PERMITTED and NEWER_FORMAT, a
    sentence's end for people.
    """

    end: End
    number: int = 0
    reason: str = ""


class Finish(Value):
    """The candidacy is over: close the session, dismiss the guard."""

    outcome: Outcome


Action = (
    Send
    | DropConnection
    | StartCommand
    | ExtendLease
    | TellSuspended
    | StopCommand
    | KillCommand
    | EndTenure
    | Tell
    | Finish
)
