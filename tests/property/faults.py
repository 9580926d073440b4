"""What can go wrong, and how it befalls the model: kinds of faults, whom they strike, and the one who strikes."""

from dataclasses import dataclass
from enum import Enum

import model_tree
from judge import Judge, record_names
from model_asker import Asker
from model_client import Lane
from model_command import Command, Surroundings
from model_ensemble import Ensemble, Way
from model_supervisor import Supervisor
from virtual_time import Timeline

from zkleader.core import actions, queue, records
from zkleader.core.lease import Timing

ELECTION = "/zkleader/job"


class Kind(Enum):
    """What can go wrong."""

    PARTITION = "partition"
    RESET = "reset"
    SLOW = "slow"
    LATE_HAND_OVER = "late_hand_over"
    """A thread of kazoo's gets no processor."""
    LAG = "lag"
    CUT_OFF = "cut_off"
    QUORUM_LOSS = "quorum_loss"
    EXPIRE = "expire"
    AMBUSH = "ambush"
    """The next write of the host meets with something."""
    DELETE_CANDIDATE = "delete_candidate"
    DELETE_RECORD = "delete_record"
    REMAKE_RECORD = "remake_record"
    """The host's next write meets a record that was deleted and made anew, and has the version that it expects."""
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
    HANG_COMMAND = "hang_command"
    """The command enters an uninterruptible sleep, for ever."""
    LEFTOVERS = "leftovers"
    """The command's first process ends and leaves something behind."""
    LEAVE = "leave"
    RESIGN = "resign"
    """Somebody asks the leader to step down."""
    SCRIBBLE = "scribble"
    """Somebody writes into a candidate what does not concern it: a request that means another tenure, or anything."""
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


