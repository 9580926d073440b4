"""The invariants: what must never happen, judged by true time and by what the ensemble has committed."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import model_tree
from virtual_time import Timeline, Violation

from zkleader.core import actions, guard_state, queue, records, resign_state
from zkleader.core.acts import Act, Hooks
from zkleader.core.disconnect import OnDisconnect
from zkleader.core.events import Answer, Applied
from zkleader.core.lease import LONGEST_LEASE, Instant, Timing

if TYPE_CHECKING:
    from model_command import Command, Surroundings
    from model_guard import Guard

MOST_TICKS = 60
"""Wake-ups by nothing but a timer that a process may need in a second; a busy loop has a thousand."""
MOST_REQUESTS = 120
"""Requests that a candidacy may send in a second."""


PROMPT = 0.3
"""Seconds in which a guard that runs does what is due: its poll while clocks are slewed, and its lateness."""


def _is_after(one: Instant, other: Instant) -> bool:
    return one.raw > other.raw


def steps_down_within(timing: Timing, hooks: Hooks) -> float:
    """Return the seconds within which a leader that was asked to resign has done so, or renews no more.

    It learns of it, behind a server that lags or after a reconnect, in a lease; then its command is stopped, or its
    guard is found silent; on-lost is run; and its clocks may be fast or slow.
    """
    on_lost = hooks.timeout + timing.kill_allowance if hooks.on_lost else 0.0
    return 1.1 * (timing.lease + timing.stop_timeout + timing.kill_allowance + timing.guard_silence + on_lost) + 2.0


def record_names(tree: model_tree.Tree, election: str) -> list[str]:
    """Return the names of the lease records in a tree, by their slots."""
    slots = sorted(
        (slot, name) for name in model_tree.children(tree, election) if (slot := queue.slot_of(name)) is not None
    )
    return [name for _, name in slots]


class Judge:
    """Watches a simulation; raises `Violation`."""

    def __init__(self, timeline: Timeline, longest: Timing, election: str, hooks: Hooks) -> None:
        self._hooks = hooks
        self._sequence: dict[int, list[Command]] = {}
        """What has begun under each token."""
        self.tenures = 0
        self.losses = 0
        """Commands that were stopped for another reason than that somebody wanted it, or that they ended."""
        self._timeline = timeline
        self._longest = longest
        self._election = election
        self._acting: list[Command] = []
        self._lasts: dict[int, Command] = {}
        """The command that began last in each slot."""
        self._unknown_until: dict[str, float] = {}
        """Until then somebody may lead under a record that is gone: the one in its place was made unreleased."""
        self._void: set[int] = set()
        """Tokens of claims over that one.  ZooKeeper applies them, for it compares versions alone."""
        self.ended_by_itself: dict[int, int] = {}
        """With which raw wait status the command with this token has; for others it was stopped, or still runs."""
        self.on_begin: list[Callable[[Command], None]] = []
        self.on_end: list[Callable[[Command], None]] = []
        """Who else is told when a command begins, and when all of it is gone."""
        self._asked: dict[int, float] = {}
        """When the leader with this token was asked to step down."""
        self._counts: dict[tuple[str, int, int], int] = {}

    @property
    def acting(self) -> "tuple[Command, ...]":
        """The commands that act now under a lease."""
        return tuple(command for command in self._acting if not command.is_out_of_reach())

    # ---- the promise

    def begins(self, command: "Command") -> None:
        """A command is executed: no more are there than may be, all of them with the same number of leaders.

        And its token is greater than every earlier one of its slot.  Or the same, for one that is started again in the
        same tenure.
        """
        self.tenures += command.act is Act.COMMAND
        self._timeline.note("judge", f"{command.act.value} begins, token {command.token}")
        self._judge_sequence(command)
        self._acting.append(command)
        numbers = {one.leaders for one in self.acting}
        if len(self.acting) > max(numbers, default=1):
            count = "two" if numbers == {1} else f"more than {max(numbers)}"
            raise Violation(f"{count} commands act: tokens {[one.token for one in self.acting]}")
        if len(numbers) > 1:
            raise Violation(f"commands act with several numbers of leaders at once: {numbers}")
        last = self._lasts.get(command.slot)
        is_again = last is not None and command.is_restart_of(last)
        if last is not None and (command.token < last.token or (command.token == last.token and not is_again)):
            raise Violation(f"token {command.token} after {last.token}")
        self._lasts[command.slot] = command
        if command.token in self._void:
            raise Violation(f"token {command.token} is a claim over a record that was made anew and not waited out")
        for told in self.on_begin:
            if command.act is Act.COMMAND:
                told(command)

    def ends_by_itself(self, command: "Command", wait_status: int) -> None:
        """A command's first process ends because it has done its work, or has failed."""
        self.ended_by_itself[command.token] = wait_status

    def ends(self, command: "Command") -> None:
        """All of a command is gone: in time, by the clocks of its own host."""
        self._timeline.note("judge", f"{command.act.value} gone, token {command.token}")
        self._acting.remove(command)
        self.in_time(command)
        if command.took_too_long():
            raise Violation(f"{command.act.value} of token {command.token} took too long")
        for told in self.on_end:
            if command.act is Act.COMMAND:
                told(command)

    # ---- hooks

    def _judge_sequence(self, command: "Command") -> None:
        """On-elected first, and well; then the command, perhaps again; on-lost once, and nothing after it."""
        before = self._sequence.setdefault(command.token, [])
        acts = [one.act for one in before]
        if Act.ON_LOST in acts:
            raise Violation(f"{command.act.value} begins after on_lost, token {command.token}")
        if command.act is Act.ON_ELECTED and acts:
            raise Violation(f"on_elected begins a second time, token {command.token}")
        is_ready = not self._hooks.on_elected or (bool(before) and before[0].has_succeeded)
        if command.act is Act.COMMAND and not is_ready:
            raise Violation(f"the command begins without an on_elected that succeeded, token {command.token}")
        before.append(command)

    def _judge_release(self, token: int) -> None:
        """What on-lost has to undo is undone before the release, unless the guard is dead or there was no time."""
        before = self._sequence.get(token, [])
        if not self._hooks.on_lost or not before or before[-1].act is Act.ON_LOST:
            return
        guard = before[-1].guard
        if not guard.was_killed and guard.frozen_at is None and not guard.state.on_lost_came_to:
            raise Violation(f"released without on_lost, token {token}")

    def in_time(self, command: "Command") -> None:
        """Judge that a command has not outlived its lease, less the margin."""
        late = command.lateness()
        if late > 0:
            raise Violation(f"the command with token {command.token} was there {late:.3f} s too long")

    # ---- doubt

    def thaws(self, guard: "Guard") -> None:
        """A guard lets its command go on: only for a renewal that was sent after whatever it was told of last."""
        confirmed, suspended_at = guard.confirmed, guard.suspended_at
        if confirmed is None or (suspended_at is not None and not _is_after(confirmed, suspended_at)):
            raise Violation(f"a command is thawed by a renewal sent at {confirmed}, and suspended at {suspended_at}")

    def in_doubt(self, guard: "Guard", around: "Surroundings") -> None:
        """While it is in doubt whether it still leads, a command stands still, or has been stopped, by its policy."""
        command, timing = guard.command, around.timing
        is_able = guard.alive and guard.frozen_at is None and self._timeline.now > guard.thawed_at + PROMPT
        if command is None or not command.may_act or not is_able or guard.confirmed is None or guard.told_at is None:
            return
        if command.act is Act.ON_LOST:
            return  # it is what there is to do about that
        stops = around.on_disconnect is OnDisconnect.STOP
        patience = PROMPT + (1.1 * timing.grace if stops else 0.0)
        overdue = around.clocks.now().held_since(guard.confirmed) - timing.overdue_after
        if overdue > patience:
            raise Violation(f"the command with token {command.token} acts, and its renewal is {overdue:.3f} s overdue")
        if guard.supervisor.suspended_at is None:
            return
        true, suspended_at = guard.supervisor.suspended_at
        is_meant = not stops or true > guard.told_at
        if is_meant and self._timeline.now > true + patience and not _is_after(guard.confirmed, suspended_at):
            since = self._timeline.now - true
            raise Violation(f"the command with token {command.token} acts, suspended since {since:.3f} s")

    # ---- resigning

    def _judge_asking(self, before: model_tree.Tree, after: model_tree.Tree) -> None:
        """Take note of a request that means the present tenure, and has reached whoever holds it."""
        tenures = self.holders(after)
        for path in model_tree.changed(before, after):
            name = path.rpartition("/")[2]
            token = next((token for guid, token in tenures if name.startswith(queue.candidate_prefix(guid))), None)
            if token is None or path not in after:
                continue
            told = records.parse_candidate(after[path].data)
            request = records.resign_request_in(told) if isinstance(told, dict) else None
            if request is not None and request.token == token:
                self._asked.setdefault(request.token, self._timeline.now)

    def _judge_renewing(self, after: model_tree.Tree, name: str) -> None:
        """A leader that was asked does not go on renewing, unless its command never goes."""
        tenure = self._tenure(after, name)
        asked_at = self._asked.get(tenure[1]) if tenure is not None else None
        if asked_at is None or tenure is None or any(one.hangs for one in self._acting if one.token == tenure[1]):
            return
        if self._timeline.now > asked_at + steps_down_within(self._longest, self._hooks):
            raise Violation(f"the leader with token {tenure[1]} was asked to step down, and renews")

    def holders(self, tree: model_tree.Tree) -> list[tuple[str, int]]:
        """Return guid and token of whoever holds a record."""
        found = (self._tenure(tree, name) for name in record_names(tree, self._election))
        return [tenure for tenure in found if tenure is not None]

    def _tenure(self, tree: model_tree.Tree, name: str) -> tuple[str, int] | None:
        znode = tree.get(f"{self._election}/{name}")
        record = records.parse_lease_record(znode.data, znode.stat) if znode is not None else None
        if znode is None or not isinstance(record, records.LeaseRecord) or record.released or not record.holder:
            return None
        return record.holder, records.token_of(record, znode.stat)

    def resigned(self, token: int) -> None:
        """A tenure has ended because its leader was asked."""
        if token not in self._asked:
            raise Violation(f"the leader with token {token} has resigned, and nobody asked it")

    def told_to_be_over(self, conclusion: resign_state.Concluded) -> None:
        """Who asked tells people that a tenure is over: then nothing of it acts."""
        leader = conclusion.leader
        if leader is not None and any(command.token == leader.token for command in self.acting):
            raise Violation(f"the tenure with token {leader.token} is told to be over, and its command acts")

    # ---- what carries it

    def lease_extended(self, before: Instant, now: Instant, lease: float) -> None:
        """A lease that has lapsed is not revived."""
        if now.held_since(before) >= lease:
            raise Violation("a lapsed lease was revived")

    def guard_stepped(self, before: guard_state.State, after: guard_state.State) -> None:
        """A guard that has begun to stop for a loss never starts anything again, nor counts a renewal."""
        is_taken_up = after.loss is None or after.lease_start != before.lease_start
        if before.loss is not None and before.lease_start is not None and is_taken_up:
            raise Violation("the guard took up again what was lost")
        if before.loss is None and after.loss is not None and after.phase in guard_state.COMMAND_EXISTS:
            self.losses += 1

    def committed(
        self, session: int, request: actions.Request, answer: Answer, before: model_tree.Tree, after: model_tree.Tree
    ) -> None:
        """A claim is made by the first in the queue, and by nobody else; a release only over one's own record.

        The first: as many as may lead.
        """
        self._judge_asking(before, after)
        for path in model_tree.changed(before, after):
            name = path.rpartition("/")[2]
            if queue.slot_of(name) is not None:
                self._judge_waiting(path, before.get(path), after.get(path))
                self._judge_renewing(after, name)
                self._judge_write(session, request, answer, path, before, after)

    def _judge_write(
        self,
        session: int,
        request: actions.Request,
        answer: Answer,
        path: str,
        before: model_tree.Tree,
        after: model_tree.Tree,
    ) -> None:
        if (
            path not in after
            or not isinstance(request, actions.Multi)
            or not isinstance(answer, Applied)
            or path not in before
        ):
            return
        old, new = (records.parse_lease_record(tree[path].data, tree[path].stat) for tree in (before, after))
        are_known = isinstance(new, records.LeaseRecord) and isinstance(old, records.LeaseRecord)
        if are_known and new.released and not old.released and old.holder:
            self._judge_release(records.token_of(old, before[path].stat))
        if not session or not isinstance(new, records.LeaseRecord) or not new.holder:
            return  # an operator's, or one that has hit another record than the one that it was meant for
        is_known = isinstance(old, records.LeaseRecord)
        if new.released:
            if is_known and old.holder != new.holder and not old.released:
                raise Violation(f"{new.holder} released what {old.holder} holds")
            return
        if is_known and old.holder == new.holder:
            return
        self._timeline.note("judge", f"claim by session {session}")
        line = queue.in_order(model_tree.children(after, self._election))
        first = line[: new.stated]
        if not any(name.startswith(queue.candidate_prefix(new.holder)) for name in first):
            raise Violation(f"{new.holder} claimed, but the queue is {line}")

        if [guid for guid, _ in self.holders(after)].count(new.holder) > 1:
            raise Violation(f"{new.holder} holds two slots")

    def _judge_waiting(self, path: str, old: model_tree.Znode | None, new: model_tree.Znode | None) -> None:
        if new is None or new == old:
            return
        if old is None or old.stat.czxid != new.stat.czxid:
            record = records.parse_lease_record(new.data, new.stat)
            is_first = isinstance(record, records.LeaseRecord) and record.released
            self._unknown_until[path] = 0.0 if is_first else self._timeline.now + 0.99 * LONGEST_LEASE
        elif self._timeline.now < self._unknown_until.get(path, 0.0):
            self._void.add(new.stat.mzxid)

    # ---- economy

    def ticked(self, who: int) -> None:
        """Count a wake-up by a timer."""
        self._count("ticks", who, MOST_TICKS)

    def requested(self, who: int) -> None:
        """Count a request."""
        self._count("requests", who, MOST_REQUESTS)

    def _count(self, what: str, who: int, most: int) -> None:
        key = (what, who, int(self._timeline.now))
        self._counts[key] = self._counts.get(key, 0) + 1
        if self._counts[key] > most:
            raise Violation(f"a busy loop: {self._counts[key]} {what} of host {who} within a second")
