"""What can happen to a candidacy: the input of ``candidacy.step``.

It owns the words for that.  It must not know who brings the news, and an event promises only what its text says: an
answer may be old when it is read.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from zkleader.core.records import Stat
from zkleader.core.value import Value
from zkleader.core.wire import Cause


class Refusal(Enum):
    """Why ZooKeeper did not do what was asked."""

    NO_NODE = "no such znode"
    NODE_EXISTS = "the znode exists"
    BAD_VERSION = "the znode has changed"
    NO_AUTH = "not permitted"
    NOT_AUTHENTICATED = "authentication is required"
    INVALID_ACL = "the ACL is not valid"
    OTHER = "refused"

    @property
    def is_for_lack_of_rights(self) -> bool:
        """Whether it is for who we are, or for the rights that we want to give; asked again it would be the same."""
        return self is Refusal.NO_AUTH or self.lacking != ""

    @property
    def lacking(self) -> str:
        """What more there is to say of it than that something is not permitted: how it was asked for."""
        if self is Refusal.NOT_AUTHENTICATED:
            return " without authentication"
        return " with the ACL asked for" if self is Refusal.INVALID_ACL else ""


class Refused(Value):
    """The request was not applied; ``index``: the operation of a multi that failed, ``text``: ZooKeeper's reason."""

    refusal: Refusal
    index: int = 0
    text: str = ""


class Unanswered(Value):
    """No answer came and none will: the request may or may not have been applied."""


class Created(Value):
    """The path under which a znode was created."""

    path: str


class Names(Value):
    """The names of a znode's children, in no order."""

    names: tuple[str, ...]


class Content(Value):
    """A znode's data and stat."""

    data: bytes
    stat: Stat


class AclEntry(NamedTuple):
    """What one identity may do with a znode; ``bits`` as ZooKeeper counts permissions."""

    scheme: str
    id: str
    bits: int


class Acl(Value):
    """Who may do what with a znode."""

    entries: tuple[AclEntry, ...]


class Applied(Value):
    """The request was applied; ``stats`` holds a stat for each operation that returns one, else None."""

    stats: tuple[Stat | None, ...] = ()


Answer = Refused | Unanswered | Created | Names | Content | Acl | Applied


class Connected(Value):
    """Requests may be sent.  ``granted`` is the session timeout in seconds, if it is known."""

    granted: float | None
    server: str


class Suspended(Value):
    """The connection is down; the session may live."""


class SessionLost(Value):
    """The session is over for certain; ``reason`` is ``session_expired`` or ``authentication_failed``."""

    reason: str


class Answered(Value):
    """The answer to the request of that number."""

    number: int
    answer: Answer


class Touched(Value):
    """A watch fired for this path: the znode was changed or made, or ``is_deleted``."""

    path: str
    is_deleted: bool = False


class Tick(Value):
    """Nothing but time has passed."""


class LeaveAsked(Value):
    """The user asked us to end, by this signal."""

    signal: int


class CommandStarted(Value):
    """The guard has executed the command."""

    pid: int


class CommandTooLate(Value):
    """The guard did not start the command, because the stop signal was already due."""


class CommandFailed(Value):
    """The command could not be executed."""

    errno: int


class CommandStopping(Value):
    """The guard has begun to stop the command."""

    cause: Cause


class CommandPaused(Value):
    """All of the command is frozen (see ``wire.Paused`` for the fields)."""

    reason: str
    took: float


class CommandResumed(Value):
    """The command goes on, after so many seconds."""

    seconds: float


class CommandGone(Value):
    """Everything of the command is proven gone (see ``wire.Gone`` for the fields)."""

    cause: Cause
    wait_status: int
    in_time: bool
    lost: bool = False
    ran: bool = True


class TenureOver(Value):
    """Nothing of on-lost is left, or it was not run (see ``wire.TenureOver``)."""

    in_time: bool
    lost: bool


class GuardFailed(Value):
    """The guard died or was silent, and the supervisor has ended everything.  ``proven``: nothing of it is left."""

    reason: str
    proven: bool


Event = (
    Connected
    | Suspended
    | SessionLost
    | Answered
    | Touched
    | Tick
    | LeaveAsked
    | CommandStarted
    | CommandTooLate
    | CommandFailed
    | CommandStopping
    | CommandPaused
    | CommandResumed
    | CommandGone
    | TenureOver
    | GuardFailed
)
