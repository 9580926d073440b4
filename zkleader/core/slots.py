"""The slots of an election with several leaders: what their records say together, and which of them may be claimed.

It owns how many may lead.  The record of slot 0 *states* that number, and the promise is that those who act have it all
as their own.  It rests on four rules.

1. A slot is claimed by compare-and-set over its own record, by those whose number is the stated one.
2. The statement is changed only by the first in the queue, with a claim of slot 0, when every slot that there may be
   under the old number is free: released, or its lease waited out.  The same multi writes all their records, so that it
   fails if one of them has been claimed meanwhile, and so that a claim under the old number fails after it.
3. A record that says another number than that of slot 0 does, or none, may be newer than what was seen there.  Slot 0
   is read again after it: what one session reads does not go back in time.  Whatever is stated later writes it.
4. A record that was made anew, or cannot be read, states nothing.  If slot 0's does, any other record below the number
   that it says itself tells what was stated last, for every change writes it; it is read again after that of slot 0.
   If none does, there may be a leader of any slot that is listed; and, for the longest lease, of any that is not, for
   its record may have been deleted too.

The race: one of the others' records is deleted and made anew, up to the version that was read, while a change is under
way.  It is applied then, and there may be a leader who is just being told.  So a change is *provisional* until its
maker, having seen which znodes it has hit, confirms it with the first renewal: until then only slot 0 can be claimed,
with another change.

This module must not know how anything is read or written.  It does not promise that there is a claim to be made.
"""

from __future__ import annotations

from collections.abc import Sequence

from zkleader.core import queue
from zkleader.core.candidacy_state import RecordOf, State
from zkleader.core.lease import LONGEST_LEASE, Instant, waited_out_in
from zkleader.core.records import LeaseRecord, NewerFormat
from zkleader.core.value import Value


class Plan(Value):
    """A claim that may be made.

    ``before``: it changes the statement from this number (0: from an unknown one), with the records of the slots
    ``restated``, and of those ``made``, which there are none of yet.  None: it leaves it as it is.
    """

    slot: int
    before: int | None = None
    restated: tuple[int, ...] = ()
    made: tuple[int, ...] = ()


def stated(state: State) -> int | None:
    """Return how many may lead as the records state it, as far as that is known and confirmed."""
    record = _first_of(state)
    if record is None or record.stated is None:
        return _told_by_others(state)
    return None if record.before is not None else record.stated


def _told_by_others(state: State) -> int | None:
    """Return what was stated last, where slot 0's record says nothing; None if nobody else does."""
    numbers = ((slot, _states(state, slot)) for slot in state.slots if slot > 0)
    told = {number for slot, number in numbers if number is not None and slot < number}
    return told.pop() if len(told) == 1 else None


def number_before(state: State) -> int:
    """Return the number that a claim of ours has to change; 0: it is not known."""
    record = _first_of(state)
    if record is None or record.stated is None:
        return _told_by_others(state) or 0
    if record.before is None:
        return record.stated
    # It may have been applied to other znodes than it was meant for: then the slots before it are those that count.
    return max(record.before, record.stated) if record.before else 0


def of_interest(state: State) -> tuple[int, ...]:
    """Return the slots whose records matter to us."""
    known = range(max(state.rules.leaders, number_before(state)))
    if 0 in state.slots and stated_by_nobody(state):
        return tuple(sorted({*known, *listed(state)}))
    return tuple(known)


def reads(state: State) -> tuple[RecordOf, ...]:
    """Return the need to read each of them."""
    return tuple(RecordOf(slot) for slot in of_interest(state))


def listed(state: State) -> frozenset[int]:
    """Return the slots that had a record when the children were last listed."""
    return frozenset(slot for name in state.names or () if (slot := queue.slot_of(name)) is not None)


def lacking(state: State) -> int | None:
    """Return a slot whose record has to be made anew, because there may be a leader who has lost it; or None.

    Above the stated number there is no leader: the records there are made with the statement.
    """
    if 0 in state.absent:
        return 0
    if 0 not in state.slots:
        return None
    known = number_before(state) or state.rules.leaders
    return min((slot for slot in state.absent if slot < known), default=None)


def claimable_in(state: State, slot: int, now: Instant) -> float:
    """Return the seconds until a slot, whose record was seen, may be claimed (0: now)."""
    record = state.slots[slot].record
    if isinstance(record, LeaseRecord) and (record.released or record.holder == state.guid):
        # Our own guid: a claim that was confirmed too late to start anything under it.  Nothing of this candidacy runs.
        return 0.0
    sight = state.memory.sights[slot]
    lease = record.lease if isinstance(record, LeaseRecord) else LONGEST_LEASE
    return waited_out_in(lease, sight.since, now)


