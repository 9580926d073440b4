"""The same crontab line on several hosts, struck by skewed clocks, and what befalls them at the steps of a run.

What matters to ``--once-per`` is which step a host has taken when something strikes it, so faults are not placed by the
clock here, as for services that run all the time, but by the steps.

Nobody deletes or damages the record: with it goes all that is known of runs.
"""

from dataclasses import dataclass

import model_tree
from faults import ELECTION, Fault, Kind
from ledger import Ledger, Step, Visit
from model_command import Job
from model_ensemble import TICK
from virtual_time import Violation
from world import Setting, World

from zkleader.core import queue

PERIOD = 12.0
"""Leases: hosts may die one after the other within half of it, and each of them has its lease waited out."""

DOUBT = 1.3
"""Leases: a creation may be committed as late as its session expires."""

GREATEST_SKEW = 1 / 3
"""Periods."""

OF_THE_ENSEMBLE = frozenset({Kind.LAG, Kind.CUT_OFF, Kind.QUORUM_LOSS})
"""They befall all hosts."""


@dataclass(frozen=True, kw_only=True)
class Errand:
    """What the job is in one strike: how long it takes, in leases, and how many hosts, as struck, it fails on."""

    takes: float
    failures: int


@dataclass(frozen=True, kw_only=True)
class Blow:
    """A fault that strikes whoever takes a step as the so many-th of one strike, so many seconds after that."""

    strike: int
    step: Step
    count: int
    after: float
    fault: Fault


@dataclass(frozen=True, kw_only=True)
class Crontab(Setting):
    """A whole history of a job, in what determines it; ``skews`` of the hosts' clocks are in periods."""

    skews: tuple[float, ...]
    errands: tuple[Errand, ...]
    """One for each strike."""
    rejoins: bool
    retry_failed: bool
    blows: tuple[Blow, ...]


class Cron(World):
    """One run of a crontab."""

    def __init__(self, crontab: Crontab) -> None:
        super().__init__(crontab)
        self._crontab = crontab
        self._lease = crontab.timings[0].lease
        self._period = PERIOD * self._lease
        self._counts: dict[tuple[int, Step], int] = {}
        self._started = [0] * len(crontab.errands)
        self._hurt: set[int] = set()
        self._is_ensemble_hurt = False
        self.ledger = Ledger(
            self.timeline,
            self.judge,
            ELECTION,
            period=self._period,
            doubt=DOUBT * self._lease,
            retry_failed=crontab.retry_failed,
            on_step=self._on_step,
        )
        self.ensemble.observers.append(self.ledger.committed)

    def run(self) -> None:
        """Run all of it; raises `Violation`."""
        for strike in range(len(self._crontab.errands)):
            for host, skew in enumerate(self._crontab.skews):
                self.timeline.at((strike + skew) * self._period, lambda at=(strike, host): self._strike(*at))
        self.timeline.run_until((len(self._crontab.errands) + GREATEST_SKEW) * self._period)
        self._wait_for_all()
        self._nothing_is_left()
        self.ledger.close(self._is_unhurt)

    def _wait_for_all(self) -> None:
        until = self.timeline.now + self._patience()
        while any(visit.supervisor.alive for visit in self.ledger.visits):
            if self.timeline.now >= until:
                raise Violation("a process has not ended, though the clock strikes no more")
            self.timeline.run_until(self.timeline.now + self._lease)

    def _patience(self) -> float:
        """Return the seconds after which all must have ended: every host in its turn, and every wait for a dead one."""
        hosts, timing = len(self._crontab.skews), self._crontab.timings[0]
        jobs = sum(errand.takes for errand in self._crontab.errands) * hosts
        faults = sum(blow.fault.lasts for blow in self._crontab.blows)
        waits = len(self._crontab.errands) * hosts * (2.0 + self._crontab.session * (1 + TICK))
        return 1.1 * (jobs + faults + waits) * self._lease + hosts * timing.stop_timeout + 15.0

    def _nothing_is_left(self) -> None:
        timing = self._crontab.timings[0]
        self.timeline.run_until(self.timeline.now + 1.2 * (timing.lease + timing.stop_timeout))
        left = [
            name for name in model_tree.children(self.ensemble.tree, ELECTION) if queue.sequence_of(name) is not None
        ]
        if left or self.judge.acting or any(guard.alive for guard in self.guards):
            raise Violation(f"left over: candidates {left}, {len(self.judge.acting)} commands, or a guard")

    def _strike(self, strike: int, host: int) -> None:
        crontab, errand = self._crontab, self._crontab.errands[strike]
        self._started[strike] += 1
        job = Job(
            takes=errand.takes * self._lease,
            wait_status=256 if self._started[strike] <= errand.failures else 0,
            once_per=self._period,
            retry_failed=crontab.retry_failed,
        )
        self.timeline.note("cron", f"strike {strike} on host {host}")
        self.ledger.struck(self.start(host, self.ledger.ended, rejoins=crontab.rejoins, job=job), strike)

    def _on_step(self, step: Step, visit: Visit) -> None:
        count = self._counts[visit.strike, step] = self._counts.get((visit.strike, step), 0) + 1
        for blow in self._crontab.blows:
            if (blow.strike, blow.step, blow.count) == (visit.strike, step, count):
                self.timeline.after(blow.after, lambda blow=blow: self._hit(visit, blow.fault))

    def _hit(self, visit: Visit, fault: Fault) -> None:
        self._hurt.add(visit.supervisor.host)
        self._is_ensemble_hurt = self._is_ensemble_hurt or fault.kind in OF_THE_ENSEMBLE
        if visit.supervisor.alive:
            self.nemesis.strike_at(visit.supervisor, fault)

    def _is_unhurt(self, visit: Visit) -> bool:
        return not self._is_ensemble_hurt and visit.supervisor.host not in self._hurt
