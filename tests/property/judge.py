"""The invariants: what must never happen, judged by true time and by what the ensemble has committed."""

from typing import TYPE_CHECKING

import model_tree
from virtual_time import Timeline, Violation

from zkleader.core import actions, guard_state, queue, records
from zkleader.core.events import Answer, Applied
from zkleader.core.lease import Instant, Timing

if TYPE_CHECKING:
    from model_command import Command

MOST_TICKS = 60
"""Wake-ups by nothing but a timer that a process may need in a second; a busy loop has a thousand."""
MOST_REQUESTS = 120
"""Requests that a candidacy may send in a second."""


class Judge:
    """Watches a simulation; raises `Violation`."""

    def __init__(self, timeline: Timeline, timing: Timing, election: str) -> None:
        self.tenures = 0
        self.losses = 0
        """Commands that were stopped for another reason than that somebody wanted it, or that they ended."""
        self._timeline = timeline
        self._timing = timing
        self._election = election
        self._acting: list[Command] = []
        self._token = 0
        self._last: Command | None = None
        """The command that began last."""
        self._unknown_until = 0.0
        """Until then somebody may lead under a record that is gone: the one in its place was made unreleased."""
        self._void: set[int] = set()
        """Tokens of claims over that one.  ZooKeeper applies them, for it compares versions alone."""
        self._counts: dict[tuple[str, int, int], int] = {}

    @property
    def acting(self) -> "tuple[Command, ...]":
        """The commands that act now under a lease: one at the most."""
        return tuple(command for command in self._acting if not command.is_out_of_reach())

    # ---- the promise

    def begins(self, command: "Command") -> None:
        """A command is executed: nothing of another may be there, and its token is greater than every earlier one.

        Or the same, for one that is started again in the same tenure.
        """
        self.tenures += 1
        self._timeline.note("judge", f"command begins, token {command.token}")
        self._acting.append(command)
        if len(self.acting) > 1:
            raise Violation(f"two commands act: tokens {[one.token for one in self.acting]}")
        is_again = self._last is not None and command.is_restart_of(self._last)
        if command.token < self._token or (command.token == self._token and not is_again):
            raise Violation(f"token {command.token} after {self._token}")
        self._last = command
        if command.token in self._void:
            raise Violation(f"token {command.token} is a claim over a record that was made anew and not waited out")
        self._token = command.token

    def ends(self, command: "Command") -> None:
        """All of a command is gone: in time, by the clocks of its own host."""
        self._timeline.note("judge", f"command gone, token {command.token}")
        self._acting.remove(command)
        self.in_time(command)

    def in_time(self, command: "Command") -> None:
        """Judge that a command has not outlived its lease, less the margin."""
        late = command.lateness()
        if late > 0:
            raise Violation(f"the command with token {command.token} was there {late:.3f} s too long")

    # ---- what carries it

    def lease_extended(self, before: Instant, now: Instant) -> None:
        """A lease that has lapsed is not revived."""
        if now.held_since(before) >= self._timing.lease:
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
        """A claim is made by the first in the queue, and by nobody else; a release only over one's own record."""
        path = f"{self._election}/{queue.RECORD_PREFIX}0"
        self._judge_waiting(before.get(path), after.get(path))
        if not isinstance(request, actions.Multi) or not isinstance(answer, Applied) or path not in before:
            return
        old, new = (records.parse_lease_record(tree[path].data) for tree in (before, after))
        if session and isinstance(old, records.LeaseRecord) and isinstance(new, records.LeaseRecord) and new.released:
            # One that was made anew has no holder, and only an operator can bring it to a version that we expect.
            if old.holder not in ("", new.holder) and not old.released:
                raise Violation(f"{new.holder} released what {old.holder} holds")
            return
        is_claim = isinstance(new, records.LeaseRecord) and not new.released and session != 0
        if not is_claim or (isinstance(old, records.LeaseRecord) and old.holder == new.holder):
            return
        self._timeline.note("judge", f"claim by session {session}")
        line = queue.in_order(model_tree.children(after, self._election))
        if not line or not line[0].startswith(queue.candidate_prefix(new.holder)):
            raise Violation(f"{new.holder} claimed, but the queue is {line}")

    def _judge_waiting(self, old: model_tree.Znode | None, new: model_tree.Znode | None) -> None:
        if new is None or new == old:
            return
        record = records.parse_lease_record(new.data)
        if isinstance(record, records.LeaseRecord) and record.released:
            self._unknown_until = 0.0
        elif old is None or old.stat.czxid != new.stat.czxid:
            self._unknown_until = self._timeline.now + 0.99 * self._timing.lease
        elif self._timeline.now < self._unknown_until:
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
