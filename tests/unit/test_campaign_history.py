"""The file of a history is what is left of a campaign: it must tell who did what, and not a beat too few."""

import json

from campaign.history import FAULT, HEALED, Event, History, from_lines, runs, timeline, to_lines
from witness import Beat, Tenure, overlaps, spans

MS = 1_000_000


def beats(pid: int, token: int, first: int, last: int) -> list[Beat]:
    return [Beat(at * MS, pid, "a", token) for at in range(first, last + 1, 2)]


def test_beats_of_a_process_are_one_run_until_it_pauses() -> None:
    """A process that was frozen shows as two; two processes of one command are two as well."""
    found = runs(beats(10, 7, 0, 100) + beats(11, 7, 0, 100) + beats(10, 7, 160, 200))
    assert [(run.pid, run.first_ns // MS, run.last_ns // MS, run.beats) for run in found] == [
        (10, 0, 100, 51),
        (11, 0, 100, 51),
        (10, 160, 200, 21),
    ]
    assert {run.tenure for run in found} == {Tenure(7, "a")}


def test_a_history_is_told_as_lines_of_json_in_order_of_time() -> None:
    """Whoever looks for what happened has it in one file."""
    events = [Event(50 * MS, FAULT, "a cut", "a", 1, 6.0), Event(150 * MS, HEALED, "a cut", "a", 1)]
    lines = [json.loads(line) for line in to_lines(History.of(events, beats(10, 7, 0, 100)))]
    assert [line["kind"] for line in lines] == ["acted", "fault", "healed"]
    assert lines[0] == {
        "at_ns": 0,
        "kind": "acted",
        "until_ns": 100 * MS,
        "pid": 10,
        "beats": 51,
        "token": 7,
        "candidate": "a",
    }


def test_a_history_that_is_read_back_is_judged_alike() -> None:
    """What was kept can be told as a table long after, or judged by a better judge."""
    events = [Event(50 * MS, FAULT, "a cut", "a", 1, 6.0), Event(150 * MS, HEALED, "", "a", 1)]
    acts = [*beats(10, 7, 0, 100), *beats(11, 9, 80, 300), *beats(12, 11, 300, 300)]
    history = History.of(events, acts)
    again = from_lines(to_lines(history))
    assert again.events == history.events
    assert spans(again.beats) == spans(history.beats)
    assert overlaps(again.beats) == overlaps(history.beats) != []


def test_the_timeline_of_a_long_history_shows_what_lies_around_an_instant() -> None:
    """Of five minutes, the second in which two met."""
    events = [Event(at * 1000 * MS, FAULT, f"number {at}", "a", at) for at in range(1, 60)]
    shown = timeline(History.of(events, beats(10, 7, 29_900, 30_100)), around=[30_000 * MS])
    assert [line.split(maxsplit=1)[1] for line in shown] == [
        "fault: number 29",
        "a acts, token 7, process 10, for 0.200 s until 29.100",
        "fault: number 30",
        "fault: number 31",
    ]
    assert timeline(History.of([], [])) == []
