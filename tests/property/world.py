"""Several hosts, one election, one ensemble, in simulated time: what every kind of scenario happens in."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from faults import ELECTION, Nemesis
from judge import Judge
from model_command import Job, Mood, Surroundings
from model_ensemble import Ensemble
from model_guard import Guard
from model_program import Program
from model_supervisor import Supervisor
from virtual_time import Clocks, Timeline

from zkleader.core.actions import Outcome
from zkleader.core.acts import Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.lease import Timing
from zkleader.core.restart import Restart

NO_HOOKS = Hooks()


@dataclass(frozen=True, kw_only=True)
class Setting:
    """The hosts, their clocks, and what they are granted; everything else is drawn from the seed."""

    seed: int
    timings: tuple[Timing, ...]
    """Of the hosts; there are so many.  Instants of faults, and how long they last, are in leases of the first one."""
    rates: tuple[float, ...]
    """Of the hosts' crystals, as a fraction from true time."""
    slews: tuple[float, ...]
    hooks: Hooks = NO_HOOKS
    """Of all hosts; their time-out is in leases."""
    on_disconnect: OnDisconnect = OnDisconnect.CONTINUE
    """Of all hosts; a program that leads by itself has no command."""
    session: float
    """The session timeout that is granted, in leases: the shorter, the less there is but the lease itself."""

    leaders: tuple[int, ...] = ()
    """How many may lead at once, as each host has it; one, if it is not said."""

    def leaders_of(self, host: int) -> int:
        """Return how many may lead, as a host has it."""
        return self.leaders[host] if self.leaders else 1

    @property
    def agrees(self) -> bool:
        """Whether all hosts have the same number."""
        return len(set(self.leaders)) <= 1

    @property
    def expected(self) -> int:
        """So many commands act where nothing is wrong; if hosts disagree about how many may, one at least."""
        return min(self.leaders_of(0), len(self.timings)) if self.agrees else 1

    @property
    def longest(self) -> Timing:
        """The timing of the host with the longest lease."""
        return max(self.timings, key=lambda timing: timing.lease)


class World:
    """The hosts of a setting, with the processes that run on them."""

    def __init__(self, setting: Setting) -> None:
        self.timeline = Timeline(setting.seed)
        self.mood = Mood()
        hooks = setting.hooks.but(timeout=setting.hooks.timeout * setting.timings[0].lease)
        self.judge = Judge(self.timeline, setting.longest, ELECTION, hooks)
        self.ensemble = Ensemble(self.timeline, granted=setting.session)
        self.ensemble.observers.append(self.judge.committed)
        self.supervisors: dict[int, Supervisor] = {}
        """The one that was started last on each host."""
        self.guards: list[Guard | Program] = []
        self.surroundings = [
            Surroundings(
                timeline=self.timeline,
                ensemble=self.ensemble,
                judge=self.judge,
                clocks=Clocks(self.timeline, rate=1 + rate, slew=slew),
                timing=timing,
                host=host,
                election=ELECTION,
                hooks=hooks,
                mood=self.mood,
                on_disconnect=setting.on_disconnect,
                leaders=setting.leaders_of(host),
            )
            for host, (timing, rate, slew) in enumerate(zip(setting.timings, setting.rates, setting.slews, strict=True))
        ]
        self.nemesis = Nemesis(
            self.timeline, setting.timings[0], self.ensemble, self.judge, self.surroundings, self.supervisors
        )
        self._guid = itertools.count(1)
        if setting.on_disconnect is not OnDisconnect.CONTINUE:
            self._look_interval = min(timing.lease for timing in setting.timings) / 50
            self._look_for_doubt()

    def _look_for_doubt(self) -> None:
        """Look at every guard, again and again."""
        for guard in self.guards:
            if isinstance(guard, Guard):
                self.judge.in_doubt(guard, guard.around)
        self.timeline.after(self._look_interval, self._look_for_doubt)

    def start(
        self,
        host: int,
        ended: Callable[[Supervisor, Outcome], None],
        *,
        rejoins: bool,
        restart: Restart = Restart.NEVER,
        keeper: type[Guard | Program] = Guard,
        job: Job | None = None,
    ) -> Supervisor:
        """Start a process on a host; ``ended`` is told when it has ended."""
        self.supervisors[host] = Supervisor(
            self.surroundings[host],
            rejoins=rejoins,
            restart=restart,
            keeper=keeper,
            job=job,
            guids=lambda: f"guid{next(self._guid)}",
            ended=ended,
            guards=self.guards.append,
        )
        return self.supervisors[host]
