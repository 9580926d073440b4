"""What can be said of an election from what was read of it: the judgement that makes a view of a reading.

It must not know how anything is read or how a view is shown.  It trusts nothing that others wrote: what is missing, of
a wrong type or beyond all measure is None in a view.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from zkleader.core import queue, records
from zkleader.core.events import Answer, Content, Refusal, Refused
from zkleader.core.lease import margin_of
from zkleader.core.reading import MOST_SLOTS, Reading, holders
from zkleader.core.records import LeaseRecord, NewerFormat, Unreadable
from zkleader.core.sights import Sights
from zkleader.core.view import (
    Candidate,
    Kind,
    LastRun,
    Person,
    Previous,
    Slot,
    Standing,
    State,
    View,
    doubt_in,
)

_LONGEST_TEXT = 1024
"""Characters of what is shown of a text that others wrote."""

_LATEST_TIME = 253402300799999
"""Milliseconds: the end of the year 9999, beyond which no format of times goes."""

_OURS = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}-n_-?[0-9]{9,10}"


def view_of(reading: Reading, sights: Sights, confirmed: float) -> View:
    """Return what can be said of an election.

    ``sights`` remembers this look as well; ``confirmed`` is an instant at which what was read had not changed yet: the
    one before it was asked for.
    """
    if not reading.is_election:
        state = State.NOT_PERMITTED if reading.is_hidden else State.ABSENT
        return View(path=reading.path, state=state, others=reading.children.others)
    children, answers, held_by = reading.children, reading.answers, holders(reading)
    slots = tuple(
        _slot(reading, name, held_by.get(name), sights, confirmed)
        for name in children.records
        if name in answers and not _is_gone(answers[name])
    )
    stated = next((slot.leaders for slot in slots if slot.number == 0), None)
    slots = tuple(slot for slot in slots if not _is_left_over(slot, stated))
    leading = {slot.candidate: slot.number for slot in slots if slot.standing is Standing.LEADS}
    candidates = tuple(
        _candidate(name, answers.get(name)).but(slot=leading.get(name))
        for name in children.candidates
        if not _is_gone(answers.get(name))
    )
    return View(
        path=reading.path,
        state=_state(slots),
        slots=slots,
        stated=stated,
        slots_left_out=max(0, len(children.records) - MOST_SLOTS),
        candidates=candidates,
        others=children.others,
    )


def _is_left_over(slot: Slot, stated: int | None) -> bool:
    """Say whether nobody leads in a slot nor can, because there were more of them once."""
    is_free = slot.standing in (Standing.RELEASED, Standing.UNUSED)
    return stated is not None and slot.number >= stated and is_free


def _is_gone(answer: Answer | None) -> bool:
    """Say whether a znode was deleted between the listing and the reading."""
    return isinstance(answer, Refused) and answer.refusal is Refusal.NO_NODE


def _state(slots: tuple[Slot, ...]) -> State:
    is_led = any(slot.standing is Standing.LEADS for slot in slots)
    return State.LED if is_led else doubt_in(slots) or State.NOBODY


def _slot(reading: Reading, name: str, candidate: str | None, sights: Sights, confirmed: float) -> Slot:
    number, answer = queue.slot_of(name), reading.answers[name]
    assert number is not None
    if not isinstance(answer, Content):
        return Slot(number=number, standing=Standing.NOT_PERMITTED, problem=_problem(answer))
    record, stat = records.parse_lease_record(answer.data, answer.stat), answer.stat
    written = Slot(
        number=number,
        standing=Standing.UNREADABLE,
        renewed=_time(stat.mtime),
        unrenewed=sights.unchanged(f"{reading.path}/{name}", stat, confirmed),
    )
    if isinstance(record, Unreadable):
        return written.but(problem=record.reason)
    if isinstance(record, NewerFormat):
        return written.but(standing=Standing.NEWER_FORMAT, problem=_newer(record))
    written = written.but(leaders=record.stated)
    if not record.holder:
        return written.but(standing=Standing.UNUSED if record.released else Standing.REMADE)
    content = records.completed(record, stat)
    return written.but(
        standing=_standing(record, written.unrenewed, is_queued=candidate is not None),
        who=_person(content),
        # Never renewed, it is the claim itself.
        token=stat.mzxid if content.get("token") is None else _number(content["token"]),
        lease=record.lease,
        elected=_time(records.claimed_at(record, stat)),
        candidate=candidate,
        session=_session(reading.answers.get(candidate or "")),
        previous=_previous(content.get("previous")),
        last_run=_last_run(content.get("last_run")),
    )


def _standing(record: LeaseRecord, unrenewed: float, *, is_queued: bool) -> Standing:
    if record.released:
        return Standing.RELEASED
    # With the margin, as for a claimant: then it is over on the holder's clocks, whatever these say.
    if unrenewed >= record.lease + margin_of(record.lease):
        return Standing.LAPSED
    return Standing.LEADS if is_queued else Standing.LOST


def _candidate(name: str, answer: Answer | None) -> Candidate:
    is_ours = re.fullmatch(_OURS, name) is not None
    if not isinstance(answer, Content):
        kind = Kind.NOT_PERMITTED if is_ours else Kind.FOREIGN
        return Candidate(name=name, kind=Kind.NOT_READ if answer is None else kind, problem=_problem(answer))
    known = Candidate(name=name, kind=Kind.FOREIGN, since=_time(answer.stat.ctime), session=_session(answer))
    if not is_ours:
        return known
    content = records.parse_candidate(answer.data)
    if isinstance(content, Unreadable):
        return known.but(kind=Kind.UNREADABLE, problem=content.reason)
    if isinstance(content, NewerFormat):
        return known.but(kind=Kind.NEWER_FORMAT, problem=_newer(content))
    lease = _number(content.get("lease_ms"))
    return known.but(
        kind=Kind.OURS,
        who=_person(content),
        version=_text(content.get("version")),
        lease=None if lease is None else lease / 1000,
    )


def _problem(answer: Answer | None) -> str | None:
    if not isinstance(answer, Refused):
        return None
    return answer.text or answer.refusal.value


def _newer(record: NewerFormat) -> str:
    return f"format {record.format}, and this version knows {records.KNOWN}"


def _session(answer: Answer | None) -> int | None:
    # Python's view of it is signed; 0 is what a znode has that is not ephemeral.
    return (answer.stat.owner & 0xFFFFFFFFFFFFFFFF) or None if isinstance(answer, Content) else None


def _person(content: Mapping[str, Any]) -> Person:
    return Person(
        id=_text(content.get("id")),
        host=_text(content.get("host")),
        pid=_number(content.get("pid")),
        command=_text(content.get("command")),
    )


def _previous(told: object) -> Previous | None:
    if not isinstance(told, dict):
        return None
    return Previous(
        id=_text(told.get("id")),
        token=_number(told.get("token")),
        ended=_time(told.get("ended")),
        reason=_text(told.get("reason")),
        status=_number(told.get("status")),
    )


def _last_run(told: object) -> LastRun | None:
    if not isinstance(told, dict):
        return None
    return LastRun(
        id=_text(told.get("id")),
        token=_number(told.get("token")),
        start=_time(told.get("start")),
        end=_time(told.get("end")),
        status=_number(told.get("status")),
    )


def _text(told: object) -> str | None:
    return told if isinstance(told, str) and 0 < len(told) <= _LONGEST_TEXT else None


def _number(told: object) -> int | None:
    return told if type(told) is int and abs(told) < 1 << 63 else None


def _time(told: object) -> int | None:
    number = _number(told)
    return number if number is not None and 0 <= number <= _LATEST_TIME else None
