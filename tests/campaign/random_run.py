"""A random run: three candidates that are started again when they end, and the faults of a plan.

Owns the clock of the run and which faults are under way. A fault whose target is just suffering another one, or is not
there, is left out and written down: so the plan of a seed is always the same, and the history says what came of it.
"""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, nullcontext
from pathlib import Path
from signal import SIGKILL, SIGSTOP, SIGTERM, Signals
from typing import NamedTuple

from kazoo.exceptions import NoNodeError

from campaign import checker, nemesis, wall_clock
from campaign.acts import LONGEST
from campaign.candidate import Candidate
from campaign.checker import Verdict
from campaign.history import timeline
from campaign.plan import LEASES, OF_THE_ENSEMBLE, Plan, Settings, Step, may_meet
from campaign.play import GRACE, Play
from campaign.stage import CANDIDATES, Stage
from campaign.tools import Tool
from campaign.wall_clock import WallClock
from campaign.wrappers import without_control_group

ENSEMBLE, RACK = "ensemble", "rack cut off"
"""What a fault may be done to beside a candidate, and the one that is done to both."""

RESTART_AFTER = 1.0
"""Seconds, as the example unit has it."""

ELECTION_OF_THE_ENSEMBLE = 4.0
"""Seconds until an ensemble whose leader is frozen has another: five ticks of silence, and the vote."""

PATIENCE = 2 * max(LEASES) + ELECTION_OF_THE_ENSEMBLE + 2
"""Seconds until somebody leads again: a lease and, where the ensemble's leader changed meanwhile, a whole session
timeout, counted by the new one from the beginning."""

CALM_ENOUGH = 1.0
"""An outage of so many seconds has to be ridden out at the shortest lease."""

STEP = 0.02


class LongOutcome(NamedTuple):
    """What came of a random run."""

    seed: int
    faults: int
    left_out: int
    tenures: int
    verdict: Verdict
    broken: tuple[str, ...]
    directory: Path


class _LeftOutError(Exception):
    """A fault cannot be done now."""


class _UnderWay(NamedTuple):
    ends_at: float
    target: str
    kind: str
    stack: ExitStack


def _also(kind: str) -> str:
    return ENSEMBLE if kind == RACK else ""


