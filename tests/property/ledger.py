"""What was run in which period, as it truly was: the judge of ``--once-per``.

In its terms a process *comes* when it is started.  A *period* starts, in the ensemble's time, when somebody claims who
does not belong to the one before; to it belongs who came before it had lasted for half of its length.  A run is
*recorded* when a write that tells of its end is committed, and *counts* unless it failed and failures are to be
retried.  Then

1. who claims in a period begins it only if it does not belong to the one before, and never claims in one in which a run
   that counts is recorded: so nothing is run beside it, and no second one recorded;
2. nothing is recorded but a run that has ended by itself, with the status that it had, and all of it gone;
3. who ends as if the job were done, because its own run has ended or because somebody else's had, tells the truth: that
   run is recorded.  A run whose record could not be confirmed does not end so, and may be repeated;
4. whoever nothing has befallen ends so: at least once.

That is the contract.  What users want of it is told in strikes of their clocks: the same line on every host runs the
job once for each.  As long as every period begins in the first half of its strike's time, whatever the skews,

5. there is one period for each strike, so a run that counts is recorded once for it at the most, and
6. if nothing has befallen somebody whom the clock struck for it, a run is recorded for that very strike.

A host measures how long it took from its start to the creation of its candidate, by a clock that may be slewed, and a
creation may take its time to be committed.  Who came so near to the middle of a period that this decides may belong to
it or not.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

import model_tree
from judge import Judge
from model_command import Command
from model_supervisor import Supervisor
from virtual_time import Timeline, Violation

from zkleader.core import actions, queue, records, wait_status
from zkleader.core.actions import End, Outcome
from zkleader.core.events import Answer
from zkleader.core.records import LeaseRecord

MS = 1000


class Step(Enum):
    """What a process goes through, if nothing befalls it."""

    STRUCK = "struck"
    """The clock has struck; it is started."""
    JOINED = "joined"
    """Its candidate is created, and it does not know that yet; the same for what follows."""
    CLAIMED = "claimed"
    BEGUN = "begun"
    RENEWED = "renewed"
    """For the first time."""
    ENDED = "ended"
    """All of its command is gone."""
    RELEASED = "released"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One that is recorded."""

    token: int
    counts: bool


