"""The judge of a history: was the promise kept, was it kept in time, and was nobody disturbed without need? Pure.

It is told what a scenario expects and sees a history, nothing else. It must not know tools, networks or servers.
"""

from collections.abc import Sequence
from typing import NamedTuple

from witness import Overlap, Span, excess, overlaps, spans, tokens_rise

from campaign.history import FAULT, HEALED, HEALING, STOPPING, Event, History

ALIVE_NS = 500_000_000
"""A leader that has not acted for so long is taken for gone."""
BETWEEN_ACTS_NS = 50_000_000
"""So far from the next act is the last one before a fault at the most: two thousandths, and more where it is busy."""


class Undisturbed(NamedTuple):
    """The leader must go on, whatever is done."""


class Paused(NamedTuple):
    """The leader must go on, and stand still from so many seconds after a fault's begin until its end.

    `again_within` so many seconds after that end it acts again.
    """

    still_after: float
    again_within: float


class Takeover(NamedTuple):
    """The next one must act so many seconds after the last fault, its end, or the last act of the one before."""

    within: float
    after_last_act: bool = False
    after_healed: bool = False
    still_after: float | None = None
    """So many seconds after the first fault the one before must not act any more, whatever its lease allows."""


class Unbounded(NamedTuple):
    """Whatever it takes: for what the promise gives no bound."""


Expectation = Undisturbed | Paused | Takeover | Unbounded


class Verdict(NamedTuple):
    """What a history comes to. `broken` has a sentence for everything that should not be; empty is a pass."""

    overlaps: tuple[Overlap, ...]
    takeover: float | None
    """Seconds from the fault (or the last act) to the first act of the next leader; None when there was none."""
    disturbed: bool
    """The leader was lost although it had no need to be."""
    broken: tuple[str, ...]

    @property
    def overlap(self) -> float:
        """The worst overlap in milliseconds."""
        return max((overlap.milliseconds for overlap in self.overlaps), default=0.0)


def judge(history: History, expected: Expectation, leaders: int = 1) -> Verdict:
    """Judge a scenario: so many leaders, one fault, at most one takeover."""
    acted = spans(history.beats)
    found = tuple(overlaps(history.beats) if leaders == 1 else excess(history.beats, leaders))
    broken = [*_unsafe(history, found, leaders)]
    takeover, disturbed = None, False
    if not acted:
        broken.append("nobody ever acted")
    elif isinstance(expected, Undisturbed | Paused):
        disturbed = not _led_to_the_end(history, acted[:leaders], leaders) or len(acted) > leaders
        if disturbed:
            broken.append("the leader was disturbed, and had no need to be")
        if isinstance(expected, Paused):
            broken += _restless(history, expected)
    else:
        takeover = _takeover(history, acted, leaders, expected)
        broken += _late(takeover, expected)
        if isinstance(expected, Takeover) and expected.still_after is not None:
            broken += _unquiet(history, acted[0], expected.still_after)
        disturbed = len(acted) > leaders + 1 or not _led_to_the_end(history, acted, leaders)
        if takeover is not None and disturbed:
            who = "the next leader" if leaders == 1 else "another leader"
            broken.append(f"{who} was disturbed, and had no need to be")
    return Verdict(found, takeover, disturbed, tuple(broken))


def _unsafe(history: History, found: Sequence[Overlap], leaders: int = 1) -> list[str]:
    if leaders > 1:
        return [
            f"MORE THAN {leaders} for {more.milliseconds:.1f} ms: {more.earlier.candidate} (token {more.earlier.token})"
            f" acted after {more.later.candidate} (token {more.later.token}) had started"
            for more in found
        ]
    broken = [
        f"OVERLAP of {overlap.milliseconds:.1f} ms: {overlap.earlier.candidate} (token {overlap.earlier.token}) acted "
        f"after {overlap.later.candidate} (token {overlap.later.token}) had started"
        for overlap in found
    ]
    if not tokens_rise(history.beats):
        broken.append(f"tokens do not rise: {[span.tenure.token for span in spans(history.beats)]}")
    return broken


def _led_to_the_end(history: History, acted: Sequence[Span], leaders: int) -> bool:
    """Say whether so many of these still acted when the campaign began to end everything."""
    stopping = [event.at_ns for event in history.events if event.kind == STOPPING]
    return not stopping or sum(span.last_ns >= stopping[0] - ALIVE_NS for span in acted) >= leaders


def _takeover(history: History, acted: Sequence[Span], leaders: int, expected: Takeover | Unbounded) -> float | None:
    """Return the seconds to the next tenure from what the bound is counted from: see `Takeover`."""
    if len(acted) <= leaders:
        return None
    began_ns = acted[leaders].first_ns
    faults = [event for event in history.events if event.kind == FAULT and event.at_ns <= began_ns]
    if not faults:
        return None
    from_ns = faults[-1].at_ns
    if isinstance(expected, Takeover) and expected.after_last_act:
        from_ns = min(span.last_ns for span in acted[:leaders])
    elif isinstance(expected, Takeover) and expected.after_healed:
        from_ns = _end_of(history, faults[-1], HEALED)
    return (began_ns - from_ns) / 1e9


def _end_of(history: History, fault: Event, *kinds: str) -> int:
    """Return when a fault came to the first of these that is written down; its begin, if to none."""
    found = {event.kind: event.at_ns for event in history.events if event.fault == fault.fault}
    return next((found[kind] for kind in kinds if kind in found), fault.at_ns)


