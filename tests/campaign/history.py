"""What happened: every fault with its begin and its end, and every act of a command. Pure.

Owns the shape of a history and of the file that keeps it, JSON lines in order of time, on CLOCK_MONOTONIC. The beats of
the witnesses, hundreds a second, are kept there as runs: one process that acted without a pause. It judges nothing.
"""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from witness import Beat, Tenure

FAULT, HEALING, HEALED = "fault", "healing", "healed"
"""Kinds of events of a fault. `healing`: from here on it may be over; not every fault takes a while to mend."""

STARTED, ENDED, STOPPING, FAILED = "started", "ended", "stopping", "failed"
"""The other kinds. `stopping`: from here on the campaign itself ends the candidates, in order. `failed`: what was to be
played could not be, so the history proves nothing but what is in it."""

ACTED = "acted"
"""The kind of a line that is no event."""

PAUSE_NS = 50_000_000
"""A process that has not acted for so long was stopped or starved; a witness beats every 2 ms."""


class Event(NamedTuple):
    """Something that the campaign did or saw."""

    at_ns: int
    kind: str
    text: str
    candidate: str = ""
    """Whom it concerns; empty: everybody."""
    fault: int = 0
    """Which fault begins or ends, from 1."""
    harm: float = 0.0
    """Of a fault: seconds after its end in which a leader may yet be lost, or missing, by it. 0: it disturbs nobody."""


class Run(NamedTuple):
    """One process that acted without a pause."""

    first_ns: int
    last_ns: int
    tenure: Tenure
    pid: int
    beats: int


class History(NamedTuple):
    """All of it, in order of time."""

    events: tuple[Event, ...]
    beats: tuple[Beat, ...]

    @classmethod
    def of(cls, events: Iterable[Event], beats: Iterable[Beat]) -> "History":
        """Return the history that these make."""
        return cls(tuple(sorted(events)), tuple(sorted(beats)))


def runs(beats: Iterable[Beat]) -> list[Run]:
    """Return what the beats are when told shortly, in order of their begin."""
    found: list[Run] = []
    last_of: dict[tuple[int, Tenure], int] = {}  # a process -> its run that may go on
    for beat in sorted(beats):
        key = (beat.pid, beat.tenure)
        position = last_of.get(key)
        if position is not None and beat.at_ns - found[position].last_ns <= PAUSE_NS:
            run = found[position]
            found[position] = run._replace(last_ns=beat.at_ns, beats=run.beats + 1)
        else:
            last_of[key] = len(found)
            found.append(Run(beat.at_ns, beat.at_ns, beat.tenure, beat.pid, 1))
    return found


def to_lines(history: History) -> list[str]:
    """Return the file's lines: events as they are, beats as runs."""
    events = [{name: value for name, value in event._asdict().items() if value} for event in history.events]
    acts = [
        {"at_ns": run.first_ns, "kind": ACTED, "until_ns": run.last_ns, "pid": run.pid, "beats": run.beats}
        | run.tenure._asdict()
        for run in runs(history.beats)
    ]
    return [json.dumps(line) + "\n" for line in sorted(events + acts, key=lambda line: line["at_ns"])]


def from_lines(lines: Iterable[str]) -> History:
    """Return the history of a file's lines. Of every run the first and the last beat are left: enough to judge by."""
    events: list[Event] = []
    beats: list[Beat] = []
    for line in map(json.loads, lines):
        if line["kind"] == ACTED:
            ends = {line["at_ns"], line["until_ns"]}
            beats += [Beat(at_ns, line["pid"], line["candidate"], line["token"]) for at_ns in ends]
        else:
            events.append(Event(**{"text": "", **line}))
    return History.of(events, beats)


def timeline(history: History, around: Sequence[int] = (), *, margin_ns: int = 1_000_000_000) -> list[str]:
    """Return lines for people, in seconds from the first event; of a long history what lies around these instants."""
    if not history.events and not history.beats:
        return []
    origin = min([event.at_ns for event in history.events[:1]] + [beat.at_ns for beat in history.beats[:1]])
    told: list[tuple[int, int, str]] = []
    for event in history.events:
        what = f"{event.kind}: {event.text}" if event.text else event.kind
        told.append((event.at_ns, event.at_ns, what))
    for run in runs(history.beats):
        who = f"{run.tenure.candidate} acts, token {run.tenure.token}, process {run.pid}"
        seconds = (run.last_ns - run.first_ns) / 1e9
        told.append((run.first_ns, run.last_ns, f"{who}, for {seconds:.3f} s until {(run.last_ns - origin) / 1e9:.3f}"))
    near = [
        line
        for line in sorted(told)
        if not around or any(line[0] - margin_ns <= at <= line[1] + margin_ns for at in around)
    ]
    return [f"{(first - origin) / 1e9:9.3f}  {text}" for first, _, text in near]
