"""What a signal to the supervisor means: for the campaign, for the command, or for the job that both of them are.

It owns which signals are taken, and that decision.  It must not know how any of it is done: the supervisor performs it.
It does not promise that a command heeds what it is sent.
"""

from __future__ import annotations

import signal
from enum import Enum

from zkleader.core.candidacy_state import IN_TENURE, Phase

_TO_LEAVE = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""While waiting these leave the queue."""
_TO_STOP = (signal.SIGTERM, signal.SIGINT)
"""While leading these stop the command in order."""
_TO_FORWARD = (signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH)
"""While leading these are the command's."""
_OF_THE_JOB = (signal.SIGTSTP, signal.SIGCONT)
"""These stop and continue the command and us as one job."""

TAKEN = tuple(dict.fromkeys((*_TO_LEAVE, *_TO_FORWARD, *_OF_THE_JOB)))
TAKEN_AS_FIRST = (*TAKEN, signal.SIGCHLD)
"""As PID 1 we are handed orphans that nobody else reaps."""


class Meaning(Enum):
    """What is to be done about a signal."""

    LEAVE = "leave"
    """Leave the queue or, leading, stop the command in order and release."""
    FORWARD = "forward"
    """Hand it to the command's first process."""
    FORWARD_TO_GROUP = "forward to group"
    """Hand it to the command's process group."""
    STOP_JOB = "stop job"
    CONTINUE_JOB = "continue job"
    REAP = "reap"
    NOTHING = "nothing"


def meaning_of(number: int, phase: Phase, *, has_it: bool) -> Meaning:
    """Say what a signal means in this phase; ``has_it``: the terminal has sent it to the command as well."""
    if number == signal.SIGCHLD:
        return Meaning.REAP
    if number == signal.SIGTSTP:
        return Meaning.STOP_JOB
    if number == signal.SIGCONT:
        return Meaning.CONTINUE_JOB
    if phase not in IN_TENURE:
        return Meaning.LEAVE if number in _TO_LEAVE else Meaning.NOTHING
    # Ctrl-C is the command's own affair, until it is being stopped; between two runs there is nobody to have it.
    if has_it and (phase is Phase.LEADING or (phase is Phase.STOPPING and number not in _TO_STOP)):
        return Meaning.NOTHING
    if number in _TO_STOP:
        return Meaning.LEAVE
    return Meaning.FORWARD_TO_GROUP if number == signal.SIGQUIT else Meaning.FORWARD