def _restless(history: History, expected: Paused) -> list[str]:
    """Say what a leader did that should have stood still, or did not do when it should have gone on."""
    broken = []
    for fault in (event for event in history.events if event.kind == FAULT):
        still_ns = fault.at_ns + int(expected.still_after * 1e9)
        # The race: on a busy machine a connection is up again before the mending is through.
        healing_ns, healed_ns = _end_of(history, fault, HEALING, HEALED), _end_of(history, fault, HEALED)
        acts = [beat.at_ns for beat in history.beats if still_ns < beat.at_ns < healing_ns]
        if acts:
            after = (acts[-1] - fault.at_ns) / 1e9
            broken.append(f"the leader acted {after:.2f} s after a fault that should have paused it")
        back = next((beat.at_ns for beat in history.beats if beat.at_ns >= healed_ns), None)
        if back is None or back - healed_ns > expected.again_within * 1e9:
            broken.append(f"the leader does not act {expected.again_within:g} s after the end of what paused it")
    return broken


def _unquiet(history: History, first: Span, still_after: float) -> list[str]:
    """Say by how much too long the first leader acted after the first fault."""
    begun_ns = next((event.at_ns for event in history.events if event.kind == FAULT), first.last_ns)
    acted_for = (first.last_ns - begun_ns) / 1e9
    if acted_for <= still_after:
        return []
    return [f"the leader acted for {acted_for:.2f} s after the fault, and {still_after:g} s is the bound"]


def _late(takeover: float | None, expected: Expectation) -> list[str]:
    if takeover is None:
        return ["nobody took over"]
    if isinstance(expected, Takeover) and takeover > expected.within:
        return [f"the takeover took {takeover:.2f} s, and {expected.within:g} s is the bound"]
    return []


# A long run with many faults. ----------------------------------------------------------------------------------------


class Disorder(NamedTuple):
    """A span of time in which a leader may be lost, or missing, for a reason."""

    begin_ns: int
    end_ns: int
    candidate: str

    def covers(self, at_ns: int, candidate: str) -> bool:
        """Say whether it is the reason of what befell this candidate at that instant."""
        return self.begin_ns <= at_ns <= self.end_ns and self.candidate in ("", candidate)


def judge_long(history: History, *, patience: float) -> Verdict:
    """Judge a run of many faults: safe all the time, nobody disturbed by nothing, a leader whenever there can be one.

    `patience` is how many seconds the absence of a leader may last without a fault that explains it.
    """
    acted = spans(history.beats)
    found = tuple(overlaps(history.beats))
    broken = _unsafe(history, found)
    reasons = disorders(history, patience=patience)
    disturbed = [span for span in acted if not any(reason.covers(span.last_ns, _of(span)) for reason in reasons)]
    for span in disturbed:
        broken.append(f"{_of(span)} (token {span.tenure.token}) was disturbed, and had no need to be")
    for begin_ns, end_ns in absences(history, patience=patience):
        broken.append(f"nobody led from {_at(history, begin_ns):.2f} to {_at(history, end_ns):.2f} s, for no reason")
    return Verdict(found, None, bool(disturbed), tuple(broken))


def disorders(history: History, *, patience: float) -> list[Disorder]:
    """Return when a leader may be lost: under a harmful fault and for its time after it, or under two faults at once.

    After the campaign has begun to end everything, always.
    """
    found = []
    under_way: dict[int, Event] = {}
    last_ns = max([event.at_ns for event in history.events] + [beat.at_ns for beat in history.beats[-1:]], default=0)
    closed: list[tuple[Event, int]] = []
    for event in history.events:
        if event.kind == FAULT:
            under_way[event.fault] = event
        elif event.kind == HEALED and event.fault in under_way:
            closed.append((under_way.pop(event.fault), event.at_ns))
        elif event.kind == STOPPING:
            found.append(Disorder(event.at_ns - ALIVE_NS, last_ns, ""))
    closed += [(event, last_ns) for event in under_way.values()]
    for fault, healed_ns in closed:
        if fault.harm > 0:
            # Who is killed at once has acted for the last time before the fault.
            begin_ns = fault.at_ns - BETWEEN_ACTS_NS
            found.append(Disorder(begin_ns, healed_ns + int(fault.harm * 1e9), fault.candidate))
    harmless = [(fault.at_ns, healed_ns + int(patience * 1e9)) for fault, healed_ns in closed if fault.harm == 0]
    for position, (begin_ns, end_ns) in enumerate(harmless):
        for other_begin_ns, other_end_ns in harmless[position + 1 :]:
            both = max(begin_ns, other_begin_ns), min(end_ns, other_end_ns)
            if both[0] < both[1]:
                found.append(Disorder(*both, ""))
    return found


def absences(history: History, *, patience: float) -> list[tuple[int, int]]:
    """Return when nobody led although nothing explains it: longer than `patience` after the last reason has ended."""
    reasons = disorders(history, patience=patience)
    found = []
    gaps = []
    until_ns = min((event.at_ns for event in history.events), default=0)
    for span in spans(history.beats):
        if span.first_ns > until_ns:
            gaps.append((until_ns, span.first_ns))
        until_ns = max(until_ns, span.last_ns)
    stopping_ns = next((event.at_ns for event in history.events if event.kind == STOPPING), until_ns)
    if stopping_ns - ALIVE_NS > until_ns:
        gaps.append((until_ns, stopping_ns))
    for begin_ns, end_ns in gaps:
        explained_ns = begin_ns
        for reason in sorted(reasons):
            # Whoever might lead may be the one whom it concerns: a reason for one is one for the absence of any.
            if reason.begin_ns <= explained_ns + int(patience * 1e9):
                explained_ns = max(explained_ns, min(reason.end_ns, end_ns))
        if end_ns - explained_ns > patience * 1e9:
            found.append((explained_ns, end_ns))
    return found


def _of(span: Span) -> str:
    return span.tenure.candidate


def _at(history: History, instant_ns: int) -> float:
    return (instant_ns - history.events[0].at_ns) / 1e9
