"""What can happen to a candidacy: the input of ``candidacy.step``."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from zkleader.core.records import Stat
from zkleader.core.wire import Cause


class Refusal(Enum):
    """Why ZooKeeper did not do what was asked."""

    NO_NODE = "no such znode"
    NODE_EXISTS = "the znode exists"
    BAD_VERSION = "the znode has changed"
    NO_AUTH = "not permitted"
    OTHER = "refused"


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The request was not applied; ``index``: the operation of a multi that failed, ``text``: ZooKeeper's reason."""

    refusal: Refusal
    index: int = 0
    text: str = ""


@dataclass(frozen=True, kw_only=True)
class Unanswered:
    """No answer came and none will: the request may or may not have been applied."""


@dataclass(frozen=True, kw_only=True)
class Created:
    """The path under which a znode was created."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Names:
    """The names of a znode's children, in no order."""

    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Content:
    """A znode's data and stat."""

    data: bytes
    stat: Stat


@dataclass(frozen=True, kw_only=True)
class Applied:
    """The request was applied; ``stats`` holds a stat for each operation that returns one, else None."""

    stats: tuple[Stat | None, ...] = ()


Answer = Refused | Unanswered | Created | Names | Content | Applied


@dataclass(frozen=True, kw_only=True)
class Connected:
    """Requests may be sent.  ``granted`` is the session timeout in seconds, if it is known."""

    granted: float | None
    server: str


@dataclass(frozen=True, kw_only=True)
class Suspended:
    """The connection is down; the session may live."""


@dataclass(frozen=True, kw_only=True)
class SessionLost:
    """The session is over for certain; ``reason`` is ``session_expired`` or ``authentication_failed``."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The answer to the request of that number."""

    number: int
    answer: Answer


@dataclass(frozen=True, kw_only=True)
class Touched:
    """A watch fired for this path."""

    path: str


@dataclass(frozen=True, kw_only=True)
class Tick:
    """Nothing but time has passed."""


@dataclass(frozen=True, kw_only=True)
class LeaveAsked:
    """The user asked us to end, by this signal."""

    signal: int


@dataclass(frozen=True, kw_only=True)
class CommandStarted:
    """The guard has executed the command."""

    pid: int


@dataclass(frozen=True, kw_only=True)
class CommandTooLate:
    """The guard did not start the command, because the stop signal was already due."""


@dataclass(frozen=True, kw_only=True)
class CommandFailed:
    """The command could not be executed."""

    errno: int


@dataclass(frozen=True, kw_only=True)
class CommandStopping:
    """The guard has begun to stop the command."""

    cause: Cause


@dataclass(frozen=True, kw_only=True)
class CommandGone:
    """Everything of the command is proven gone (see ``wire.Gone`` for the fields)."""

    cause: Cause
    wait_status: int
    in_time: bool


@dataclass(frozen=True, kw_only=True)
class GuardFailed:
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
    | CommandGone
    | GuardFailed
)
