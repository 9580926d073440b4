"""True time, and the clocks of hosts that measure it badly: the ground on which the simulation stands.

True time is what nobody in the simulation knows; only the invariants are judged by it.  Everything that happens is a
callback at a true time; ties run in the order in which they were made, so one seed is one history.
"""

import heapq
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from hypothesis import note

from zkleader.core.lease import Instant


class Violation(AssertionError):  # noqa: N818 # the word of the field: a violated invariant
    """An invariant does not hold."""


class Timeline:
    """The queue of what is to happen, the randomness that everything draws from, and the trace of what happened."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.random = random.Random(seed)
        self.trace: list[tuple[float, str, str]] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._made = 0

    def at(self, when: float, happen: Callable[[], None]) -> None:
        """Have something happen at a true time."""
        self._made += 1
        heapq.heappush(self._queue, (max(when, self.now), self._made, happen))

    def after(self, seconds: float, happen: Callable[[], None]) -> None:
        """Have something happen so many true seconds from now."""
        self.at(self.now + seconds, happen)

    def run_until(self, end: float) -> None:
        """Let everything happen that is due by then."""
        while self._queue and self._queue[0][0] <= end:
            self.now, _, happen = heapq.heappop(self._queue)
            happen()
        self.now = end

    def between(self, least: float, most: float) -> float:
        """Draw a duration."""
        return self.random.uniform(least, most)

    def chance(self, probability: float) -> bool:
        """Draw a yes or no."""
        return self.random.random() < probability

    def note(self, who: str, what: str) -> None:
        """Add a line to the trace."""
        self.trace.append((self.now, who, what))

    def told(self) -> str:
        """Return the trace as text."""
        return "\n".join(f"{when:9.3f} {who:8} {what}" for when, who, what in self.trace)

    @contextmanager
    def told_if_broken(self) -> Iterator[None]:
        """Have Hypothesis show the trace beside whatever is raised."""
        try:
            yield
        except Exception:
            note(self.told())
            raise


@dataclass(frozen=True, kw_only=True)
class _Since:
    """The clocks at a true time from which on they run at these rates."""

    true: float
    instant: Instant
    raw_rate: float
    slew: float


class Clocks:
    """The three clocks of a host.

    ``rate`` is how fast its crystal runs: within half a per cent of true time, so that no two differ by more than one.
    ``slew`` is what chrony adds to two of the three, up to eight per cent; it may change at any time.
    """

    def __init__(self, timeline: Timeline, *, rate: float, slew: float) -> None:
        self._timeline = timeline
        start = Instant(monotonic=1000.0 * rate, raw=500.0, boottime=3000.0)
        self._since = _Since(true=timeline.now, instant=start, raw_rate=rate, slew=slew)

    def now(self) -> Instant:
        """Read all three."""
        since = self._since
        raw = (self._timeline.now - since.true) * since.raw_rate
        slewed = raw * (1 + since.slew)
        return Instant(
            monotonic=since.instant.monotonic + slewed,
            raw=since.instant.raw + raw,
            boottime=since.instant.boottime + slewed,
        )

    def slew_by(self, slew: float) -> None:
        """Let chrony change its mind."""
        rate = self._since.raw_rate
        self._since = _Since(true=self._timeline.now, instant=self.now(), raw_rate=rate, slew=slew)

    def true_seconds(self, seconds: float) -> float:
        """Return how long poll() really sleeps when asked for so many seconds (of CLOCK_MONOTONIC)."""
        return seconds / (self._since.raw_rate * (1 + self._since.slew))
