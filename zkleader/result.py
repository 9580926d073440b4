"""The outcome of a run as a file of JSON: what it holds, and when it is written.

It owns the fields and the file.  It must not know how an outcome comes about.  The file is written whole or not at all,
and one of an earlier run is gone before anything else is done; but it does not promise that there is one: a supervisor
that is killed writes none, nor does one whose disk is full.
"""

from __future__ import annotations

import json
import signal
import time

from zkleader.core import wait_status
from zkleader.core.actions import End
from zkleader.core.value import Value
from zkleader.log import stamp
from zkleader.whole_file import WholeFile

FORMAT = 1

USAGE = "usage"
"""Outcome: the values of options do not fit together."""
CONFIGURATION = "configuration"
"""Outcome: they are well-formed, but cannot work."""
INTERNAL_ERROR = End.GUARD_FAILED.value
"""Outcome: an error of our own."""

OUTCOMES = frozenset({USAGE, CONFIGURATION, *(end.value for end in End if end is not End.CANDIDACY_LOST)})
"""All there are; a candidacy that is lost is followed by another, and ends no run."""


class Course(Value):
    """What became of COMMAND in a run so far; of several tenures, or several runs of COMMAND, the last.

    Instants are the wall clock's, for people.
    """

    token: int | None = None
    slot: int | None = None
    elected: float | None = None
    command_started: float | None = None
    command_ended: float | None = None
    wait_status: int | None = None
    """The raw one of COMMAND's first process, None while it has none."""
    is_starting: bool = False
    """The guard was told to start it, and what became of that is not known."""

    def told_to_start(self, token: int, slot: int) -> Course:
        """Note a start that was asked for under this token, in this slot."""
        elected = self.elected if token == self.token else time.time()
        return self.but(token=token, slot=slot, elected=elected, is_starting=True)

    def started(self) -> Course:
        """Note that COMMAND was executed."""
        return self.but(command_started=time.time(), command_ended=None, wait_status=None, is_starting=False)

    def not_started(self) -> Course:
        """Note that it was not, as far as it was told to start and that is not known otherwise."""
        return self.but(is_starting=False)

    def ended(self, raw: int) -> Course:
        """Note that COMMAND's first process has ended; one that was never executed is none of COMMAND's."""
        return self if self.is_starting else self.but(command_ended=time.time(), wait_status=raw)


class Result(Value):
    """What a run tells of its end; ``reason`` is a stable word or, for errors, a text for people."""

    outcome: str
    reason: str
    exit_status: int
    election: str | None = None
    course: Course = Course()


def render(result: Result, *, began: float, ended: float) -> bytes:
    """Return the file's content."""
    course = result.course
    number = None if course.wait_status is None else wait_status.signal_of(course.wait_status)
    has_status = course.wait_status is not None and number is None
    content = {
        "format": FORMAT,
        "outcome": result.outcome,
        "reason": result.reason,
        "exit_status": result.exit_status,
        # A guard that failed at the moment of the start may have executed it: who asks whether it ran has to know.
        "command_ran": course.command_started is not None or course.is_starting,
        "command_status": wait_status.exit_status_of(course.wait_status or 0) if has_status else None,
        "command_signal": None if number is None else _signal_name(number),
        "election": result.election,
        "token": course.token,
        "slot": course.slot,
        "began": stamp(began),
        "elected": _stamp(course.elected),
        "command_started": _stamp(course.command_started),
        "command_ended": _stamp(course.command_ended),
        "ended": stamp(ended),
    }
    return json.dumps(content).encode("ascii") + b"\n"


def _stamp(at: float | None) -> str | None:
    return None if at is None else stamp(at)


def _signal_name(number: int) -> str:
    known = signal.Signals.__members__.values()
    return signal.Signals(number).name if number in known else f"SIGRTMIN+{number - signal.SIGRTMIN}"


class ResultFile:
    """The file of one run, which begins now."""

    def __init__(self, path: str, *, takes_away: bool = True) -> None:
        """Take away what an earlier run has left, if wanted, and see whether the result can be written.

        Raises:
            UsageProblem: that is no name.
            ConfigurationProblem: it cannot be written.
        """
        self.path = path
        self._began = time.time()
        self._file = WholeFile(path, what="result", option="--result", takes_away=takes_away)

    def write(self, result: Result) -> None:
        """Write the result: all of it or nothing.

        Raises:
            OSError: it was not written.
        """
        self._file.write(render(result, began=self._began, ended=time.time()), survives_a_crash=True)
