"""What was seen as JSON of format 1: the schema that README and zkleader-status(1) document.

It owns the fields.  It must not know how they came about or where they go.  Texts are as others wrote them: a program
that shows them on a terminal has to look after what they hold.
"""

from __future__ import annotations

import json
from typing import Any

from zkleader.core.view import Candidate, LastRun, Look, Previous, Slot, View
from zkleader.status.text import stamp

FORMAT = 1


def render(look: Look, *, is_connected: bool = True) -> str:
    """Return the document, in one line."""
    return json.dumps(document(look, is_connected=is_connected))


def document(look: Look, *, is_connected: bool) -> dict[str, Any]:
    """Return the document."""
    return {
        "format": FORMAT,
        "server": look.server,
        "connected": is_connected,
        "time": _time(look.time),
        "elections": [_election(election) for election in look.elections],
        "left_out": look.left_out,
    }


def _election(election: View) -> dict[str, Any]:
    return {
        "election": election.path,
        "state": election.state.value,
        "leaders": election.stated,
        "slots": [_slot(slot) for slot in election.slots],
        "slots_left_out": election.slots_left_out,
        "candidates": [_candidate(candidate) for candidate in election.candidates],
        "others": list(election.others),
    }


def _slot(slot: Slot) -> dict[str, Any]:
    return {
        "slot": slot.number,
        "state": slot.standing.value,
        "problem": slot.problem,
        **slot.who.as_dict(),
        "token": slot.token,
        "lease": slot.lease,
        "elected": _time(slot.elected),
        "renewed": _time(slot.renewed),
        "unrenewed": round(slot.unrenewed, 3),
        "candidate": slot.candidate,
        "session": _session(slot.session),
        "previous": _previous(slot.previous),
        "last_run": _last_run(slot.last_run),
    }


def _candidate(candidate: Candidate) -> dict[str, Any]:
    return {
        "candidate": candidate.name,
        "state": candidate.kind.value,
        "problem": candidate.problem,
        **candidate.who.as_dict(),
        "version": candidate.version,
        "lease": candidate.lease,
        "since": _time(candidate.since),
        "session": _session(candidate.session),
        "slot": candidate.slot,
    }


def _previous(previous: Previous | None) -> dict[str, Any] | None:
    return None if previous is None else previous.as_dict() | {"ended": _time(previous.ended)}


def _last_run(run: LastRun | None) -> dict[str, Any] | None:
    return None if run is None else run.as_dict() | {"start": _time(run.start), "end": _time(run.end)}


def _session(session: int | None) -> str | None:
    return None if session is None else f"{session:#x}"


def _time(ms: int | None) -> str | None:
    return None if ms is None else stamp(ms, has_ms=True)
