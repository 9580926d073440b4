"""What a random run will do, drawn from a seed before it begins. Pure: the same seed gives the same plan for ever.

A plan names roles and not candidates: who leads when a fault is due, only the run can tell.
"""

import random
from typing import NamedTuple

BEGIN = 4.0
"""Seconds before the first fault: somebody leads by then."""

ROLES = ("leader", "leader", "leader", "standby", "anybody")
"""Whom a fault is for; most of them for the one who has something to lose."""

LEASES = (4.0, 5.0, 6.0)

WITNESSES: tuple[tuple[str, ...], ...] = (
    (),
    ("--forks", "2"),
    ("--linger", "0.2"),
    ("--ignore-term",),
    ("--ignore-term", "--daemonise", "--forks", "1"),
)
"""Commands that go at once, that leave others behind, that take their time, and that do not go."""

OPTIONS: tuple[tuple[str, ...], ...] = (
    (),
    ("--on-loss", "rejoin"),
    ("--restart", "always", "--restart-delay", "300ms"),
    ("--on-loss", "rejoin", "--restart", "always", "--restart-delay", "300ms"),
    ("--on-loss", "rejoin", "--on-disconnect", "pause"),
)

AT_ONCE, TINY, BRIEF, LONG = (0.0, 0.0), (0.1, 0.5), (0.2, 1.2), (1.0, 9.0)
"""Seconds that a fault lasts, from and to. Tiny is what the kill allowance covers when both processes are frozen."""

# Kind of a fault -> its weight, and how long it may last.
KINDS: dict[str, tuple[int, tuple[float, float]]] = {
    "supervisor KILL": (4, AT_ONCE),
    "supervisor TERM": (2, AT_ONCE),
    "supervisor STOP": (4, LONG),
    "supervisor STOP briefly": (2, BRIEF),
    "guard KILL": (3, AT_ONCE),
    "guard STOP": (3, LONG),
    "guard STOP briefly": (2, BRIEF),
    "supervisor and guard STOP briefly": (2, TINY),
    "command KILL": (2, AT_ONCE),
    "host dies": (3, AT_ONCE),
    "cut off": (4, LONG),
    "cut off briefly": (3, BRIEF),
    "cut off, in": (3, LONG),
    "cut off, out": (3, LONG),
    "rack cut off": (4, LONG),
    "connections break": (3, AT_ONCE),
    "flapping": (2, LONG),
    "latency": (2, LONG),
    "losses": (2, LONG),
    "busy": (1, LONG),
    "no descriptors, supervisor": (1, LONG),
    "no descriptors, guard": (1, LONG),
    "wall clock": (2, LONG),
    "candidate deleted": (3, AT_ONCE),
    "follower killed": (3, LONG),
    "ensemble's leader killed": (2, LONG),
    "follower frozen": (2, LONG),
    "ensemble's leader frozen": (3, LONG),
    "quorum frozen briefly": (2, BRIEF),
    "quorum frozen": (1, LONG),
    "ensemble killed": (1, BRIEF),
    "record deleted": (1, AT_ONCE),
    "record garbage": (1, AT_ONCE),
}

OF_THE_ENSEMBLE = frozenset(kind for kind in KINDS if kind.startswith(("follower", "ensemble", "quorum", "record")))


def may_meet(kind: str, others: frozenset[str]) -> bool:
    """Say whether a fault may come to a candidate that suffers others.

    Not a second one of its kind. And not what leaves neither supervisor nor guard: that is not promised, but for the
    death of all at once.
    """
    if kind == "host dies" or not others:
        return True
    down = {part for each in (kind, *others) for part in _takes_down(each)}
    return kind not in others and len(down) < 2


def _takes_down(kind: str) -> set[str]:
    is_signal = "KILL" in kind or "STOP" in kind
    return {part for part in ("supervisor", "guard") if is_signal and part in kind.split()}


class Settings(NamedTuple):
    """How a candidate is started, each time that it is."""

    lease: float
    witness: tuple[str, ...]
    options: tuple[str, ...]
    is_searched: bool
    """It has no control group: its command's processes are searched for."""


class Step(NamedTuple):
    """A fault to come. `chance`, below 1, decides whatever else there is to decide."""

    at: float
    kind: str
    role: str
    seconds: float
    chance: float


class Plan(NamedTuple):
    """A whole run."""

    seconds: float
    candidates: dict[str, Settings]
    steps: tuple[Step, ...]


def _settings(draw: random.Random) -> Settings:
    lease, witness, options = draw.choice(LEASES), draw.choice(WITNESSES), draw.choice(OPTIONS)
    # What has no control group cannot be paused, and says so in place of campaigning.
    is_searched = draw.random() < 0.3 and "pause" not in options
    return Settings(lease=lease, witness=witness, options=options, is_searched=is_searched)


def make_plan(seed: int, seconds: float, names: tuple[str, ...]) -> Plan:
    """Return the plan of a seed; the last faults leave time for the end to be calm."""
    draw = random.Random(seed)
    candidates = {name: _settings(draw) for name in names}
    steps = []
    at = BEGIN
    while at < seconds:
        (kind,) = draw.choices(list(KINDS), weights=[weight for weight, _ in KINDS.values()])
        shortest, longest = KINDS[kind][1]
        steps.append(
            Step(
                at=round(at, 3),
                kind=kind,
                role=draw.choice(ROLES),
                seconds=round(draw.uniform(shortest, longest), 3),
                chance=draw.random(),
            )
        )
        # Most follow when all is calm again; some come into the midst of the last.
        at += draw.uniform(0.1, 2.0) if draw.random() < 0.5 else draw.uniform(3.0, 9.0)
    return Plan(seconds, candidates, tuple(steps))
