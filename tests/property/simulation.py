"""Several hosts, one election, one ensemble, and a scenario of faults, in simulated time.

A discrete-event simulation rather than a rule-based state machine: what finds faults here is timing within a few
milliseconds of a lease's end, over minutes of history, and that needs a clock, not a list of steps.  Hypothesis chooses
the scenario (hosts, clocks, faults and when they strike) and shrinks it; everything below that is drawn from the
scenario's seed, so a scenario is a history.

After the last fault the hosts are left in peace: somebody has to lead within a bound, and when all are asked to leave,
nothing may be left over.
"""

import itertools
from dataclasses import dataclass

import model_tree
from faults import ELECTION, RECORD, Fault, Kind, Nemesis
from judge import Judge
from model_command import Surroundings
from model_ensemble import Ensemble
from model_guard import Guard
from model_supervisor import PROOF_PATIENCE, Supervisor
from virtual_time import Clocks, Timeline, Violation

from zkleader.core import queue, records
from zkleader.core.actions import Outcome
from zkleader.core.lease import LONGEST_LEASE, Timing, margin_of
from zkleader.core.restart import Restart

UNREADABLE = (Kind.DELETE_RECORD, Kind.REMAKE_RECORD, Kind.DAMAGE_RECORD)
"""After these the record is waited out as if somebody held it for the longest lease."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A whole history, in what determines it."""

    seed: int
    timing: Timing
    rates: tuple[float, ...]
    """Of the hosts' crystals, as a fraction from true time; there are so many hosts."""
    slews: tuple[float, ...]
    session: float
    """The session timeout that is granted, in leases: the shorter, the less there is but the lease itself."""
    rejoins: bool
    restart: Restart
    faults: tuple[Fault, ...]


class Simulation:
    """One run of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        timing = scenario.timing
        self.scenario = scenario
        self.timeline = Timeline(scenario.seed)
        self.judge = Judge(self.timeline, timing, ELECTION)
        self.ensemble = Ensemble(self.timeline, timeout=scenario.session * timing.lease)
        self.ensemble.observers.append(self.judge.committed)
        self._closing = False
        self._guid = itertools.count(1)
        self._guards: list[Guard] = []
        self._restarts_at = 0.0
        self._surroundings = [
            Surroundings(
                timeline=self.timeline,
                ensemble=self.ensemble,
                judge=self.judge,
                clocks=Clocks(self.timeline, rate=1 + rate, slew=slew),
                timing=timing,
                host=host,
                election=ELECTION,
            )
            for host, (rate, slew) in enumerate(zip(scenario.rates, scenario.slews, strict=True))
        ]
        self._supervisors: list[Supervisor] = [self._supervisor(host) for host in range(len(scenario.rates))]
        self._nemesis = Nemesis(self.timeline, timing, self.ensemble, self.judge, self._surroundings, self._supervisors)

    # ---- the run

    def run(self) -> None:
        """Run all of it; raises `Violation`."""
        lease = self.scenario.timing.lease
        for fault in self.scenario.faults:
            self.timeline.at(fault.at * lease, lambda fault=fault: self._nemesis.strike(fault))
        over = max(((fault.at + fault.lasts) * lease for fault in self.scenario.faults), default=0.0)
        self.timeline.run_until(over)
        self.timeline.note("judge", "the faults are over")
        self.timeline.run_until(max(over, self._restarts_at) + self._patience())
        self._somebody_leads()
        self._lose_what_hangs()
        self._leave_in_order()

    def run_undisturbed(self) -> None:
        """Run it, knowing that the faults are of the kind that is ridden out: nobody may lose leadership."""
        self.run()
        if self.judge.losses:
            raise Violation(f"{self.judge.losses} tenures were lost without need")

    def _patience(self) -> float:
        """Return the seconds after which somebody must lead, once there is nothing wrong any more."""
        timing = self.scenario.timing
        expiry = self.ensemble.timeout + self.ensemble.tick
        # Twice: the first standby's session may be as dead as the leader's.
        patience = 2 * (expiry + timing.lease + timing.margin) + 3 * timing.renewal_interval + 2.0
        if any(fault.kind in UNREADABLE for fault in self.scenario.faults):
            patience += LONGEST_LEASE + margin_of(LONGEST_LEASE)
        if any(fault.kind is Kind.HANG_COMMAND for fault in self.scenario.faults):
            patience += PROOF_PATIENCE
        return patience * 1.01

    def _somebody_leads(self) -> None:
        if not self.judge.acting:
            raise Violation("nobody leads, though nothing is wrong any more")
        for command in self.judge.acting:
            self.judge.in_time(command)

    def _lose_what_hangs(self) -> None:
        """Take leadership from a command that would never stop when asked to: somebody else must lead then."""
        hanging = [one for one in self._supervisors if one.command_hangs()]
        for supervisor in hanging:
            if supervisor.client.session is not None:
                self.ensemble.end_session(supervisor.client.session)
        if hanging:
            self.timeline.run_until(self.timeline.now + self._patience())
            self._somebody_leads()

    def _leave_in_order(self) -> None:
        timing = self.scenario.timing
        self._closing = True
        for supervisor in self._supervisors:
            supervisor.leave()
        self.timeline.run_until(self.timeline.now + timing.stop_timeout + timing.lease)
        left = [
            name for name in model_tree.children(self.ensemble.tree, ELECTION) if queue.sequence_of(name) is not None
        ]
        if left or self.judge.acting or any(supervisor.alive for supervisor in self._supervisors):
            raise Violation(f"left over: candidates {left}, {len(self.judge.acting)} commands, or a process")
        if any(guard.alive and not guard.command_hangs() for guard in self._guards):
            raise Violation("a guard has not ended")
        record = records.parse_lease_record(self.ensemble.tree[RECORD].data)
        if not isinstance(record, records.LeaseRecord) or not record.released:
            raise Violation(f"the record was not released: {record}")

    # ---- processes

    def _supervisor(self, host: int) -> Supervisor:
        return Supervisor(
            self._surroundings[host],
            rejoins=self.scenario.rejoins,
            restart=self.scenario.restart,
            guids=lambda: f"guid{next(self._guid)}",
            ended=self._ended,
            guards=self._guards.append,
        )

    def _ended(self, supervisor: Supervisor, _outcome: Outcome) -> None:
        """Start it again after a while, as systemd would."""
        if self._closing:
            return
        host = self._supervisors.index(supervisor)
        seconds = self.timeline.between(0.02, 1.0) * self.scenario.timing.lease
        self._restarts_at = max(self._restarts_at, self.timeline.now + seconds)

        def restart() -> None:
            if not self._closing:
                self._supervisors[host] = self._supervisor(host)

        self.timeline.after(seconds, restart)