def next_claim(state: State, now: Instant) -> tuple[float, Plan] | None:
    """Return the claim that may be made first, and in how many seconds; None if what is known allows none."""
    place = state.place
    if place is None or 0 not in state.slots or not _is_settled(state, 0):
        return None
    bound_to = _bound_to(state)
    if stated(state) == state.rules.leaders:
        if place.rank >= state.rules.leaders:
            return None
        slots: Sequence[int] = range(state.rules.leaders) if bound_to is None else (bound_to,)
        if stated_by_nobody(state):
            if not all(_is_settled(state, slot) for slot in state.slots):
                return None  # what others tell has to be newer than what slot 0 does not
            slots = [slot for slot in slots if slot == 0 or _states(state, slot) == state.rules.leaders]
        above = _above(state) if stated_by_nobody(state) else ()
        if any(slot not in state.slots for slot in above):
            return None
        at_least = max((claimable_in(state, slot, now) for slot in above), default=0.0)
        ways = [(max(at_least, claimable_in(state, slot, now)), slot) for slot in slots if _is_settled(state, slot)]
        return min(((left, Plan(slot=slot)) for left, slot in ways), key=_order, default=None)
    if place.rank > 0 or bound_to not in (None, 0):
        return None
    return _change(state, now)


def awaited(state: State, now: Instant) -> tuple[float, int] | None:
    """Return the slot whose lease has to end before we may claim, and in how many seconds; None if we may not anyway.

    Those whose holder is in the queue, and so goes on renewing as far as is known, are not waited for.
    """
    way = next_claim(state, now)
    if way is None:
        return None
    left, plan = way
    if plan.before is not None:
        return left, max((0, *plan.restated), key=lambda slot: claimable_in(state, slot, now))
    known = [slot for slot in range(state.rules.leaders) if _is_settled(state, slot)]
    if left > 0 and state.rules.leaders > 1:
        known = [slot for slot in known if not _has_living_holder(state, slot)]
    return min(((max(left, claimable_in(state, slot, now)), slot) for slot in known), default=None)


def free_in(state: State, now: Instant) -> float | None:
    """Return the seconds until somebody could claim one of the slots that were seen; None if none was."""
    seen = (slot for slot in state.slots if slot < state.rules.leaders)
    return min((claimable_in(state, slot, now) for slot in seen), default=None)


def disagrees(state: State) -> bool:
    """Say whether it is known that another number is stated than ours."""
    return stated(state) not in (None, state.rules.leaders) and _is_settled(state, 0)


def has_living_holder(state: State) -> bool:
    """Say whether somebody holds a slot who is in the queue."""
    return any(_has_living_holder(state, slot) for slot in state.slots)


def _has_living_holder(state: State, slot: int) -> bool:
    record = state.slots[slot].record
    if not isinstance(record, LeaseRecord) or record.released or not record.holder:
        return False
    return bool(queue.of_guid(record.holder, state.names or ()))


def _above(state: State) -> tuple[int, ...]:
    """Return the slots from our own number on that were listed, and are not known to have no record.

    The race: a change to our number has hit one of them that was made anew, so its maker did not lead under it, and the
    mark of that is lost with slot 0's record.  So what others tell counts only when nobody can lead there.
    """
    return tuple(slot for slot in listed(state) if slot >= state.rules.leaders and slot not in state.absent)


def _order(way: tuple[float, Plan]) -> tuple[float, int]:
    return way[0], way[1].slot


def _first_of(state: State) -> LeaseRecord | None:
    seen = state.slots.get(0)
    return seen.record if seen is not None and isinstance(seen.record, LeaseRecord) else None


def _states(state: State, slot: int) -> int | None:
    seen = state.slots.get(slot)
    return seen.record.stated if seen is not None and isinstance(seen.record, LeaseRecord) else None


def _is_settled(state: State, slot: int) -> bool:
    """Whether a record was read, and nothing says that it has changed since."""
    seen, need = state.slots.get(slot), RecordOf(slot)
    is_known = seen is not None and not isinstance(seen.record, NewerFormat)
    return is_known and need not in state.due and need not in state.flights


def _bound_to(state: State) -> int | None:
    """Return the slot that we may hold already: no other is claimed before that is settled, or we might hold two."""
    if state.chain.doubts:
        return state.slot
    for slot, seen in state.slots.items():
        if isinstance(seen.record, LeaseRecord) and seen.record.holder == state.guid and not seen.record.released:
            return slot
    return None


def _change(state: State, now: Instant) -> tuple[float, Plan] | None:
    before, own = number_before(state), state.rules.leaders
    left, restated, made = [claimable_in(state, 0, now)], [], []
    if before == 0 and stated_by_nobody(state):
        # As if a record that is not listed had been deleted just before: its leader may act for so long.
        assert state.listed is not None
        left.append(waited_out_in(LONGEST_LEASE, state.listed.slots_since, now))
    for slot in of_interest(state)[1:]:
        if slot in state.slots:
            if not _is_settled(state, slot):
                return None
            restated.append(slot)
            left.append(claimable_in(state, slot, now))
        elif slot in state.absent and before and before <= slot < own:
            made.append(slot)
        else:
            return None
    return max(left), Plan(slot=0, before=before, restated=tuple(restated), made=tuple(made))


def stated_by_nobody(state: State) -> bool:
    """Say whether slot 0's record states nothing at all, not even provisionally."""
    record = _first_of(state)
    return record is None or record.stated is None