class Nemesis:
    """Strikes; ``supervisors`` is one for each host, replaced when it is started again."""

    def __init__(
        self,
        timeline: Timeline,
        timing: Timing,
        ensemble: Ensemble,
        judge: Judge,
        surroundings: list[Surroundings],
        supervisors: dict[int, Supervisor],
    ) -> None:
        self._timeline = timeline
        self._timing = timing
        self._ensemble = ensemble
        self._judge = judge
        self._surroundings = surroundings
        self._supervisors = supervisors
        self.askers: list[Asker] = []
        self._struck = 0
        """The host that was struck last."""

    def strike(self, fault: Fault) -> None:
        """Let a fault happen now."""
        self._struck = self._host(fault.target)
        self.strike_at(self._supervisors[self._struck], fault)

    def strike_at(self, supervisor: Supervisor, fault: Fault) -> None:
        """Let a fault happen to this process, or its host, whatever its target."""
        host, seconds = supervisor.host, fault.lasts * self._timing.lease
        self._timeline.note("fault", f"{fault.kind.value} host {host}, lasts {fault.lasts}, spice {fault.spice}")
        getattr(self, f"_{fault.kind.value}")(supervisor, host, seconds, fault.spice)

    def _host(self, target: Target) -> int:
        if target.value >= 0:
            return target.value % len(self._supervisors)
        if target is Target.SAME:
            return self._struck
        line = queue.in_order(model_tree.children(self._ensemble.tree, ELECTION))
        rank = 0 if target is Target.LEADER else 1
        for host, supervisor in self._supervisors.items():
            if target is Target.LEADER and supervisor.guard.command in self._judge.acting:
                return host
        for host, supervisor in self._supervisors.items():
            if len(line) > rank and line[rank].startswith(queue.candidate_prefix(supervisor.state.guid)):
                return host
        return 0

    def _command(self, supervisor: Supervisor) -> Command | None:
        command = supervisor.guard.command
        return command if command is not None and command.acts else None

    def _partition(self, supervisor: Supervisor, host: int, seconds: float, spice: int) -> None:
        way = (Way.BOTH, Way.UP, Way.DOWN)[spice % 3]
        connection = supervisor.client.connection
        servers = list(range(len(self._ensemble.servers)))
        if spice // 3 % 2 and connection is not None:
            servers = [connection.server.number]
        self._ensemble.cut(host, servers, way)
        self._timeline.after(seconds, lambda: self._ensemble.mend(host))

    def _reset(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if supervisor.client.connection is not None:
            supervisor.client.connection.close()

    def _slow(self, _supervisor: Supervisor, host: int, seconds: float, spice: int) -> None:
        longest = self._timing.lease * (0.01, 0.05, 0.1, 0.15)[spice // 3 % 4]
        self._ensemble.slow[host] = ((Way.BOTH, Way.UP, Way.DOWN)[spice % 3], longest)
        self._timeline.after(seconds, lambda: self._ensemble.slow.pop(host, None))

    def _late_hand_over(self, supervisor: Supervisor, _host: int, seconds: float, spice: int) -> None:
        client, late = supervisor.client, self._timing.lease * (0.005, 0.02, 0.05)[spice // 3 % 3]
        client.late = dict.fromkeys(((Lane.ANSWERS,), (Lane.WATCHES,), tuple(Lane))[spice % 3], late)
        self._timeline.after(seconds, client.late.clear)

    def _lag(self, _supervisor: Supervisor, _host: int, seconds: float, spice: int) -> None:
        server = self._ensemble.servers[spice % 3]
        server.lag = self._timing.lease * (0.02, 0.1, 0.3)[spice // 3 % 3]

        def catch_up() -> None:
            server.lag = 0.0

        self._timeline.after(seconds, catch_up)

    def _cut_off(self, supervisor: Supervisor, _host: int, seconds: float, spice: int) -> None:
        connection = supervisor.client.connection
        number = connection.server.number if connection is not None else spice % 3
        election = 0.2 * self._ensemble.granted * self._timing.lease
        self._ensemble.cut_off(number, deposed=spice % 3 == 0, leaks=spice % 3 == 1, election=election)
        self._timeline.after(seconds, lambda: self._ensemble.reattach(number))

    def _quorum_loss(self, _supervisor: Supervisor, _host: int, seconds: float, _spice: int) -> None:
        self._ensemble.lose_quorum()
        self._timeline.after(seconds, self._ensemble.restore_quorum)

    def _expire(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if supervisor.client.session is not None:
            self._ensemble.end_session(supervisor.client.session)

    def _ambush(self, supervisor: Supervisor, _host: int, seconds: float, spice: int) -> None:
        supervisor.client.ambush = ("mute", "reset", "lose_request", "delay")[spice % 4]
        supervisor.client.ambush_seconds = seconds

    def _delete_candidate(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        for name in queue.of_guid(supervisor.state.guid, model_tree.children(self._ensemble.tree, ELECTION)):
            self._ensemble.commit(actions.Delete(path=f"{ELECTION}/{name}"))

    def _record(self, spice: int) -> str | None:
        """Return the path of the record that is struck; None if there is none."""
        names = record_names(self._ensemble.tree, ELECTION)
        return f"{ELECTION}/{names[spice // 3 % len(names)]}" if names else None

    def _delete_record(self, _supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        if (path := self._record(spice)) is not None:
            self._ensemble.commit(actions.Delete(path=path))

    def _remake_record(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        supervisor.client.ambush = "remake"

    def _damage_record(self, _supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        self._write_record(self._record(spice), (b"\xff", b"{}", b"")[spice % 3])

    def _touch_record(self, _supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        path = self._record(spice)
        self._write_record(path, self._ensemble.tree[path].data if path is not None else b"")

    def _write_record(self, path: str | None, data: bytes) -> None:
        if path is not None:
            write = actions.SetData(path=path, data=data, version=model_tree.ANY_VERSION)
            self._ensemble.commit(actions.Multi(operations=(write,)))

    def _freeze(self, supervisor: Supervisor, _host: int, seconds: float, _spice: int) -> None:
        if supervisor.guard.frozen_at is None:
            supervisor.freeze()
            self._timeline.after(seconds, supervisor.thaw)

    def _stick(self, supervisor: Supervisor, _host: int, seconds: float, _spice: int) -> None:
        if supervisor.guard.frozen_at is None:
            supervisor.stick()
            self._timeline.after(seconds, supervisor.unstick)

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
            self._timeline.after(seconds, guard.thaw)

    def _command_ends(self, supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        if (command := self._command(supervisor)) is not None:
            command.finish(256 * (spice % 2))

    def _hang_command(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if (command := self._command(supervisor)) is not None:
            command.hang()

    def _leftovers(self, supervisor: Supervisor, _host: int, _seconds: float, _spice: int) -> None:
        if (command := self._command(supervisor)) is not None:
            command.leave_leftovers()

    def _leave(self, supervisor: Supervisor, host: int, _seconds: float, spice: int) -> None:
        supervisor.leave()
        if spice % 4 == 0:
            stop_timeout = self._surroundings[host].timing.stop_timeout
            self._timeline.after(self._timeline.between(0, stop_timeout), supervisor.leave)

    def _resign(self, _supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        slots = len(record_names(self._ensemble.tree, ELECTION))
        slot = spice // 2 % slots if slots > 1 else None
        for _ in range(1 + spice % 2):
            asker = Asker(self._timeline, self._ensemble, self._judge, election=ELECTION, slot=slot)
            self.askers.append(asker)

    def _scribble(self, supervisor: Supervisor, _host: int, _seconds: float, spice: int) -> None:
        held, tenures = supervisor.state.chain.held, self._judge.holders(self._ensemble.tree)
        # A leader is told of the tenure before, one who waits of the present one.
        token = held.token - 1 if held is not None else tenures[0][1] if tenures else 0
        for name in queue.of_guid(supervisor.state.guid, model_tree.children(self._ensemble.tree, ELECTION)):
            path = f"{ELECTION}/{name}"
            request = records.ResignRequest(token=token, user="u", host="h")
            told = records.parse_candidate(self._ensemble.tree[path].data)
            asking = records.asked_to_resign(told if isinstance(told, dict) else {}, request)
            data = (asking, asking, b"\xff", b'{"format": 1, "resign": true}')[spice % 4]
            write = actions.SetData(path=path, data=data, version=model_tree.ANY_VERSION)
            self._ensemble.commit(actions.Multi(operations=(write,)))

    def _slew(self, _supervisor: Supervisor, host: int, _seconds: float, spice: int) -> None:
        self._surroundings[host].clocks.slew_by((-0.08, 0.0, 0.08)[spice % 3])
