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
from enum import Enum

import model_tree
from judge import Judge
from model_ensemble import Ensemble, Way
from model_guard import Command, Guard, Surroundings
from model_supervisor import Supervisor
from virtual_time import Clocks, Timeline, Violation

from zkleader.core import actions, queue, records
from zkleader.core.actions import Outcome
from zkleader.core.lease import LONGEST_LEASE, Timing, margin_of

ELECTION = "/zkleader/job"
RECORD = f"{ELECTION}/{queue.RECORD_PREFIX}0"


class Kind(Enum):
    """What can go wrong."""

    PARTITION = "partition"
    RESET = "reset"
    SLOW = "slow"
    LAG = "lag"
    CUT_OFF = "cut_off"
    QUORUM_LOSS = "quorum_loss"
    EXPIRE = "expire"
    AMBUSH = "ambush"
    """The next write of the host meets with something."""
    DELETE_CANDIDATE = "delete_candidate"
    DELETE_RECORD = "delete_record"
    DAMAGE_RECORD = "damage_record"
    TOUCH_RECORD = "touch_record"
    """Somebody writes the content that is there already."""
    FREEZE = "freeze"
    STICK = "stick"
    KILL_SUPERVISOR = "kill_supervisor"
    KILL_GUARD = "kill_guard"
    KILL_BOTH = "kill_both"
    FREEZE_GUARD = "freeze_guard"
    COMMAND_ENDS = "command_ends"
    LEFTOVERS = "leftovers"
    """The command's first process ends and leaves something behind."""
    LEAVE = "leave"
    SLEW = "slew"


