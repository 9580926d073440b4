"""Several hosts, one election, one ensemble, and a scenario of faults, in simulated time.

A discrete-event simulation rather than a rule-based state machine: what finds faults here is timing within a few
milliseconds of a lease's end, over minutes of history, and that needs a clock, not a list of steps.  Hypothesis chooses
the scenario (hosts, clocks, faults and when they strike) and shrinks it; everything below that is drawn from the
scenario's seed, so a scenario is a history.

After the last fault the hosts are left in peace: somebody has to lead within a bound, and when all are asked to leave,
nothing may be left over.
"""

from dataclasses import dataclass

import model_tree
from faults import ELECTION, Fault, Kind
from judge import record_names
from model_ensemble import TICK
from model_guard import Guard
from model_program import Program
from model_supervisor import PROOF_PATIENCE, Supervisor
from virtual_time import Violation
from world import Setting, World

from zkleader.core import queue, records
from zkleader.core.actions import Outcome
from zkleader.core.lease import LONGEST_LEASE, margin_of
from zkleader.core.restart import Restart

UNREADABLE = (Kind.DELETE_RECORD, Kind.REMAKE_RECORD, Kind.DAMAGE_RECORD)
"""After these the record is waited out as if somebody held it for the longest lease."""


@dataclass(frozen=True, kw_only=True)
class Scenario(Setting):
    """A whole history of services that run all the time, in what determines it."""

    rejoins: bool
    restart: Restart
    programs: int = 0
    """So many of the hosts lead by themselves, through the library."""
    faults: tuple[Fault, ...]


class Simulation(World):
    """One run of a scenario."""

    def __init__(self, scenario: Scenario) -> None:
        super().__init__(scenario)
        self.scenario = scenario
        self._closing = False
        self._restarts_at = 0.0
        for host in range(len(scenario.timings)):
            self._start(host)

    # ---- the run

    def run(self) -> None:
        """Run all of it; raises `Violation`."""
        lease = self.scenario.timings[0].lease
        for fault in self.scenario.faults:
            self.timeline.at(fault.at * lease, lambda fault=fault: self.nemesis.strike(fault))
        over = max(((fault.at + fault.lasts) * lease for fault in self.scenario.faults), default=0.0)
        self.timeline.run_until(over)
        self.timeline.note("judge", "the faults are over")
        self.mood.is_calm = True
        self._wait_for_a_leader(max(over, self._restarts_at) + self._patience())
        self._lose_what_hangs()
        self._tell_who_asked()
        self._leave_in_order()

    def run_undisturbed(self) -> None:
        """Run it, knowing that the faults are of the kind that is ridden out: nobody may lose leadership."""
        self.run()
        if self.judge.losses:
            raise Violation(f"{self.judge.losses} tenures were lost without need")

    def _patience(self) -> float:
        """Return the seconds after which somebody must lead, once there is nothing wrong any more."""
        timing = self.scenario.longest
        expiry = self.scenario.session * timing.lease * (1 + TICK)
        # Twice: the first standby's session may be as dead as the leader's.
        patience = 2 * (expiry + timing.lease + timing.margin) + 3 * timing.renewal_interval + 2.0
        # Each of them, because a host may meet with several, one after the other, whenever it writes.
        unreadable = sum(fault.kind in UNREADABLE for fault in self.scenario.faults)
        # A hook that takes its time when the faults are over.
        patience += 2 * (self.scenario.hooks.timeout * self.scenario.timings[0].lease + timing.kill_allowance)
        patience += unreadable * (LONGEST_LEASE + margin_of(LONGEST_LEASE))
        if any(fault.kind is Kind.HANG_COMMAND for fault in self.scenario.faults):
            patience += PROOF_PATIENCE
        return patience * 1.01

    def _wait_for_a_leader(self, until: float) -> None:
        """Let time pass until somebody leads, and still does when all that others wait out meanwhile is claimable."""
        timing = self.scenario.longest
        claimable = 1.1 * (timing.lease + timing.margin)
        led_since: float | None = None
        while led_since is None or self.timeline.now < led_since + claimable:
            if led_since is None and self.timeline.now >= until:
                raise Violation(f"nobody leads, though nothing is wrong any more: {len(self.judge.acting)} act")
            self.timeline.run_until(self.timeline.now + timing.renewal_interval)
            is_led = len(self.judge.acting) >= self.scenario.expected
            led_since = None if not is_led else led_since or self.timeline.now
        for command in self.judge.acting:
            self.judge.in_time(command)
            if command.is_frozen:
                raise Violation(f"the command with token {command.token} stands still, and nothing is wrong any more")

    def _lose_what_hangs(self) -> None:
        """Take leadership from a command that would never stop when asked to: somebody else must lead then."""
        hanging = [one for one in self.supervisors.values() if one.command_hangs()]
        for supervisor in hanging:
            if supervisor.client.session is not None:
                self.ensemble.end_session(supervisor.client.session)
        if hanging:
            self._wait_for_a_leader(self.timeline.now + self._patience())

    def _tell_who_asked(self) -> None:
        """Let time pass until whoever has asked a leader to step down has heard that it has, or that it is gone."""
        until = self.timeline.now + self._patience()
        while any(asker.conclusion is None for asker in self.nemesis.askers):
            if self.timeline.now >= until:
                raise Violation("who asked a leader to step down is not told of an end")
            self.timeline.run_until(self.timeline.now + self.scenario.longest.renewal_interval)

    def _leave_in_order(self) -> None:
        timings = self.scenario.timings
        self._closing = True
        for supervisor in self.supervisors.values():
            supervisor.leave()
        self.timeline.run_until(self.timeline.now + max(timing.stop_timeout + timing.lease for timing in timings))
        left = [
            name for name in model_tree.children(self.ensemble.tree, ELECTION) if queue.sequence_of(name) is not None
        ]
        if left or self.judge.acting or any(supervisor.alive for supervisor in self.supervisors.values()):
            raise Violation(f"left over: candidates {left}, {len(self.judge.acting)} commands, or a process")
        if any(guard.alive and not guard.command_hangs() for guard in self.guards):
            raise Violation("a guard has not ended")
        for name in record_names(self.ensemble.tree, ELECTION):
            znode = self.ensemble.tree[f"{ELECTION}/{name}"]
            record = records.parse_lease_record(znode.data, znode.stat)
            # One that was made anew under its last holder is nobody's; one that nobody claims, because others have
            # another number, need not be released.
            if not self.scenario.agrees:
                continue
            if not isinstance(record, records.LeaseRecord) or (record.holder and not record.released):
                raise Violation(f"the record was not released: {name} {record}")

    # ---- processes

    def _start(self, host: int) -> None:
        leads_by_itself = host < self.scenario.programs
        self.start(
            host,
            self._ended,
            rejoins=self.scenario.rejoins,
            restart=Restart.NEVER if leads_by_itself else self.scenario.restart,
            keeper=Program if leads_by_itself else Guard,
        )

    def _ended(self, supervisor: Supervisor, _outcome: Outcome) -> None:
        """Start it again after a while, as systemd would."""
        if self._closing:
            return
        host = supervisor.host
        seconds = self.timeline.between(0.02, 1.0) * self.scenario.timings[host].lease
        self._restarts_at = max(self._restarts_at, self.timeline.now + seconds)

        def restart() -> None:
            if not self._closing:
                self._start(host)

        self.timeline.after(seconds, restart)
