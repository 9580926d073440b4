"""The faults of the demonstration, in their order.

It owns their names and the words for them.  It must not know how a fault is done: that is the candidate's.  It does not
promise that these are all that can happen to a leader.
"""

from __future__ import annotations

import signal
from collections.abc import Callable

from zkleader.core.value import Value
from zkleader.demo.candidate import Candidate


class Fault(Value):
    """One fault, done to whoever leads."""

    name: str
    text: str
    """What is done; ``{}`` is the leader's name."""
    does: Callable[[Candidate], object]
    lasts: bool = False
    """Whether it must be undone before the candidate can end."""


FAULTS = (
    Fault(
        name="stop",
        text="SIGTERM to {}'s supervisor. It stops its command and releases: the next one starts at once.",
        does=lambda leader: leader.signal(signal.SIGTERM),
    ),
    Fault(
        name="kill",
        text="SIGKILL to {}'s supervisor. Its guard stops the command and releases.",
        does=lambda leader: leader.signal(signal.SIGKILL),
    ),
    Fault(
        name="freeze",
        text="SIGSTOP to {}'s supervisor. Its guard stops the command inside the lease and releases.",
        does=Candidate.freeze,
        lasts=True,
    ),
    Fault(
        name="cut",
        text="every byte between {} and ZooKeeper is lost. {} ends its command in time; the others wait out the lease.",
        does=Candidate.cut,
        lasts=True,
    ),
    Fault(
        name="host",
        text="all of {}'s processes die at once. Nobody is left to release: the others wait out the lease.",
        does=Candidate.die_as_host,
    ),
)