class Target(Enum):
    """Whom a fault strikes: by role, or by number."""

    SAME = -3
    """The host that the fault before struck."""
    LEADER = -1
    STANDBY = -2
    FIRST = 0
    SECOND = 1
    THIRD = 2
    FOURTH = 3


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault at an instant, for a while; both are in leases.  ``spice`` chooses among its variants."""

    at: float
    kind: Kind
    target: Target = Target.LEADER
    lasts: float = 0.0
    spice: int = 0


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
        self._struck = 0
        """The host that was struck last."""
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

    # ---- the run

    def run(self) -> None:
        """Run all of it; raises `Violation`."""
        lease = self.scenario.timing.lease
        for fault in self.scenario.faults:
            self.timeline.at(fault.at * lease, lambda fault=fault: self._strike(fault))
        over = max(((fault.at + fault.lasts) * lease for fault in self.scenario.faults), default=0.0)
        self.timeline.run_until(over)
        self.timeline.note("judge", "the faults are over")
        self.timeline.run_until(max(over, self._restarts_at) + self._patience())
        self._somebody_leads()
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
        if any(fault.kind in (Kind.DELETE_RECORD, Kind.DAMAGE_RECORD) for fault in self.scenario.faults):
            patience += LONGEST_LEASE + margin_of(LONGEST_LEASE)
        return patience * 1.01

    def _somebody_leads(self) -> None:
        if not self.judge.acting:
            raise Violation("nobody leads, though nothing is wrong any more")
        for command in self.judge.acting:
            self.judge.in_time(command)

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
        if any(guard.alive for guard in self._guards):
            raise Violation("a guard has not ended")
        record = records.parse_lease_record(self.ensemble.tree[RECORD].data)
        if not isinstance(record, records.LeaseRecord) or not record.released:
            raise Violation(f"the record was not released: {record}")

    # ---- processes

    def _supervisor(self, host: int) -> Supervisor:
        return Supervisor(
            self._surroundings[host],
            rejoins=self.scenario.rejoins,
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

    # ---- faults

    def _strike(self, fault: Fault) -> None:
        host = self._struck = self._host(fault.target)
        self.timeline.note("fault", f"{fault.kind.value} host {host}, lasts {fault.lasts}, spice {fault.spice}")
        seconds = fault.lasts * self.scenario.timing.lease
        getattr(self, f"_{fault.kind.value}")(self._supervisors[host], host, seconds, fault.spice)

    def _host(self, target: Target) -> int:
        if target.value >= 0:
            return target.value % len(self._supervisors)
        if target is Target.SAME:
            return self._struck
        line = queue.in_order(model_tree.children(self.ensemble.tree, ELECTION))
        rank = 0 if target is Target.LEADER else 1
        for host, supervisor in enumerate(self._supervisors):
            if target is Target.LEADER and supervisor.guard.command in self.judge.acting:
                return host
        for host, supervisor in enumerate(self._supervisors):
            if len(line) > rank and line[rank].startswith(queue.candidate_prefix(supervisor.state.guid)):
                return host
        return 0

    def _command(self, supervisor: Supervisor) -> Command | None:
        command = supervisor.guard.command
        return command if command is not None and command.acts else None

    def _partition(self, _supervisor: Supervisor, host: int, seconds: float, spice: int) -> None:
        way = (Way.BOTH, Way.UP, Way.DOWN)[spice % 3]
        connection = self._supervisors[host].client.connection
        servers = list(range(len(self.ensemble.servers)))
        if spice // 3 % 2 and connection is not None:
            servers = [connection.server.number]
        self.ensemble.cut(host, servers, way)
        self.timeline.after(seconds, lambda: self.ensemble.mend(host))

    def _reset(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if supervisor.client.connection is not None:
            supervisor.client.connection.close()

    def _slow(self, _supervisor: Supervisor, host: int, seconds: float, spice: int) -> None:
        longest = self.scenario.timing.lease * (0.01, 0.05, 0.1, 0.15)[spice // 3 % 4]
        self.ensemble.slow[host] = ((Way.BOTH, Way.UP, Way.DOWN)[spice % 3], longest)
        self.timeline.after(seconds, lambda: self.ensemble.slow.pop(host, None))

    def _lag(self, _supervisor: Supervisor, _host: int, seconds: float, spice: int) -> None:
        server = self.ensemble.servers[spice % 3]
        server.lag = self.scenario.timing.lease * (0.02, 0.1, 0.3)[spice // 3 % 3]

        def catch_up() -> None:
            server.lag = 0.0

        self.timeline.after(seconds, catch_up)

    def _cut_off(self, supervisor: Supervisor, _host: int, seconds: float, spice: int) -> None:
        connection = supervisor.client.connection
        number = connection.server.number if connection is not None else spice % 3
        self.ensemble.cut_off(number, deposed=spice % 3 == 0, leaks=spice % 3 == 1)
        self.timeline.after(seconds, lambda: self.ensemble.reattach(number))

    def _quorum_loss(self, _supervisor: Supervisor, _host: int, seconds: float, _spice: int) -> None:
        self.ensemble.lose_quorum()
        self.timeline.after(seconds, self.ensemble.restore_quorum)

    def _expire(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if supervisor.client.session is not None:
            self.ensemble.end_session(supervisor.client.session)

    def _ambush(self, supervisor: Supervisor, _host: int, seconds: float, spice: int) -> None:
        supervisor.client.ambush = ("mute", "reset", "lose_request", "delay")[spice % 4]
        supervisor.client.ambush_seconds = seconds

    def _delete_candidate(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        for name in queue.of_guid(supervisor.state.guid, model_tree.children(self.ensemble.tree, ELECTION)):
            self.ensemble.commit(actions.Delete(path=f"{ELECTION}/{name}"))

    def _delete_record(self, _supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        self.ensemble.commit(actions.Delete(path=RECORD))

    def _damage_record(self, _supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        self._write_record((b"\xff", b"{}", b"")[spice % 3])

    def _touch_record(self, _supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if RECORD in self.ensemble.tree:
            self._write_record(self.ensemble.tree[RECORD].data)

    def _write_record(self, data: bytes) -> None:
        self.ensemble.commit(
            actions.Multi(operations=(actions.SetData(path=RECORD, data=data, version=model_tree.ANY_VERSION),))
        )

    def _freeze(self, supervisor: Supervisor, _host: int, seconds: float, _spice: int) -> None:
        if supervisor.guard.frozen_at is None:
            supervisor.freeze()
            self.timeline.after(seconds, supervisor.thaw)

    def _stick(self, supervisor: Supervisor, _host: int, seconds: float, _spice: int) -> None:
        if supervisor.guard.frozen_at is None:
            supervisor.stick()
            self.timeline.after(seconds, supervisor.unstick)

    def _kill_supervisor(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if supervisor.guard.frozen_at is None:
            supervisor.die()

    def _kill_guard(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        supervisor.guard.kill()

    def _kill_both(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        supervisor.guard.kill()
        supervisor.die()

    def _freeze_guard(self, supervisor: Supervisor, _host: int, seconds: float, _spice: int) -> None:
        # Both at once is what nothing on the host survives: the promise does not cover it.
        if supervisor.alive and supervisor.is_awake() and supervisor.stuck_for() == 0.0:
            guard = supervisor.guard
            guard.freeze()
            self.timeline.after(seconds, guard.thaw)

    def _command_ends(self, supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        if (command := self._command(supervisor)) is not None:
            command.end(status=256 * (spice % 2))

    def _leftovers(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if (command := self._command(supervisor)) is not None:
            command.leave_leftovers()

    def _leave(self, supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        supervisor.leave()
        if spice % 4 == 0:
            self.timeline.after(self.timeline.between(0, self.scenario.timing.stop_timeout), supervisor.leave)

    def _slew(self, _supervisor: Supervisor, host: int, _seconds: float, spice: int) -> None:
        self._surroundings[host].clocks.slew_by((-0.08, 0.0, 0.08)[spice % 3])
