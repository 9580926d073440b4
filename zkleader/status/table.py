"""What was seen as lines for people: one election with its leader and its queue, or one line for each of many.

It owns the words and their order.  It must not know where the lines go, nor how many columns there are: what matters
most stands first in each line.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import NamedTuple

from zkleader.core.lease import LONGEST_LEASE
from zkleader.core.view import Candidate, Kind, LastRun, Look, Previous, Slot, Standing, State, View
from zkleader.status.text import aligned, duration, printable, stamp

_MOST_OTHERS = 3
"""So many names of what is none of an election's are shown."""

_UNKNOWN = frozenset({Standing.NOT_PERMITTED, Standing.NEWER_FORMAT})
_HELD = frozenset({Standing.LEADS, Standing.LOST, Standing.LAPSED})


class Mark(Enum):
    """What a line is, for whoever has colours."""

    PLAIN = "plain"
    HEADING = "heading"
    GOOD = "good"
    BAD = "bad"


class Line(NamedTuple):
    """A line of text."""

    text: str
    mark: Mark = Mark.PLAIN


class _Clock(NamedTuple):
    """The ensemble's clock: what it shows at least, in ms, and whether ``is_current``, because a leader renews."""

    time: int | None
    is_current: bool

    def at(self, ms: int | None) -> str:
        """Return an instant and how long ago that was, if anything can be said of it."""
        if ms is None:
            return "-"
        ago = max(0, (self.time or ms) - ms) / 1000
        if self.is_current:
            return f"{stamp(ms)} ({duration(ago)} ago)"
        return f"{stamp(ms)} ({duration(ago)} ago or more)" if ago >= 1 else stamp(ms)


def _clock(look: Look) -> _Clock:
    return _Clock(look.time, any(election.state is State.LED for election in look.elections))


def of_all(look: Look, root: str) -> list[Line]:
    """Return the lines that tell of all elections below a path."""
    rows: list[tuple[str, ...]] = [("ELECTION", "SLOT", "LEADER", "HOST", "PID", "TOKEN", "QUEUE", "SINCE")]
    marks, clock = [Mark.HEADING], _clock(look)
    for election in look.elections:
        name = printable(election.path.removeprefix(f"{root}/"))
        if election.state is State.NOT_PERMITTED and not election.slots:
            rows.append((name, "-", "unknown (not permitted)", "-", "-", "-", "-", "-"))
            marks.append(Mark.BAD)
        elif not election.slots:
            rows.append((name, "-", "nobody (no lease record)", "-", "-", "-", str(len(election.candidates)), "-"))
            marks.append(Mark.BAD)
        shown, unused = _parted(election.slots)
        for slot in shown:
            rows.append((name, str(slot.number), *_row(slot, len(election.candidates), clock)))
            marks.append(_mark(slot))
        if unused:
            rows.append((name, _numbers(unused, ","), *_row(unused[0], len(election.candidates), clock)))
            marks.append(_mark(unused[0]))
    lines = list(map(Line, aligned(rows, right=(1, 4, 5, 6)), marks))
    if look.left_out:
        lines.append(Line(f"{look.left_out} more were not looked at", Mark.BAD))
    return lines


def of_one(look: Look) -> list[Line]:
    """Return the lines that tell of the one election that was looked at."""
    [election] = look.elections
    clock = _clock(look)
    lines = [_fact("election", printable(election.path)), _fact("server", look.server)]
    if election.state is State.ABSENT:
        return [*lines, _fact("leader", "there is no such election", Mark.BAD)]
    if not election.slots and election.state is State.NOT_PERMITTED:
        return [*lines, _fact("leader", "unknown: not permitted", Mark.BAD)]
    if not election.slots:
        lines.append(_fact("leader", "nobody: no lease record", Mark.BAD))
    if election.stated is not None and election.stated > 1:
        lines.append(_fact("leaders", f"{len(election.leaders)} of {election.stated}"))
    shown, unused = _parted(election.slots)
    for slot in shown:
        lines += _slot(slot, clock, is_only=len(election.slots) == 1)
    if unused:
        lines.append(_fact(f"{'slot' if len(unused) == 1 else 'slots'} {_numbers(unused, ', ')}", "unused"))
    if election.slots_left_out:
        lines.append(Line(f"{election.slots_left_out} more lease records were not looked at", Mark.BAD))
    if election.others:
        names = ", ".join(map(printable, election.others[:_MOST_OTHERS]))
        more = len(election.others) - _MOST_OTHERS
        lines.append(_fact("others", names + (f" and {more} more" if more > 0 else "")))
    return lines + list(_queue(election, clock))


def _fact(name: str, text: str, mark: Mark = Mark.PLAIN) -> Line:
    return Line(f"{name:>10}: {text}", mark)


def _mark(slot: Slot) -> Mark:
    return Mark.GOOD if slot.standing is Standing.LEADS else Mark.BAD


def _parted(slots: tuple[Slot, ...]) -> tuple[list[Slot], list[Slot]]:
    """Return the slots that are told of one by one, and those of which together is said that nobody has led there."""
    if len(slots) == 1:
        return list(slots), []
    unused = [slot for slot in slots if slot.standing is Standing.UNUSED]
    return [slot for slot in slots if slot not in unused], unused