class RandomRun:
    """One run of one plan."""

    def __init__(self, play: Play, plan: Plan) -> None:
        self._play = play
        self._plan = plan
        self._under_way: list[_UnderWay] = []
        self._running: dict[str, Candidate] = {}
        self._started_again_at: dict[str, float] = {}
        self._clocks: dict[str, WallClock] = {}
        self.done = 0
        self.left_out = 0

    def act(self) -> None:
        """Do all that is planned, heal everything, and give them time to be calm."""
        if not wall_clock.why_not():
            self._clocks = {name: WallClock(self._play.directory / f"{name}.clock") for name in CANDIDATES}
        began = time.monotonic()
        self._keep_running()
        steps = list(self._plan.steps)
        try:
            while (now := time.monotonic() - began) < self._plan.seconds:
                for ended in [fault for fault in self._under_way if fault.ends_at <= now]:
                    self._end(ended)
                if steps and steps[0].at <= now:
                    self._begin(steps.pop(0), now)
                self._turn()
            for fault in list(self._under_way):
                self._end(fault)
            calm_at = time.monotonic() + PATIENCE
            while time.monotonic() < calm_at:
                self._turn()
        finally:
            for fault in self._under_way:
                fault.stack.close()

    def _turn(self) -> None:
        self._keep_running()
        self._play.hold(STEP)

    def _keep_running(self) -> None:
        """Start who has ended again, a while later."""
        now = time.monotonic()
        for name, settings in self._plan.candidates.items():
            candidate = self._running.get(name)
            if candidate is not None and not candidate.has_ended:
                continue
            due = self._started_again_at.setdefault(name, now + RESTART_AFTER if candidate is not None else now)
            if now >= due:
                del self._started_again_at[name]
                self._running[name] = self._start(name, settings)

    def _start(self, name: str, settings: Settings) -> Candidate:
        env = self._clocks[name].env if name in self._clocks else None
        wrapper = without_control_group() if settings.is_searched else ()
        return self._play.start(
            name, *settings.options, lease=settings.lease, witness=settings.witness, wrapper=wrapper, env=env
        )

    # Faults. ---------------------------------------------------------------------------------------------------------

    def _begin(self, step: Step, now: float) -> None:
        is_of_the_ensemble = step.kind in OF_THE_ENSEMBLE
        candidate = None if is_of_the_ensemble else self._choose(step)
        target = ENSEMBLE if is_of_the_ensemble else "" if candidate is None else candidate.name
        try:
            self._check_free(step, target)
            stack = ExitStack()
            # A fault that cannot be begun is undone as far as it went.
            with stack:
                stack.enter_context(self._fault(step, candidate))
                stack = stack.pop_all()
        except (_LeftOutError, AssertionError, OSError, NoNodeError) as error:
            self.left_out += 1
            self._play.note("left out", f"{step.kind}, {step.role}: {error}")
            return
        self.done += 1
        self._under_way.append(_UnderWay(now + step.seconds, target, step.kind, stack))

    def _check_free(self, step: Step, target: str) -> None:
        """Leave a fault out that may not come to its target now."""
        if not target:
            raise _LeftOutError("there is nobody of that role")
        of_target = frozenset(fault.kind for fault in self._under_way if fault.target == target)
        # A rack is the ensemble's as well, which suffers one fault at a time.
        of_ensemble = {fault.kind for fault in self._under_way if ENSEMBLE in (fault.target, _also(fault.kind))}
        if ENSEMBLE in (target, _also(step.kind)) and of_ensemble:
            raise _LeftOutError(f"the ensemble suffers {of_ensemble}")
        if target != ENSEMBLE and not may_meet(step.kind, of_target):
            raise _LeftOutError(f"{target} suffers {of_target}")

    def _end(self, fault: _UnderWay) -> None:
        self._under_way.remove(fault)
        fault.stack.close()

    def _choose(self, step: Step) -> Candidate | None:
        """Return whom it is for; None when there is no such candidate now."""
        living = [candidate for candidate in self._running.values() if not candidate.has_ended]
        leaders = [candidate for candidate in living if candidate.is_acting]
        of_role = {"leader": leaders, "anybody": living}.get(step.role)
        if of_role is None:
            of_role = [candidate for candidate in living if candidate not in leaders]
        return of_role[int(step.chance * len(of_role))] if of_role else None

    def _deleted(self, candidate: Candidate) -> AbstractContextManager[object]:
        rank = self._play.stage.operator.rank(self._play.election, candidate.name)
        if rank is None:
            raise _LeftOutError(f"{candidate} is not in the queue")
        return nemesis.candidate_deleted(self._play, rank, candidate, harm=PATIENCE)

    def _fault(self, step: Step, candidate: Candidate | None) -> AbstractContextManager[object]:
        """Return the fault of a step."""
        if candidate is None:
            return self._fault_of_the_ensemble(step)
        play, kind = self._play, step.kind
        harm = 0.0 if step.seconds <= CALM_ENOUGH else PATIENCE
        for number in (SIGKILL, SIGTERM, SIGSTOP):
            name = Signals(number).name.removeprefix("SIG")
            if name in kind and kind.startswith(("supervisor", "guard")):
                parts = kind.partition(f" {name}")[0].split(" and ")
                return nemesis.signalled(play, candidate, number, *parts, harm=harm if number == SIGSTOP else PATIENCE)
        faults: dict[str, Callable[[], AbstractContextManager[object]]] = {
            "command KILL": lambda: nemesis.command_killed(play, candidate, harm=PATIENCE),
            "host dies": lambda: nemesis.host_dead(play, candidate, harm=PATIENCE),
            "cut off": lambda: nemesis.cut_off(play, candidate, harm=harm),
            "cut off briefly": lambda: nemesis.cut_off(play, candidate, harm=harm),
            "cut off, in": lambda: nemesis.cut_off(play, candidate, "in", harm=harm),
            "cut off, out": lambda: nemesis.cut_off(play, candidate, "out", harm=harm),
            "rack cut off": lambda: self._rack(candidate),
            "connections break": lambda: nemesis.connections_broken(play, candidate, harm=0),
            "flapping": lambda: nemesis.flapping(play, candidate, harm=PATIENCE),
            "latency": lambda: nemesis.slow(play, candidate, 0.05 + 0.4 * step.chance, harm=PATIENCE),
            "losses": lambda: nemesis.lossy(play, candidate, harm=PATIENCE),
            "busy": lambda: nemesis.busy(play, harm=PATIENCE),
            "no descriptors, supervisor": lambda: self._exhausted(candidate, "supervisor"),
            "no descriptors, guard": lambda: self._exhausted(candidate, "guard"),
            "wall clock": lambda: self._clock_stepped(candidate, -1 if step.chance < 0.5 else 1),
            "candidate deleted": lambda: self._deleted(candidate),
        }
        return faults[kind]()

    def _clock_stepped(self, candidate: Candidate, way: int) -> AbstractContextManager[object]:
        if not self._clocks:
            raise _LeftOutError("there is no clock to be stepped")
        return nemesis.clock_stepped(self._play, candidate, self._clocks[candidate.name], way * wall_clock.HOUR)

    def _exhausted(self, candidate: Candidate, part: str) -> AbstractContextManager[object]:
        return nemesis.without_descriptors(self._play, candidate, part, harm=PATIENCE)

    def _rack(self, candidate: Candidate) -> AbstractContextManager[object]:
        server = self._play.stage.server_at(candidate.peers())
        if server is None:
            raise _LeftOutError(f"{candidate} is not connected")
        return nemesis.rack_cut_off(self._play, candidate, server, harm=PATIENCE)

    def _record_destroyed(self, kind: str) -> AbstractContextManager[object]:
        election, operator = self._play.election, self._play.stage.operator
        destroy = operator.delete_record if kind == "record deleted" else operator.spoil_record
        with self._play.fault(kind, harm=LONGEST + PATIENCE):
            destroy(election)
        return nullcontext()

    def _fault_of_the_ensemble(self, step: Step) -> AbstractContextManager[object]:
        play, servers = self._play, self._play.stage.servers
        leaders = [server for server in servers if server.mode() == "leader"]
        followers = servers.followers()
        if not leaders or len(followers) < 2:
            raise _LeftOutError("the ensemble is not whole")
        if step.kind.startswith("record"):
            return self._record_destroyed(step.kind)
        chosen = {
            "follower": followers[int(step.chance * len(followers)) :][:1],
            "ensemble's": leaders[:1],
            "quorum": followers,
            "ensemble": [*leaders, *followers],
        }[step.kind.split()[0]]
        is_harmless = step.kind.startswith("follower")
        fault = nemesis.servers_killed if "killed" in step.kind else nemesis.servers_frozen
        return fault(play, chosen, harm=0.0 if is_harmless else PATIENCE)


