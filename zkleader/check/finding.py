"""What a rehearsal finds: one line for people and ``grep``, and what it makes of the exit status.

It owns the form of a line.  It must not know what is looked at.  It promises that the exit status is 0 if and only if
no line begins with ``FAIL``.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

from zkleader.core.value import Value
from zkleader.exit_status import ExitStatus


class Level(Enum):
    """How good it is; the value is how a line begins."""

    OK = "ok"
    WARN = "warn"
    """``run`` would work, and not as well as it might."""
    FAIL = "FAIL"
    """It would not."""


class Finding(Value):
    """One thing that was looked at; ``status`` is the exit status of a failure."""

    level: Level
    topic: str
    text: str
    status: int = 0


def ok(topic: str, text: str) -> Finding:
    """Return a finding that is as it should be."""
    return Finding(level=Level.OK, topic=topic, text=text)


def warn(topic: str, text: str) -> Finding:
    """Return a warning."""
    return Finding(level=Level.WARN, topic=topic, text=text)


def fail(topic: str, text: str, status: ExitStatus) -> Finding:
    """Return a failure, and the status with which ``run`` would end because of it."""
    return Finding(level=Level.FAIL, topic=topic, text=text, status=int(status))


def line_of(finding: Finding, width: int) -> str:
    """Return the line; topics take so many columns."""
    return f"{finding.level.value:<4}  {finding.topic:<{width}}  {finding.text}"


def status_of(findings: Iterable[Finding]) -> int:
    """Return the exit status: of several failures the greatest, which is what is the least likely to pass by itself."""
    return max((finding.status for finding in findings), default=0)


def in_words(seconds: float) -> str:
    """Return a measured duration for people."""
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.1f} s"
