"""What is counted of a run for those who watch many: tenures, takeovers, renewals.

It owns what each figure means.  It reads no clock and must not know how figures are shown.  A figure promises only what
the candidacy has learned: a renewal counts as failed although it was applied where nobody heard of that in time.
"""

from __future__ import annotations

from zkleader.core.candidacy_state import IN_TENURE, Phase, Purpose, State
from zkleader.core.lease import Instant
from zkleader.core.value import Value


class Figures(Value):
    """What is shown, over all candidacies of a run."""

    is_leading: bool = False
    tenures: int = 0
    slot: int | None = None
    """Of the last tenure."""
    takeover: float | None = None
    """The seconds from when it was first in the queue, as far as it knew, to its election: the last time."""
    confirmed: int = 0
    """Renewals; a claim is none."""
    is_paused: bool = False
    pauses: int = 0
    """Times that the command was frozen, all of it."""
    failed: int = 0
    """Renewals that were refused, or not answered in time (found by a read later on, they are confirmed as well)."""
    lease_start: Instant | None = None
    """When what was last confirmed, claim or renewal, was sent."""


class Measures(Value):
    """The figures, and what has to be remembered for the next ones."""

    figures: Figures = Figures()
    token: int | None = None
    """Of the last tenure."""
    first_since: Instant | None = None
    """Since when it is first in the queue, or among the first with several leaders; None while it is not, or leads."""
    renewal: int | None = None
    """The number of the one that is under way."""


def measure(before: Measures, state: State, now: Instant) -> Measures:
    """Return the measures after a step of the candidacy; every step has to be measured."""
    figures, held, place = before.figures, state.chain.held, state.place
    figures = figures.but(
        is_leading=state.phase in IN_TENURE and not state.loss,
        is_paused=state.is_paused,
        pauses=figures.pauses + int(state.is_paused and not figures.is_paused),
    )
    is_extended = held is not None and held.lease_start != figures.lease_start
    if held is not None and held.token != before.token:
        takeover = now.held_since(before.first_since) if before.first_since is not None else 0.0
        figures = figures.but(
            tenures=figures.tenures + 1, slot=state.slot, takeover=takeover, lease_start=held.lease_start
        )
    elif held is not None and is_extended:
        figures = figures.but(confirmed=figures.confirmed + 1, lease_start=held.lease_start)
    renewal = _renewal_of(state)
    if before.renewal is not None and renewal != before.renewal and not is_extended:
        figures = figures.but(failed=figures.failed + 1)
    is_first = state.phase is Phase.WAITING and place is not None and place.rank < state.rules.leaders
    return Measures(
        figures=figures,
        token=held.token if held is not None else before.token,
        first_since=(before.first_since or now) if is_first else None,
        renewal=renewal,
    )


def _renewal_of(state: State) -> int | None:
    write = state.flights.get(Purpose.WRITE)
    if write is None or write.record is None or write.record.released or state.chain.held is None:
        return None  # there is none, or it is a release or a claim
    return write.number
