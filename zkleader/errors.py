"""The errors that users of the library meet, as classes: what a program may want to tell apart.

It owns the base and what no other part raises; an error that a part raises stands there (``zk.access``), with this
base.  It must not know what raises them.  No message promises to stay as it is; classes and reasons do.
"""

from __future__ import annotations


class ZkLeaderError(Exception):
    """Base of all errors of zkleader's library."""


class ConfigurationError(ZkLeaderError, ValueError):
    """What an election was told cannot work; the message says which argument, and why."""


class NotElectedError(ZkLeaderError):
    """Not (yet) the leader."""


class LeadershipLostError(ZkLeaderError):
    """Leadership is over, or is to be given up; ``reason`` is a stable word (see the log events in README)."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"leadership is over: {reason}")
        self.reason = reason


class NewerFormatError(ZkLeaderError):
    """The election has znodes of a newer format than this version knows; the message says which."""


class RefusedError(ZkLeaderError):
    """ZooKeeper has refused what nobody could foresee; the message says what."""


class InternalError(ZkLeaderError):
    """An error of zkleader's own."""


class ForkedError(ZkLeaderError):
    """A candidate belongs to the process that began it: to its fork it is nothing."""
