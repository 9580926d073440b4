"""The exit statuses of ``zkleader run``: the one table that code, ``--help``, README and man page agree on.

It owns numbers and their sentences.  It must not know when each applies (``cli.ending`` does).  COMMAND may end with
any of them itself, so a status alone promises nothing about whose it is.
"""

from __future__ import annotations

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
        "Configuration invalid: timing that cannot work, a file that cannot be used, records of a newer format.",
        "no",
    ),
    ExitStatus.LOST: ("Leadership lost; everything of the command was gone in time.", "yes"),
    ExitStatus.LOST_LATE: (
        "Leadership lost; it could not be confirmed that all of the command was gone in time.",
        "yes",
    ),
    ExitStatus.CANNOT_EXECUTE: ("The command cannot be executed.", "no"),
    ExitStatus.NOT_FOUND: ("The command was not found.", "no"),
}