def run(stage: Stage, tool: Tool, seed: int, plan: Plan, directory: Path) -> LongOutcome:
    """Do a random run, judge it, and keep its history and logs."""
    directory = directory / f"seed-{seed}-{tool.name}"
    broken: list[str] = []
    with stage.whole(), Play(stage, tool, directory, lease=max(LEASES), grace=GRACE) as play:
        random_run = RandomRun(play, plan)
        try:
            random_run.act()
            play.end()
        except AssertionError as error:
            broken.append(f"it could not be played: {error}")
        history = play.history
        verdict = checker.judge_long(history, patience=PATIENCE)
        broken += [*verdict.broken, *play.left]
    if broken:
        stage.keep_logs(directory)
    (directory / "timeline").write_text("\n".join(timeline(history)) + "\n")
    tenures = len(checker.spans(history.beats))
    return LongOutcome(seed, random_run.done, random_run.left_out, tenures, verdict, tuple(broken), directory)


def row(outcome: LongOutcome) -> str:
    """Return an outcome as a line."""
    result = "good" if not outcome.broken else "BROKEN"
    figures = f"{outcome.faults} faults ({outcome.left_out} left out), {outcome.tenures} tenures"
    return f"seed {outcome.seed:<6} {result:<7} {figures}, overlap {outcome.verdict.overlap:.0f} ms"


def complaint(outcome: LongOutcome) -> str:
    """Return what is wrong with an outcome, and where its history lies."""
    return "\n".join([*(f"  {line}" for line in outcome.broken), f"  history, beats and logs: {outcome.directory}"])
