"""Exit statuses: the tables that code, ``--help``, README and man pages agree on.

It owns numbers and their sentences.  It must not know when each applies (``cli.ending`` does for ``run``).  COMMAND may
end with any of them itself, so a status of ``run`` alone promises nothing about whose it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum


class ExitStatus(IntEnum):
    """What ``run`` ends with, other than the command's own status.  ``meaning`` is the sentence for people."""

    USAGE = 64
    UNREACHABLE = 69
    INTERNAL = 70
    NOT_ELECTED = 75
    NOT_PERMITTED = 77
    CONFIGURATION = 78
    LOST = 79
    LOST_LATE = 80
    CANNOT_EXECUTE = 126
    NOT_FOUND = 127

    @property
    def meaning(self) -> str:
        """What it says, in one sentence."""
        return _MEANINGS[self][0]

    @property
    def command_ran(self) -> str:
        """Whether the command ran: ``yes``, ``no`` or ``perhaps``."""
        return _MEANINGS[self][1]


_MEANINGS = {
    ExitStatus.USAGE: ("Usage: a wrong option, value, or combination of them.", "no"),
    ExitStatus.UNREACHABLE: ("ZooKeeper cannot be reached within --connect-timeout.", "no"),
    ExitStatus.INTERNAL: ("Internal error; the command was stopped first.", "perhaps"),
    ExitStatus.NOT_ELECTED: ("Not elected in time (-n, -w); -E sets another status.", "no"),
    ExitStatus.NOT_PERMITTED: ("Authentication or an ACL was refused.", "no"),
    ExitStatus.CONFIGURATION: (
        (
            "Configuration invalid: timing that cannot work, a file that cannot be used, a pause that cannot be had, "
            "records of a newer format."
        ),
        "no",
    ),
    ExitStatus.LOST: (
        "Leadership lost or resigned, or --on-elected failed; everything of the command was gone in time.",
        "yes",
    ),
    ExitStatus.LOST_LATE: (
        "Leadership lost; it could not be confirmed that all of the command was gone in time.",
        "yes",
    ),
    ExitStatus.CANNOT_EXECUTE: ("The command cannot be executed.", "no"),
    ExitStatus.NOT_FOUND: ("The command was not found.", "no"),
}


class Found(IntEnum):
    """What ``status`` and ``is-leader`` end with when they could tell."""

    LED = 0
    LED_BY_ANOTHER = 1
    NOBODY = 3
    ABSENT = 4


UNWRITTEN = 1
"""What any subcommand but ``run`` ends with when what it tells could not be told."""

_UNWRITTEN = "Standard output cannot be written."
_UNFORESEEN = "Internal error, or ZooKeeper has refused what nobody could foresee."

_COMMON_MEANINGS: dict[int, str] = {
    Found.NOBODY: "Nobody leads.",
    Found.ABSENT: "There is no such election.",
    ExitStatus.USAGE: ExitStatus.USAGE.meaning,
    ExitStatus.UNREACHABLE: ExitStatus.UNREACHABLE.meaning,
    ExitStatus.INTERNAL: _UNFORESEEN,
    ExitStatus.NOT_PERMITTED: ExitStatus.NOT_PERMITTED.meaning,
    ExitStatus.CONFIGURATION: "It cannot be told: a file cannot be used, or the lease record is of a newer format.",
}

STATUS_MEANINGS: dict[int, str] = {Found.LED: "Somebody leads.", UNWRITTEN: _UNWRITTEN, **_COMMON_MEANINGS}
"""Those of ``status``."""

RESIGN_MEANINGS: dict[int, str] = {
    0: "The tenure is over.",
    UNWRITTEN: _UNWRITTEN,
    Found.NOBODY: "Nobody leads, or nobody could be asked and the lease is over.",
    Found.ABSENT: "There is no such election.",
    ExitStatus.USAGE: ExitStatus.USAGE.meaning,
    ExitStatus.UNREACHABLE: ExitStatus.UNREACHABLE.meaning,
    ExitStatus.INTERNAL: _UNFORESEEN,
    ExitStatus.NOT_ELECTED: "The leader has not stepped down within --wait.",
    ExitStatus.NOT_PERMITTED: ExitStatus.NOT_PERMITTED.meaning,
    ExitStatus.CONFIGURATION: "A file cannot be used, or what the leader has written is of a newer format.",
}
"""Those of ``resign``."""

CHECK_MEANINGS: dict[int, str] = {
    0: "run would work.",
    UNWRITTEN: _UNWRITTEN,
    ExitStatus.USAGE: ExitStatus.USAGE.meaning,
    ExitStatus.UNREACHABLE: "ZooKeeper cannot be reached within --connect-timeout, or was lost meanwhile.",
    ExitStatus.INTERNAL: "Internal error, or ZooKeeper does not do what it should.",
    ExitStatus.NOT_PERMITTED: "Authentication was refused, or an ACL does not permit what run needs.",
    ExitStatus.CONFIGURATION: "The timing cannot work, a file cannot be used, or records are of a newer format.",
}
"""Those of ``check``."""

IS_LEADER_MEANINGS: dict[int, str] = {
    Found.LED: "This host, or the one with that ID, leads.",
    Found.LED_BY_ANOTHER: "Another leads.",
    **_COMMON_MEANINGS,
}
"""Those of ``is-leader``."""


def epilog(meanings: Mapping[int, str], own: str = "") -> str:
    """Return what help says of exit statuses, below the options; ``own`` tells of those that are COMMAND's."""
    lines = [f"  {status:d}  {meaning}" for status, meaning in meanings.items()]
    return "\n".join(["\b", f"Exit status:{own}", *lines])  # \b keeps click from filling the lines
