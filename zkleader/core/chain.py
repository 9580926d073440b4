"""The holder's side of the lease: a chain of compare-and-set writes, and what each of them gives.

This is where it is decided until when a candidate may act.  Three rules carry the safety argument: a write counts from
the instant *before* it was sent; a write whose answer was lost counts only when a read shows it (guid and beat); and
nothing revives a lease that has lapsed.  The chain knows no znode paths, no requests and no command.
"""

from __future__ import annotations

from enum import Enum

from zkleader.core.lease import Instant
from zkleader.core.records import LeaseRecord, NewerFormat, Stat, Unreadable
from zkleader.core.value import Value


class Attempt(Value):
    """A claim or renewal that was sent at ``sent`` over the version that (czxid, version) names."""

    beat: int
    sent: Instant
    czxid: int
    version: int


class Held(Value):
    """The lease as last confirmed: it ends one lease after ``lease_start``."""

    lease_start: Instant
    token: int
    elected_at: int
    czxid: int


class Verdict(Enum):
    """What an answer gives."""

    CONFIRMED = "confirmed"
    """The lease reaches further than before."""
    UNCHANGED = "unchanged"
    """The record is ours still, but the attempt in question was not applied: it may be tried again."""
    LAPSED = "lapsed"
    """It was applied, but too late to be of use."""
    NOT_OURS = "not_ours"
    """The record is not ours (any longer)."""


def _is_over(doubt: Attempt, stat: Stat) -> bool:
    """Say whether an attempt is over this very version: only then may it be applied yet."""
    return (doubt.czxid, doubt.version) == (stat.czxid, stat.version)


class Chain(Value):
    """All that one candidacy knows of its writes to the lease record.  ``lease`` in seconds."""

    guid: str
    lease: float
    last_beat: int = 0
    doubts: tuple[Attempt, ...] = ()
    """Attempts without an answer so far; any of them may have been applied, or may yet be."""
    held: Held | None = None

    def attempt(self, stat: Stat, now: Instant) -> tuple[Chain, Attempt]:
        """Begin an attempt over the version that ``stat`` names; ``now`` must be read before it is sent."""
        made = Attempt(beat=self.last_beat + 1, sent=now, czxid=stat.czxid, version=stat.version)
        return self.but(last_beat=made.beat, doubts=(*self.doubts, made)), made

    def has_lapsed(self, now: Instant) -> bool:
        """Whether the lease that was held has ended."""
        return self.held is not None and now.held_since(self.held.lease_start) >= self.lease

    def refused(self, attempt: Attempt) -> Chain:
        """Take back an attempt that ZooKeeper said it did not apply."""
        return self.but(doubts=tuple(doubt for doubt in self.doubts if doubt is not attempt))

    def settled(self, stat: Stat) -> Chain:
        """Take back the attempts that a read has made void; ``stat`` is that of a record which bears none of them."""
        return self.but(doubts=tuple(doubt for doubt in self.doubts if _is_over(doubt, stat)))

    def confirm(self, attempt: Attempt, stat: Stat, now: Instant) -> tuple[Chain, Verdict]:
        """Judge an attempt that was applied and made the version that ``stat`` names; ``now`` is when we learned it."""
        if stat.czxid != attempt.czxid:
            # The record was deleted and made anew between our read and this write: somebody else may have been told
            # that it was free.
            return self.but(doubts=()), Verdict.NOT_OURS
        # Every other doubt is over this version or an older one: compare-and-set has made it void.
        settled = self.but(doubts=())
        if self.has_lapsed(now) or now.held_since(attempt.sent) >= self.lease:
            return settled, Verdict.LAPSED
        if self.held is None:
            held = Held(lease_start=attempt.sent, token=stat.mzxid, elected_at=stat.mtime, czxid=stat.czxid)
        else:
            held = self.held.but(lease_start=attempt.sent)
        return settled.but(held=held), Verdict.CONFIRMED

    def judge(self, record: LeaseRecord | Unreadable | NewerFormat, stat: Stat, now: Instant) -> tuple[Chain, Verdict]:
        """Judge what a read shows (after a ``sync``, when something is in doubt)."""
        if not isinstance(record, LeaseRecord) or record.holder != self.guid:
            return self, Verdict.NOT_OURS
        if self.held is not None and stat.czxid != self.held.czxid:
            return self, Verdict.NOT_OURS
        for doubt in self.doubts:
            if record.beat == doubt.beat:
                return self.confirm(doubt, stat, now)
        return self, Verdict.UNCHANGED
