"""What a scenario is, what usually has to follow, and the variants of one: stubborn, with hooks, with a policy, ..."""

from typing import NamedTuple

from campaign.acts import LONGEST, Act
from campaign.checker import Expectation, Paused, Takeover
from campaign.play import GRACE, LEASE
from campaign.wrappers import without_control_group
from zkleader.core.lease import Timing

MILD: tuple[str, ...] = ()
STUBBORN = ("--ignore-term", "--daemonise", "--forks", "2")
"""A command that ignores the stop signal, forks, and has a copy in a session of its own."""

CLEAN = Takeover(0.5, after_last_act=True)
"""A few round trips, and the start of a Python that acts."""

AT_ONCE = Takeover(1.0)
"""Where the guard releases for a dead supervisor."""

AFTER_ON_LOST = Takeover(2.0)
"""The same, with a hook that takes its time before."""

IN_TIME = Takeover(LEASE + 2)

LONG = Timing(lease=10, grace=1, stop_timeout=1)
OF_LONG = {"lease": LONG.lease, "grace": LONG.grace}
"""For what has to be ridden out and takes its time."""

ENSEMBLE_ELECTION = 3.5
"""Seconds until an ensemble that was cut off from its leader has another: five ticks of silence, and the vote. Then it
counts all sessions from the beginning, that of a dead leader of ours too, whose candidate stands for so much longer."""

IN_TIME_WITH_ENSEMBLE = Takeover(ENSEMBLE_ELECTION + LEASE + 2)


CLOCK = ("wall clock",)

UNREADABLE = Takeover(LONGEST + 3)
"""Where the record does not say how long the lease is."""


BRIEF_HOOKS = ("--lifetime", "0.3")
STUBBORN_HOOKS = (*BRIEF_HOOKS, *STUBBORN)
ENDLESS_HOOKS = ("--lifetime", "60", *STUBBORN)
"""Hooks that act too: for a moment, with copies that would go on for ever, or as long as they are let."""


class Scenario(NamedTuple):
    """One scenario.

    `needs`: "guard", "record", "hooks", "policy", "slots" of the tool; the rest of this machine.
    """

    name: str
    act: Act
    expected: Expectation
    lease: float = LEASE
    grace: float = GRACE
    witness: tuple[str, ...] = MILD
    hooks: tuple[str, ...] = ()
    wrapper: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    leaders: int = 1


def policy(policy: str, *scenarios: Scenario) -> list[Scenario]:
    """Return the same with this policy for what is to become of the command while it is cut off."""
    return [
        scenario._replace(
            name=f"{scenario.name}, {policy}",
            options=("--on-disconnect", policy),
            needs=(*scenario.needs, *(("control group",) if policy == "pause" else ()), "policy"),
        )
        for scenario in scenarios
    ]


def searched(*scenarios: Scenario) -> list[Scenario]:
    """Return the same with a stubborn command that is in no control group."""
    return [
        scenario._replace(
            name=f"{scenario.name}, stubborn, searched for", witness=STUBBORN, wrapper=without_control_group()
        )
        for scenario in scenarios
    ]


def with_stubborn(*scenarios: Scenario) -> list[Scenario]:
    """Return each scenario, and the same with a command that does not go of its own will."""
    found = []
    for scenario in scenarios:
        found += [scenario, scenario._replace(name=f"{scenario.name}, stubborn", witness=STUBBORN)]
    return found


def of_two_leaders(*scenarios: Scenario) -> list[Scenario]:
    """Return the same with two leaders, of whom the first is struck, and two who wait."""
    return [
        scenario._replace(name=f"two leaders: {scenario.name}", leaders=2, needs=(*scenario.needs, "slots"))
        for scenario in scenarios
    ]


TIMING = Timing(lease=LEASE, grace=GRACE, stop_timeout=GRACE)
PROMPT = 0.4
"""Seconds in which a guard on a loaded machine does what is due."""

STILL = TIMING.overdue_after + PROMPT
"""Nothing acts so many seconds after the network, or a supervisor, has fallen silent."""

STOPPED = STILL + GRACE
"""Nor does what is stopped in place of being frozen, though it takes all of its grace."""

PAUSED_LONG = Paused(LONG.overdue_after + PROMPT, again_within=LONG.unasked + LONG.renewal_interval)


def with_hooks(hooks: tuple[str, ...], *scenarios: Scenario) -> list[Scenario]:
    """Return the same with hooks before and after the command, of two hosts that must not overlap either."""
    kind = {BRIEF_HOOKS: "hooks", STUBBORN_HOOKS: "stubborn hooks", ENDLESS_HOOKS: "endless hooks"}[hooks]
    return [
        scenario._replace(name=f"{kind}, {scenario.name}", hooks=hooks, needs=(*scenario.needs, "hooks"))
        for scenario in scenarios
    ]
