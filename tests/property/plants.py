"""Faults to plant in the core, one for each rule that carries the safety argument: each undoes one of them."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from faults import ELECTION

from zkleader.core import actions, candidacy, claim, guard_state, records, tenure, termination
from zkleader.core.actions import End, Outcome
from zkleader.core.beats import Beats
from zkleader.core.chain import Attempt, Chain, Verdict
from zkleader.core.events import CommandGone, CommandStopping, Content, Event, GuardFailed, Refusal, Refused, Touched
from zkleader.core.lease import Instant
from zkleader.core.records import Stat
from zkleader.core.turn import Flight, Phase, Purpose, State, Turn
from zkleader.core.wire import Cause

Plant = Callable[[pytest.MonkeyPatch], None]


def claims_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "claimable_in", lambda _state, _now: 0.0)


def sight_outlives_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    observe = claim.observe

    def observe_once(turn: Turn, content: Content) -> Any:
        before = turn.state.memory.sight
        seen = observe(turn, content)
        if before is not None and turn.state.memory.sight is not None:
            turn.remember(sight=turn.state.memory.sight.but(since=before.since))
        return seen

    monkeypatch.setattr(claim, "observe", observe_once)


def dates_renewals_from_the_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm = Chain.confirm

    def confirm_late(self: Chain, attempt: Attempt, stat: Stat, now: Instant) -> tuple[Chain, Verdict]:
        return confirm(self, attempt.but(sent=now), stat, now)

    monkeypatch.setattr(Chain, "confirm", confirm_late)


def revives_lapsed_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Chain, "has_lapsed", lambda _self, _now: False)


def releases_before_the_command_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    on_stopping = tenure.on_stopping

    def stopping_is_gone(turn: Turn, event: CommandStopping) -> None:
        on_stopping(turn, event)
        tenure._end_tenure(turn, Outcome(end=End.COMMAND_ENDED, reason=event.cause.value))

    monkeypatch.setattr(tenure, "on_stopping", stopping_is_gone)


def starts_again_before_the_command_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    on_stopping = tenure.on_stopping

    def stopping_is_gone(turn: Turn, event: CommandStopping) -> None:
        on_stopping(turn, event)
        gone = CommandGone(cause=event.cause, wait_status=0, in_time=True)
        if event.cause is Cause.ENDED and tenure._is_restarted(turn.state, gone) and not turn.state.loss:
            tenure._pause(turn, gone)

    monkeypatch.setattr(tenure, "on_stopping", stopping_is_gone)


def creates_missing_records_released(monkeypatch: pytest.MonkeyPatch) -> None:
    new_record = records.new_record
    monkeypatch.setattr(records, "new_record", lambda *, released: new_record(released=released or True))


def takes_the_token_from_the_creation(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm = Chain.confirm

    def confirm_creation(self: Chain, attempt: Attempt, stat: Stat, now: Instant) -> tuple[Chain, Verdict]:
        return confirm(self, attempt, stat._replace(mzxid=stat.czxid), now)

    monkeypatch.setattr(Chain, "confirm", confirm_creation)


def takes_the_token_from_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm = Chain.confirm

    def confirm_version(self: Chain, attempt: Attempt, stat: Stat, now: Instant) -> tuple[Chain, Verdict]:
        return confirm(self, attempt, stat._replace(mzxid=stat.version), now)

    monkeypatch.setattr(Chain, "confirm", confirm_version)


def claims_without_its_candidate(monkeypatch: pytest.MonkeyPatch) -> None:
    def write_what_is_always_there(path: str, data: bytes, version: int) -> actions.SetData:
        is_record = path.startswith(f"{ELECTION}/lease-")
        return actions.SetData(path=path if is_record else ELECTION, data=data, version=version)

    monkeypatch.setattr(claim, "SetData", write_what_is_always_there)


def guard_without_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(termination, "_stop_limit", lambda state: guard_state.Limit(state.lease_start, 1e9))
    monkeypatch.setattr(
        termination, "_kill_in", lambda state, now: 1e9 if state.kill_limit is None else state.kill_limit.left(now)
    )


def believes_bad_version(monkeypatch: pytest.MonkeyPatch) -> None:
    on_refused = tenure._on_refused

    def lose_at_once(turn: Turn, flight: Flight, answer: Refused) -> None:
        if answer.refusal is Refusal.BAD_VERSION:
            tenure.lose(turn, "record_replaced")
        else:
            on_refused(turn, flight, answer)

    monkeypatch.setattr(tenure, "_on_refused", lose_at_once)


def takes_a_lost_answer_for_a_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    on_unanswered = tenure.on_unanswered

    def lose_at_once(turn: Turn, purpose: Purpose) -> None:
        on_unanswered(turn, purpose)
        if purpose is Purpose.WRITE:
            tenure.lose(turn, "unanswered")

    monkeypatch.setattr(tenure, "on_unanswered", lose_at_once)


def looks_at_versions_only(monkeypatch: pytest.MonkeyPatch) -> None:
    confirm = Chain.confirm

    def confirm_any(self: Chain, attempt: Attempt, stat: Stat, now: Instant) -> tuple[Chain, Verdict]:
        return confirm(self, attempt.but(czxid=stat.czxid), stat, now)

    monkeypatch.setattr(Chain, "confirm", confirm_any)


def claims_again_what_it_claimed_by_mistake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "_claimed_another_record", lambda turn: turn.want(Purpose.RECORD))


def beats_at_its_leisure(monkeypatch: pytest.MonkeyPatch) -> None:
    def due_in(self: Beats, now: Instant, _lease_start: Instant | None) -> float:
        since = now.monotonic - self.sent_at if self.sent_at is not None else self.timing.renewal_interval
        return self.timing.renewal_interval - since

    monkeypatch.setattr(Beats, "due_in", due_in)


def deaf_to_watches_before_their_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    on_touched = candidacy._on_touched

    def only_what_is_known_to_be_watched(turn: Turn, event: Touched) -> None:
        ahead = turn.state.flights.get(Purpose.AHEAD)
        if ahead is None or turn.state.watched is not None or event.path != getattr(ahead.request, "path", None):
            on_touched(turn, event)

    monkeypatch.setattr(candidacy, "_on_touched", only_what_is_known_to_be_watched)


def forgets_that_it_was_asked_to_leave(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Turn.finish

    def finish_unasked(self: Turn) -> None:
        asked_by, self.state.asked_by = self.state.asked_by, 0
        finish(self)
        self.state.asked_by = asked_by

    monkeypatch.setattr(Turn, "finish", finish_unasked)


def waits_for_a_command_that_never_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenure, "_give_up_command", lambda _turn: None)
    # Without that, its timer would be one that is always due.
    timers = candidacy._timers

    def timers_but_that(state: State, now: Instant) -> Iterator[float]:
        hangs = state.phase is Phase.STOPPING and tenure.release_in(state, now) <= 0
        return (left for left in timers(state, now) if left > 0 or not hangs)

    monkeypatch.setattr(candidacy, "_timers", timers_but_that)


def campaigns_with_a_failed_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    take = candidacy._take

    def take_all_but_that(turn: Turn, event: Event) -> None:
        outcome = turn.state.outcome
        if not isinstance(event, GuardFailed) or outcome is None or outcome.end is not End.CANDIDACY_LOST:
            take(turn, event)

    monkeypatch.setattr(candidacy, "_take", take_all_but_that)