def _numbers(slots: Sequence[Slot], comma: str) -> str:
    """Return the numbers of slots, those that follow each other as a range: ``1, 3-99``."""
    ranges: list[list[int]] = []
    for slot in slots:
        if ranges and slot.number == ranges[-1][-1] + 1:
            ranges[-1][1:] = [slot.number]
        else:
            ranges.append([slot.number])
    return comma.join("-".join(map(str, each)) for each in ranges)


def _row(slot: Slot, queue: int, clock: _Clock) -> tuple[str, ...]:
    if slot.standing is not Standing.LEADS:
        word = "unknown" if slot.standing in _UNKNOWN else "nobody"
        return (f"{word} ({slot.standing.value.replace('_', ' ')})", "-", "-", "-", str(queue), "-")
    who = slot.who
    since = clock.at(slot.elected)
    return (printable(who.id), printable(who.host), _number(who.pid), _number(slot.token), str(queue), since)


def _slot(slot: Slot, clock: _Clock, *, is_only: bool) -> Iterator[Line]:
    number = "" if is_only and slot.number == 0 else f" {slot.number}"
    yield _fact(f"leader{number}", _leader(slot), _mark(slot))
    if slot.standing in _HELD:
        who = slot.who
        yield _fact("host", f"{printable(who.host)}, pid {_number(who.pid)}, command {printable(who.command)}")
        yield _fact("token", _number(slot.token))
        yield _fact("session", "-" if slot.session is None else f"{slot.session:#x}")
        yield _fact("since", clock.at(slot.elected))
        renewed = "-" if slot.renewed is None else stamp(slot.renewed)
        lease = "-" if slot.lease is None else duration(slot.lease)
        yield _fact("renewed", f"{renewed} ({duration(slot.unrenewed)} ago or more), lease {lease}")
    if slot.previous is not None:
        yield _fact("previous", _previous(slot.previous, clock))
    if slot.last_run is not None:
        yield _fact("last run", _last_run(slot.last_run, clock))


def _leader(slot: Slot) -> str:
    """Return who leads, or why nobody does."""
    who, longest = printable(slot.who.id), f"the longest lease, {duration(LONGEST_LEASE)}, is waited out"
    lease = "-" if slot.lease is None else duration(slot.lease)
    return {
        Standing.LEADS: who,
        Standing.LOST: f"nobody: {who} has left the queue and not released; its lease of {lease} is waited out",
        Standing.LAPSED: f"nobody: {who} has not renewed for longer than its lease of {lease}",
        Standing.RELEASED: "nobody: released",
        Standing.UNUSED: "nobody has led yet",
        Standing.REMADE: f"nobody: the lease record was lost and made anew; {longest}",
        Standing.UNREADABLE: f"nobody: the lease record cannot be read ({slot.problem}); {longest}",
        Standing.NEWER_FORMAT: f"unknown: the lease record has {slot.problem}",
        Standing.NOT_PERMITTED: f"unknown: the lease record cannot be read: {slot.problem}",
    }[slot.standing]


def _previous(previous: Previous, clock: _Clock) -> str:
    status = "" if previous.status is None else f", status {previous.status}"
    end = f"{printable(previous.reason)}{status}; ended {clock.at(previous.ended)}"
    return f"{printable(previous.id)}, token {_number(previous.token)}: {end}"


def _last_run(run: LastRun, clock: _Clock) -> str:
    end = "has not ended" if run.end is None else f"status {_number(run.status)}; ended {clock.at(run.end)}"
    return f"{printable(run.id)}: {end}; period began {clock.at(run.start)}"


def _queue(election: View, clock: _Clock) -> Iterator[Line]:
    yield Line("")
    if not election.candidates:
        yield Line("Nobody is in the queue.")
        return
    rows: list[tuple[str, ...]] = [("#", "ID", "HOST", "PID", "VERSION", "LEASE", "SINCE", "")]
    marks = [Mark.HEADING]
    for rank, candidate in enumerate(election.candidates):
        if candidate.kind is not Kind.NOT_READ:
            rows.append((str(rank), *_candidate(candidate, clock, is_only=len(election.slots) == 1)))
            marks.append(Mark.PLAIN if candidate.slot is None else Mark.GOOD)
    yield from map(Line, aligned(rows, right=(0, 3, 5)), marks)
    if more := len(election.candidates) + 1 - len(rows):
        yield Line(f"and {more} more")


def _candidate(candidate: Candidate, clock: _Clock, *, is_only: bool) -> tuple[str, ...]:
    since = clock.at(candidate.since)
    if candidate.kind is not Kind.OURS:
        problem = "" if candidate.problem is None else f": {candidate.problem}"
        kind = candidate.kind.value.replace("_", " ")
        return ("-", "-", "-", "-", "-", since, f"{kind}: {printable(candidate.name)}{problem}")
    who, lease = candidate.who, candidate.lease
    return (
        printable(who.id),
        printable(who.host),
        _number(who.pid),
        printable(candidate.version),
        "-" if lease is None else duration(lease),
        since,
        "" if candidate.slot is None else "leads" if is_only else f"leads in slot {candidate.slot}",
    )


def _number(number: int | None) -> str:
    return "-" if number is None else str(number)
