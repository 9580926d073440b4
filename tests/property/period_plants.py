"""Faults to plant in the core, one for each rule of ``--once-per``: each undoes one of them."""

from typing import Any

import pytest

from zkleader.core import candidacy, period, records, release, wait_status
from zkleader.core.actions import End, Multi, SetData
from zkleader.core.candidacy_state import Flight, Memory, Purpose, State
from zkleader.core.events import Answer, Applied
from zkleader.core.lease import Instant
from zkleader.core.records import LeaseRecord
from zkleader.core.rules import Rules
from zkleader.core.turn import Turn
from zkleader.core.write import stat_of_record


def releases_without_a_record(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period, "ended", lambda old, **_: old.content["last_run"])


def records_after_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    ended, on_write = period.ended, release._on_write
    monkeypatch.setattr(period, "ended", lambda old, **_: old.content["last_run"])

    def then_record(turn: Turn, flight: Flight, answer: Answer) -> None:
        state, record = turn.state, flight.record
        is_first = record is not None and record.released and record.content["last_run"]["status"] is None
        if not isinstance(answer, Applied) or not state.is_counted or record is None or not is_first:
            on_write(turn, flight, answer)
            return
        held, outcome = state.chain.held, state.outcome
        assert held is not None
        assert outcome is not None
        status = wait_status.exit_status_of(outcome.number)
        told = ended(record, token=held.token, elected_at=held.elected_at, status=status)
        record = LeaseRecord(content=record.content | {"last_run": told})
        version = stat_of_record(state, flight, answer).version
        write = SetData(path=state.record_path, data=records.encode(record), version=version)
        turn.send(Purpose.WRITE, Multi(operations=(write,)), attempt=flight.attempt, record=record)

    monkeypatch.setattr(release, "_on_write", then_record)


def takes_an_unconfirmed_record_for_done(monkeypatch: pytest.MonkeyPatch) -> None:
    finish = Turn.finish

    def finish_as_released(self: Turn) -> None:
        self.state.is_released = True
        finish(self)

    monkeypatch.setattr(Turn, "finish", finish_as_released)


def records_what_was_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_ended(self: State) -> bool:
        return self.outcome is not None and self.outcome.end in (End.COMMAND_ENDED, End.LOST)

    monkeypatch.setattr(State, "is_counted", property(is_ended))


def takes_a_failed_run_for_done(monkeypatch: pytest.MonkeyPatch) -> None:
    is_done = period.is_done
    monkeypatch.setattr(period, "is_done", lambda *of, **_: is_done(*of, retry_failed=False))


def comes_when_the_hosts_clock_says(monkeypatch: pytest.MonkeyPatch) -> None:
    remember = Turn.remember

    def remember_by_its_own_clock(self: Turn, **changes: Any) -> None:
        if "arrived" in changes:
            changes["arrived"] = round(self.now.boottime * 1000)
        remember(self, **changes)

    monkeypatch.setattr(Turn, "remember", remember_by_its_own_clock)


def comes_with_its_last_candidacy(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = candidacy.begin

    def begin_as_if_just_come(rules: Rules, guid: str, memory: Memory, now: Instant) -> State:
        return begin(rules, guid, memory.but(began=now, arrived=None), now)

    monkeypatch.setattr(candidacy, "begin", begin_as_if_just_come)


def counts_a_period_from_the_last_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = period.begun
    monkeypatch.setattr(period, "begun", lambda _last, *of: begun(None, *of))


def has_whole_periods_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(period, "_belongs", lambda arrived, start, length: arrived < start + length * 1000)
