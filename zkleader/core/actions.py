"""What a candidacy wants done: the output of ``candidacy.step``, and the requests to ZooKeeper among it."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from zkleader.core.lease import Instant
from zkleader.core.wire import Cause

ANY_VERSION = -1


@dataclass(frozen=True, kw_only=True)
class Create:
    """Create a znode (answer: Created)."""

    path: str
    data: bytes
    ephemeral: bool = False
    sequence: bool = False


@dataclass(frozen=True, kw_only=True)
class Check:
    """Only within a multi: fail unless the znode exists (in that version)."""

    path: str
    version: int = ANY_VERSION


@dataclass(frozen=True, kw_only=True)
class SetData:
    """Only within a multi: write a znode if its version is this one."""

    path: str
    data: bytes
    version: int


@dataclass(frozen=True, kw_only=True)
class Delete:
    """Delete a znode, whatever its version (answer: Applied)."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Multi:
    """All of the operations or none (answer: Applied with a stat per operation)."""

    operations: tuple[Create | Check | SetData | Delete, ...]


@dataclass(frozen=True, kw_only=True)
class Children:
    """List the children (answer: Names).  Without a watch: all candidates would be woken by each of them."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Get:
    """Read a znode and watch it (answer: Content)."""

    path: str
    watch: bool = True


@dataclass(frozen=True, kw_only=True)
class Exists:
    """Watch a znode that we may not read (answer: Applied)."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Sync:
    """Let the server catch up with the leader of the ensemble (answer: Applied)."""

    path: str


Request = Create | Delete | Multi | Children | Get | Exists | Sync


@dataclass(frozen=True, kw_only=True)
class Send:
    """Send a request; its answer comes with this number."""

    number: int
    request: Request


@dataclass(frozen=True, kw_only=True)
class DropConnection:
    """Cut the connection, so that the next server is tried."""


@dataclass(frozen=True, kw_only=True)
class StartCommand:
    """Leadership is won: start the command under the lease that runs from ``lease_start``."""

    lease_start: Instant
    token: int


@dataclass(frozen=True, kw_only=True)
class ExtendLease:
    """A renewal was confirmed."""

    lease_start: Instant


@dataclass(frozen=True, kw_only=True)
class StopCommand:
    """Stop the command (cause ASKED or LOSS)."""

    cause: Cause


@dataclass(frozen=True, kw_only=True)
class KillCommand:
    """Kill the command now."""


@dataclass(frozen=True, kw_only=True)
class Tell:
    """Log an event."""

    level: str
    event: str
    facts: dict[str, Any] = field(default_factory=dict)


class End(Enum):
    """How a candidacy ended."""

    COMMAND_ENDED = "command_ended"
    NOT_ELECTED = "not_elected"
    UNREACHABLE = "unreachable"
    LOST = "lost"
    LOST_LATE = "lost_late"
    NOT_PERMITTED = "not_permitted"
    NEWER_FORMAT = "newer_format"
    LEFT = "left"
    NOT_EXECUTED = "not_executed"
    GUARD_FAILED = "guard_failed"
    REFUSED = "refused"
    CANDIDACY_LOST = "candidacy_lost"
    """Only the candidacy is gone, while waiting: campaign again with a new one."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How it ended, with what the end calls for.

    ``number`` is the raw wait status (COMMAND_ENDED), the signal (LEFT) or the errno (NOT_EXECUTED); ``reason`` is a
    stable snake_case word or, for REFUSED, NOT_PERMITTED and NEWER_FORMAT, a sentence's end for people.
    """

    end: End
    number: int = 0
    reason: str = ""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """The candidacy is over: close the session, dismiss the guard."""

    outcome: Outcome


Action = Send | DropConnection | StartCommand | ExtendLease | StopCommand | KillCommand | Tell | Finish
