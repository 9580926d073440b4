"""A write to the record of our slot: claim, renewal or release, in one multi with an operation on our own candidate.

A claim that changes the number of leaders writes the other slots' records as well.  This module owns what the answer
says of each of them.  It must not know what follows from that.
"""

from __future__ import annotations

from zkleader.core.actions import Multi
from zkleader.core.candidacy_state import Flight, Purpose, State
from zkleader.core.events import Applied, Refusal, Refused
from zkleader.core.records import Stat


def stat_of_record(state: State, flight: Flight, answer: Applied) -> Stat:
    """Return the stat that the write gave the record."""
    assert isinstance(flight.request, Multi)
    paths = [operation.path for operation in flight.request.operations]
    stat = answer.stats[paths.index(state.record_path)]
    assert stat is not None
    return stat


def lacked_candidate(state: State, flight: Flight, answer: Refused) -> bool:
    """Say whether the write was refused because our candidate is not there (any longer)."""
    assert isinstance(flight.request, Multi)
    operations = flight.request.operations
    failed = operations[answer.index] if answer.index < len(operations) else None
    return answer.refusal is Refusal.NO_NODE and failed is not None and failed.path != state.record_path


def slot_of_failed(state: State, flight: Flight, answer: Refused) -> int | None:
    """Return the slot for whose record a write was refused; None: for our candidate."""
    assert isinstance(flight.request, Multi)
    operations = flight.request.operations
    return state.rules.slot_at(operations[answer.index].path) if answer.index < len(operations) else None


def hit_what_was_meant(state: State, flight: Flight, answer: Applied) -> bool:
    """Say whether the other slots' records that a write has changed are those that were read."""
    assert isinstance(flight.request, Multi)
    paths = [operation.path for operation in flight.request.operations]
    stats = ((answer.stats[paths.index(state.rules.record_path(slot))], czxid) for slot, czxid in flight.meant.items())
    return all(stat is not None and stat.czxid == czxid for stat, czxid in stats)


def writes(state: State, slot: int) -> bool:
    """Say whether a write to the record of a slot is under way."""
    write = state.flights.get(Purpose.WRITE)
    if write is None:
        return False
    assert isinstance(write.request, Multi)
    return state.rules.record_path(slot) in [operation.path for operation in write.request.operations]
