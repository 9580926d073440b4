"""Who acted when, and what that says: pure.

It owns the judgement (takeovers, gaps, overlap) and the pictures.  It must not know processes, clocks or terminals: it
is given instants in seconds of one clock, and a width.  It does not promise that it was given all that happened.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import pairwise

from zkleader.core.value import Value

NANOSECONDS = 1_000_000_000
MILLISECONDS = 1000

_NARROWEST = 24
"""Columns below which nothing is wrapped any further: a terminal that claims none would get one letter a line."""

_WIDEST = 120
"""Columns beyond which lines are no longer read with ease."""


class Tenure(Value):
    """One tenure as it was seen: first and last act of its command."""

    token: int
    first: float
    last: float
    host: str = "?"


class Beats:
    """The witnesses' lines ``CLOCK_MONOTONIC_ns TOKEN HOST``, taken as they come, as tenures."""

    def __init__(self) -> None:
        self._tenures: dict[int, Tenure] = {}
        self._rest = b""

    def take(self, content: bytes) -> None:
        """Take what was appended; a line that is not whole waits for its rest, which a killed writer never sends."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        for line in lines:
            words = line.split()
            if len(words) != 3 or not (words[0].isdigit() and words[1].isdigit()):
                continue
            at, token, host = int(words[0]) / NANOSECONDS, int(words[1]), words[2].decode("ascii", "replace")
            known = self._tenures.get(token, Tenure(token=token, first=at, last=at, host=host))
            self._tenures[token] = known.but(first=min(known.first, at), last=max(known.last, at))

    def tenures(self) -> list[Tenure]:
        """Return the tenures in the order of their first acts."""
        return in_order(self._tenures.values())


def in_order(tenures: Iterable[Tenure]) -> list[Tenure]:
    """Return them in the order in which they began."""
    return sorted(tenures, key=lambda tenure: (tenure.first, tenure.token))


def overlap(tenures: Iterable[Tenure]) -> float:
    """Return the seconds for which, at the worst, a tenure acts after a later one has begun.

    That is the promise: not only that two did not act in the same instant, but that the first never acts again.  Every
    pair counts: what a leader left behind may outlive two successors.
    """
    worst = 0.0
    latest = float("-inf")
    for tenure in in_order(tenures):
        worst = max(worst, latest - tenure.first)
        latest = max(latest, tenure.last)
    return worst


def gaps(tenures: Iterable[Tenure]) -> list[float]:
    """Return for each takeover the seconds for which nobody acted; none where two acted at once."""
    return [max(0.0, later.first - earlier.last) for earlier, later in pairwise(in_order(tenures))]


class Verdict(Value):
    """What the whole show says.  ``overlap`` and ``longest_gap`` are in seconds."""

    takeovers: int
    longest_gap: float
    overlap: float
    tokens_rise: bool
    wanted: int
    """As many takeovers as there were faults; fewer means that one was not survived."""
    left: int = 0
    """Processes that candidates left behind when they had ended."""

    @property
    def is_good(self) -> bool:
        """Whether it is as promised."""
        return self.overlap == 0 and self.tokens_rise and self.takeovers >= self.wanted and self.left == 0

    def line(self) -> str:
        """Return the verdict in one line, what is wrong last."""
        takeovers = f"{self.takeovers} takeover{'' if self.takeovers == 1 else 's'}"
        parts = [takeovers, f"longest gap {self.longest_gap:.2f} s", f"overlap {_milliseconds(self.overlap)} ms"]
        if not self.tokens_rise:
            parts.append("TOKENS DO NOT RISE")
        if self.takeovers < self.wanted:
            parts.append(f"{self.wanted} WERE DUE")
        if self.left:
            parts.append(f"{self.left} PROCESSES WERE LEFT")
        return f"{'good' if self.is_good else 'BAD'}: {', '.join(parts)}"


def _milliseconds(seconds: float) -> str:
    # Rounded to 0 an overlap of some microseconds would contradict the word before it.
    return "0" if seconds == 0 else f"{seconds * MILLISECONDS:.3f}"


def judge(tenures: Iterable[Tenure], *, wanted: int, left: int = 0) -> Verdict:
    """Return what these tenures say."""
    seen = in_order(tenures)
    return Verdict(
        takeovers=max(0, len(seen) - 1),
        longest_gap=max(gaps(seen), default=0.0),
        overlap=overlap(seen),
        tokens_rise=all(earlier.token < later.token for earlier, later in pairwise(seen)),
        wanted=wanted,
        left=left,
    )


# ---- pictures


class Marks(Value):
    """How a host's state is drawn, each in one column."""

    leads: str
    waits: str
    cut_off: str
    gone: str


SIGNS = Marks(leads="█", waits="│", cut_off="┆", gone="×")  # noqa: RUF001 # a cross
LETTERS = Marks(leads="#", waits="|", cut_off=":", gone="x")
"""Where the encoding has no others."""


def usable(width: int) -> int:
    """Return the columns that are used of so many; the last is left free, or some terminals begin a new line."""
    return max(_NARROWEST, min(width - 1, _WIDEST))


def wrapped(text: str, width: int, *, head: str = "", below: str = "") -> list[str]:
    """Return the text in lines, the first behind ``head``, the others behind ``below``, which is as long."""
    columns = usable(width)
    if len(head) + _NARROWEST > columns:
        below = "  "
    return textwrap.wrap(text, columns, initial_indent=head, subsequent_indent=below, break_on_hyphens=False) or [head]


def event_line(at: float, lanes: Sequence[str], text: str, width: int) -> list[str]:
    """Return an event below the header of ``header_line``: when, a column for each host, what."""
    columns = f"  {' '.join(lanes)}  "
    when = f"{at:5.1f}"
    return wrapped(text, width, head=when + columns, below=" " * len(when) + columns)


def header_line(hosts: Sequence[str]) -> str:
    """Return what stands above the events."""
    return f"  sec  {' '.join(hosts)}"


def picture(hosts: Sequence[str], tenures: Iterable[Tenure], marks: Marks, *, end: float, width: int) -> list[str]:
    """Return a lane for each host, filled where it acted, from 0 to ``end``, and a scale below them."""
    columns = usable(width) - 4
    cell = end / columns
    seen = in_order(tenures)
    rows = []
    for host in hosts:
        filled: set[int] = set()
        for tenure in (tenure for tenure in seen if tenure.host == host):
            # From middle to middle, so that the end of one and the beginning of the next do not share a column.
            inside = [column for column in range(columns) if tenure.first <= (column + 0.5) * cell < tenure.last]
            filled.update(inside or [min(columns - 1, max(0, int(tenure.first / cell)))])
        lane = "".join(marks.leads if column in filled else " " for column in range(columns))
        rows.append(f"  {host} {lane}".rstrip())
    scale = f"{end:.0f} s"
    rows.append(f"    0{scale.rjust(columns - 1)}")
    return rows