@dataclass(kw_only=True)
class Period:
    """One, in ms of the ensemble's clock; ``strike`` is the number of the strike by which its first claimant came."""

    start: int
    strike: int
    runs: list[Run] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether a run that counts is recorded."""
        return any(run.counts for run in self.runs)


@dataclass(kw_only=True)
class Visit:
    """One process; ``strike`` is the number of the strike that has started it."""

    supervisor: Supervisor
    strike: int
    came: float
    """In ms of the ensemble's clock."""
    outcome: Outcome | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has ended as if the job were done."""
        if self.outcome is None:
            return False
        return self.outcome.end is End.DONE or _has_ended(self.outcome)


class Ledger:
    """Watches hosts that run a job once per period; raises `Violation`.

    ``period`` is in seconds, and so is ``doubt``: how wrong a host may be about when it came.  ``on_step`` is told of
    each step that a process takes.
    """

    def __init__(
        self,
        timeline: Timeline,
        judge: Judge,
        election: str,
        *,
        period: float,
        doubt: float,
        retry_failed: bool,
        on_step: Callable[[Step, Visit], None],
    ) -> None:
        self.visits: list[Visit] = []
        self.periods: list[Period] = []
        self._timeline = timeline
        self._judge = judge
        self._election = election
        self._half = period * MS / 2
        self._doubt = doubt * MS
        self._retry_failed = retry_failed
        self._on_step = on_step
        judge.on_begin.append(lambda command: self._commanded(Step.BEGUN, command))
        judge.on_end.append(lambda command: self._commanded(Step.ENDED, command))

    # ---- what processes do

    def struck(self, supervisor: Supervisor, strike: int) -> None:
        """Take note of a process that the clock has started."""
        self.visits.append(Visit(supervisor=supervisor, strike=strike, came=self._timeline.now * MS))
        self._on_step(Step.STRUCK, self.visits[-1])

    def ended(self, supervisor: Supervisor, outcome: Outcome) -> None:
        """Judge how a process has ended."""
        visit = next(visit for visit in self.visits if visit.supervisor is supervisor)
        visit.outcome = outcome
        if outcome.end is End.DONE:
            if not any(period.is_done and self._belongs(visit, period) is not False for period in self.periods):
                raise Violation(f"host {supervisor.host} was told that the job is done, and it is not")
        elif _has_ended(outcome):
            held = supervisor.state.chain.held
            recorded = {run.token for period in self.periods for run in period.runs}
            if held is None or held.token not in recorded:
                raise Violation(f"host {supervisor.host} ends as if the job were done, and that is not recorded")

    def _commanded(self, step: Step, command: Command) -> None:
        self._on_step(step, next(visit for visit in self.visits if visit.supervisor is command.guard.supervisor))

    # ---- what is committed

    def committed(
        self, session: int, _request: actions.Request, _answer: Answer, before: model_tree.Tree, after: model_tree.Tree
    ) -> None:
        """Judge a write."""
        for path in after.keys() - before.keys():
            name = path.removeprefix(f"{self._election}/")
            visit = self._visit_of(name.rpartition(queue.candidate_prefix(""))[0])
            if visit is not None:
                self._on_step(Step.JOINED, visit)
        path = f"{self._election}/{queue.RECORD_PREFIX}0"
        if session and path in before and before[path] != after[path]:
            old, new = (records.parse_lease_record(tree[path].data, tree[path].stat) for tree in (before, after))
            if isinstance(old, LeaseRecord) and isinstance(new, LeaseRecord):
                self._written(old, new, after[path].stat)

    def _written(self, old: LeaseRecord, new: LeaseRecord, stat: records.Stat) -> None:
        visit = self._visit_of(new.holder)
        assert visit is not None
        if new.content["last_run"]["status"] is not None and old.content.get("last_run", {}).get("status") is None:
            self._recorded(new)
        if new.released:
            self._on_step(Step.RELEASED, visit)
        elif new.content["token"] is None:
            self._claimed(visit, stat.mtime, begins=new.content["last_run"]["start"] is None)
            self._on_step(Step.CLAIMED, visit)
        elif old.content["token"] is None:
            self._on_step(Step.RENEWED, visit)

    def _claimed(self, visit: Visit, at: int, *, begins: bool) -> None:
        belongs = self._belongs(visit, self.periods[-1]) if self.periods else False
        if belongs is begins:
            what = "begins another period than its own" if begins else "claims in a period that is not its own"
            raise Violation(f"host {visit.supervisor.host} {what}")
        if begins:
            self._timeline.note("ledger", "a period begins")
            self.periods.append(Period(start=at, strike=visit.strike))
        elif self.periods[-1].is_done:
            raise Violation(f"host {visit.supervisor.host} claims in a period that is done")

    def _recorded(self, record: LeaseRecord) -> None:
        told = record.content["last_run"]
        raw = self._judge.ended_by_itself.get(told["token"])
        acts = any(command.token == told["token"] for command in self._judge.acting)
        if raw is None or wait_status.exit_status_of(raw) != told["status"] or acts:
            raise Violation(f"the run with token {told['token']} is recorded, and has not ended so")
        self._timeline.note("ledger", f"recorded: token {told['token']}, status {told['status']}")
        counts = told["status"] == 0 or not self._retry_failed
        self.periods[-1].runs.append(Run(token=told["token"], counts=counts))

    # ---- in the end

    def close(self, unhurt: Callable[[Visit], bool]) -> None:
        """Judge the whole: of ``unhurt`` processes, and of hosts that struck before, nothing has befallen."""
        for visit in filter(unhurt, self.visits):
            if not visit.is_done:
                raise Violation(f"nothing has befallen host {visit.supervisor.host}, and it ends with {visit.outcome}")
        if not self.is_by_strike:
            return
        strikes = [period.strike for period in self.periods]
        if len(set(strikes)) < len(strikes):
            raise Violation(f"more than one period for a strike: {strikes}")
        recorded = {period.strike for period in self.periods if period.runs}
        missed = {visit.strike for visit in filter(unhurt, self.visits)} - recorded
        if missed:
            raise Violation(f"nothing is recorded for strikes {sorted(missed)}")

    @property
    def is_by_strike(self) -> bool:
        """Whether each period has begun in the first half of its strike's time."""
        return all(period.start < (2 * period.strike + 1) * self._half for period in self.periods)

    def _visit_of(self, guid: str) -> Visit | None:
        return next((visit for visit in self.visits if guid in visit.supervisor.guids), None)

    def _belongs(self, visit: Visit, period: Period) -> bool | None:
        """Say whether it belongs to a period; None if it may or may not."""
        left = period.start + self._half - visit.came
        return None if abs(left) < self._doubt else left > 0


def _has_ended(outcome: Outcome) -> bool:
    return outcome.end is End.COMMAND_ENDED and outcome.reason == "ended"
