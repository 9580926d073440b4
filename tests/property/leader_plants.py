"""Faults to plant in what is decided about slots and numbers of leaders: each undoes one rule of ``core.slots``."""

import pytest

from zkleader.core import campaign, queue, slots
from zkleader.core.candidacy_state import State
from zkleader.core.lease import LONGEST_LEASE, Instant, waited_out_in
from zkleader.core.records import LeaseRecord
from zkleader.core.slots import Plan


def claims_whatever_its_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    next_claim = slots.next_claim

    def next_claim_as_if_first(state: State, now: Instant) -> tuple[float, Plan] | None:
        alone = state.copied()
        alone.names = tuple(name for name in state.names or () if queue.sequence_of(name) is None or name == state.own)
        return next_claim(alone, now)

    monkeypatch.setattr(slots, "next_claim", next_claim_as_if_first)


def claims_without_looking_at_the_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "stated", lambda state: state.rules.leaders)


def changes_the_statement_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    change = slots._change

    def change_alone(state: State, now: Instant) -> tuple[float, Plan] | None:
        way = change(state, now)
        return None if way is None else (way[0], way[1].but(restated=(), made=()))

    monkeypatch.setattr(slots, "_change", change_alone)


def changes_the_statement_while_others_lead(monkeypatch: pytest.MonkeyPatch) -> None:
    change = slots._change

    def change_at_once(state: State, now: Instant) -> tuple[float, Plan] | None:
        way = change(state, now)
        return None if way is None else (slots.claimable_in(state, 0, now), way[1])

    monkeypatch.setattr(slots, "_change", change_at_once)


def claims_another_slot_while_one_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slots, "_bound_to", lambda _state: None)


def counts_the_lapse_of_another_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    claimable_in = slots.claimable_in

    def claimable_since_any(state: State, slot: int, now: Instant) -> float:
        if claimable_in(state, slot, now) <= 0:
            return 0.0
        record = state.slots[slot].record
        lease = record.lease if isinstance(record, LeaseRecord) else LONGEST_LEASE
        return min(waited_out_in(lease, sight.since, now) for sight in state.memory.sights.values())

    monkeypatch.setattr(slots, "claimable_in", claimable_since_any)


def takes_a_record_made_anew_at_its_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LeaseRecord, "stated", property(lambda record: int(record.content.get("leaders", 1))))


def never_lists_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(campaign, "listing_in", lambda _state, _now: None)
