"""Faults to plant in what the core decides about hooks, one for each rule about them."""

from typing import Any

import pytest

from zkleader.core import deadlines, sequence, tenure_end, termination
from zkleader.core.actions import EndTenure, Outcome
from zkleader.core.acts import Act
from zkleader.core.guard_events import FirstReaped, TreeGone
from zkleader.core.guard_state import Phase, State, Supervisor
from zkleader.core.lease import Instant
from zkleader.core.turn import Turn
from zkleader.core.wire import Cause


def runs_on_lost_after_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    def release_at_once(turn: Turn, outcome: Outcome) -> None:
        turn.actions.append(EndTenure(reason=outcome.reason))
        tenure_end._release(turn, outcome)

    monkeypatch.setattr(tenure_end, "conclude", release_at_once)


def starts_the_command_after_a_failed_on_elected(monkeypatch: pytest.MonkeyPatch) -> None:
    follow = sequence.follow

    def follow_whatever_it_came_to(state: State, event: TreeGone, now: Instant) -> Any:
        failed = state.act is Act.ON_ELECTED and state.cause in (None, Cause.HOOK_FAILED)
        return follow(state.but(cause=None, wait_status=0) if failed else state, event, now)

    monkeypatch.setattr(sequence, "follow", follow_whatever_it_came_to)


def takes_the_end_of_a_hooks_first_process_for_all_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    first_reaped = termination._first_reaped

    def first_reaped_is_gone(state: State, event: FirstReaped, now: Instant) -> Any:
        after, actions = first_reaped(state, event, now)
        if state.act is Act.COMMAND or state.refusal is not None:
            return after, actions
        gone, more = sequence.follow(after, TreeGone(signalled=0, killed=0), now)
        return gone, (*actions, *more)

    monkeypatch.setattr(termination, "_first_reaped", first_reaped_is_gone)


def lets_hooks_take_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = sequence._begin

    def begin_without_limit(state: State, act: Act, reason: str, now: Instant) -> Any:
        begun, actions = begin(state, act, reason, now)
        return begun.but(kill_limit=None), actions

    monkeypatch.setattr(sequence, "_begin", begin_without_limit)


def lets_on_lost_outlive_the_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    kill_in = deadlines.kill_in

    def kill_in_its_own_time(state: State, now: Instant) -> float:
        if state.act is Act.ON_LOST and state.kill_limit is not None:
            return state.kill_limit.left(now)
        return kill_in(state, now)

    monkeypatch.setattr(deadlines, "kill_in", kill_in_its_own_time)


def forgets_on_lost_for_a_dead_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    def owes(self: State) -> bool:
        is_owed = self.hooks.on_lost and self.act in (Act.ON_ELECTED, Act.COMMAND)
        return is_owed and self.supervisor is not Supervisor.GONE

    monkeypatch.setattr(State, "owes_on_lost", property(owes))


def starts_the_command_though_asked_to_stop_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = termination._stop

    def stop_but_not_what_is_being_killed(state: State, cause: Cause, now: Instant) -> Any:
        if state.phase is Phase.KILLING and state.act is Act.ON_ELECTED and state.cause is None:
            return state, ()
        return stop(state, cause, now)

    monkeypatch.setattr(termination, "_stop", stop_but_not_what_is_being_killed)
