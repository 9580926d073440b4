"""Faults to plant in the core, one for each rule that carries the safety argument: each undoes one of them."""

from collections.abc import Iterator
from typing import Any

import pytest
from faults import ELECTION

from zkleader.core import (
    actions,
    candidacy,
    claim,
    deadlines,
    guard_state,
    pausing,
    records,
    release,
    resignation,
    sequence,
    slots,
    tenure,
    tenure_end,
    termination,
)
from zkleader.core.actions import End, Outcome
from zkleader.core.beats import Beats
from zkleader.core.candidacy_state import Flight, Phase, Purpose, State
from zkleader.core.chain import Attempt, Chain, Verdict
from zkleader.core.events import CommandStopping, Content, Event, GuardFailed, Refusal, Refused, Touched
from zkleader.core.guard_events import FirstReaped, TreeGone
from zkleader.core.lease import Instant, Timing
from zkleader.core.records import LeaseRecord, ResignRequest, Stat
from zkleader.core.resign_state import Due
from zkleader.core.turn import Turn


def claims_without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "claimable_in", lambda _state, _slot, _now: 0.0)


def sight_outlives_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    observe = claim.observe

    def observe_once(turn: Turn, slot: int, content: Content) -> Any:
        before = turn.state.memory.sights.get(slot)
        seen = observe(turn, slot, content)
        if before is not None:
            sight = turn.state.memory.sights[slot].but(since=before.since)
            turn.remember(sights={**turn.state.memory.sights, slot: sight})
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
        tenure_end.conclude(turn, Outcome(end=End.COMMAND_ENDED, reason=event.cause.value))

    monkeypatch.setattr(tenure, "on_stopping", stopping_is_gone)


def releases_without_the_programs_word(monkeypatch: pytest.MonkeyPatch) -> None:
    lose = tenure.lose

    def lose_and_release(turn: Turn, reason: str) -> None:
        is_first = not turn.state.loss
        lose(turn, reason)
        if is_first and turn.state.phase is Phase.STOPPING:
            tenure_end.conclude(turn, Outcome(end=End.LOST, reason=reason))

    monkeypatch.setattr(tenure, "lose", lose_and_release)


def programs_act_to_the_end_of_the_successors_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timing, "gone_after", property(lambda timing: timing.lease + 1.2 * timing.margin))


def takes_the_end_of_the_first_process_for_all_of_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    first_reaped = termination._first_reaped

    def first_reaped_is_gone(state: guard_state.State, event: FirstReaped, now: Instant) -> Any:
        after, actions = first_reaped(state, event, now)
        if event.alone or state.refusal is not None:
            return after, actions
        gone, more = sequence.follow(after, TreeGone(signalled=0, killed=0), now)
        return gone, (*actions, *more)

    monkeypatch.setattr(termination, "_first_reaped", first_reaped_is_gone)


def creates_missing_records_released(monkeypatch: pytest.MonkeyPatch) -> None:
    new_record = records.new_record
    monkeypatch.setattr(records, "new_record", lambda **wanted: new_record(**wanted | {"released": True}))


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
    monkeypatch.setattr(deadlines, "stop_limit", lambda state: guard_state.Limit(state.lease_start, 1e9))
    monkeypatch.setattr(
        deadlines, "kill_in", lambda state, now: 1e9 if state.kill_limit is None else state.kill_limit.left(now)
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


def claims_whatever_bears_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    claimed = records.claimed

    def claimed_for_no_record_in_particular(*old: Any, **wanted: Any) -> LeaseRecord:
        content = claimed(*old, **wanted).content
        return LeaseRecord(content={name: value for name, value in content.items() if name != "czxid"})

    monkeypatch.setattr(records, "claimed", claimed_for_no_record_in_particular)


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
        hangs = state.phase is Phase.STOPPING and release.useful_for(state, now) <= 0
        return (left for left in timers(state, now) if left > 0 or not hangs)

    monkeypatch.setattr(candidacy, "_timers", timers_but_that)


def campaigns_with_a_failed_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    take = candidacy._take

    def take_all_but_that(turn: Turn, event: Event) -> None:
        outcome = turn.state.outcome
        if not isinstance(event, GuardFailed) or outcome is None or outcome.end is not End.CANDIDACY_LOST:
            take(turn, event)

    monkeypatch.setattr(candidacy, "_take", take_all_but_that)


def resigns_whatever_tenure_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    def any_request(self: State) -> ResignRequest | None:
        is_known = self.own_seen is not None and self.chain.held is not None
        return records.resign_request_in(self.own_seen.content) if is_known and self.own_seen is not None else None

    monkeypatch.setattr(State, "resign_request", property(any_request))


def heeds_a_request_only_when_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    heed, on_answer = tenure.heed, tenure.on_answer

    def on_answer_alone(turn: Turn, purpose: Purpose, flight: Flight, answer: Any) -> None:
        on_answer(turn, purpose, flight, answer)
        if purpose is Purpose.OWN:
            heed(turn)

    monkeypatch.setattr(tenure, "heed", lambda _turn: None)
    monkeypatch.setattr(tenure, "on_answer", on_answer_alone)


def trusts_its_watches_after_a_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candidacy, "AFTER_CONNECTING", candidacy.AFTER_CONNECTING - {Purpose.OWN})


def tells_an_end_without_asking_the_ensemble(monkeypatch: pytest.MonkeyPatch) -> None:
    advance = resignation._Turn.advance

    def advance_to_the_end(self: resignation._Turn) -> None:
        advance(self)
        if self.state.due is Due.CONFIRM:
            self._conclude(resignation.End.LAPSED)

    monkeypatch.setattr(resignation._Turn, "advance", advance_to_the_end)


def thaws_without_a_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = pausing._doubt

    def doubt_for_a_while(state: guard_state.State, now: Instant, *, by_clock: bool) -> str:
        freezing = state.freezing
        is_over = freezing is not None and now.held_since(freezing.since) > state.timing.renewal_interval
        return "" if is_over else doubt(state, now, by_clock=by_clock)

    monkeypatch.setattr(pausing, "_doubt", doubt_for_a_while)


def freezes_at_the_supervisors_word_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    doubt = pausing._doubt

    def doubt_what_is_told(state: guard_state.State, now: Instant, *, by_clock: bool) -> str:  # noqa: ARG001
        return doubt(state, now, by_clock=False)

    monkeypatch.setattr(pausing, "_doubt", doubt_what_is_told)
    monkeypatch.setattr(pausing, "overdue_in", lambda _state, _now: None)


def freezes_by_the_clock_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tenure, "on_suspended", lambda _turn: None)


def thaws_by_any_renewal(monkeypatch: pytest.MonkeyPatch) -> None:
    extend = termination._extend

    def extend_and_forget(state: guard_state.State, lease_start: Instant) -> guard_state.State:
        extended = extend(state, lease_start)
        return extended.but(suspended_at=None) if extended.lease_start != state.lease_start else extended

    monkeypatch.setattr(termination, "_extend", extend_and_forget)


def starts_unfrozen_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(turn: Turn) -> None:
        held = turn.state.chain.held
        assert held is not None
        turn.actions.append(actions.StartCommand(lease_start=held.lease_start, token=held.token))

    monkeypatch.setattr(tenure, "start_command", start)


def never_thaws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pausing, "_thaw", lambda state, _now: (state, ()))


def leads_on_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Timing, "stop_after_with", lambda self, _on_disconnect: self.stop_after)
    monkeypatch.setattr(tenure, "on_suspended", lambda _turn: None)
