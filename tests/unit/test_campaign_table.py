"""The table that README shows: a cell must say neither more nor less than its history."""

from campaign.checker import Takeover, Undisturbed
from campaign.history import FAILED, FAULT, STARTED, STOPPING, Event, History
from campaign.table import NOT_APPLICABLE, NOT_PLAYED, cell, find, markdown
from witness import Beat

MS = 1_000_000
STOP = Event(9000 * MS, STOPPING, "")
CUT = Event(2000 * MS, FAULT, "a cut", "a", 1, 6.0)
WITHIN = Takeover(6)


def acts(candidate: str, token: int, first: int, last: int) -> list[Beat]:
    return [Beat(at * MS, 100 + token, candidate, token) for at in range(first, last + 1, 10)]


def history(*beats: Beat, failed: bool = False) -> History:
    failures = [Event(8000 * MS, FAILED, "b never stood in the queue")] if failed else []
    return History.of([Event(0, STARTED, "a", "a"), CUT, STOP, *failures], beats)


KEPT = history(*acts("a", 7, 0, 3000), *acts("b", 9, 5500, 9000))
MET = history(*acts("a", 7, 0, 5750), *acts("b", 9, 5500, 9000))
FOR_EVER = history(*acts("a", 7, 0, 9100), *acts("b", 9, 5500, 9000))
ALONE = history(*acts("a", 7, 0, 3000))
STEADY = history(*acts("a", 7, 0, 9000))
CHANGED = history(*acts("a", 7, 0, 3000), *acts("b", 9, 3100, 9000))


def test_a_kept_promise_is_a_zero() -> None:
    """And how long the takeover took is no part of it."""
    assert str(find(KEPT, WITHIN)) == "0"
    assert str(find(STEADY, Undisturbed())) == "0"


def test_an_overlap_is_its_milliseconds() -> None:
    """Where it was cut short by the end of the play it is told as a lower bound: nobody would have ended it."""
    assert str(find(MET, WITHIN)) == "**250**"
    assert str(find(FOR_EVER, WITHIN)) == "**≥ 3600**"


def test_who_was_disturbed_or_not_followed_is_told() -> None:
    """A tool that stops whoever leads at every blink, or never starts another, would have zeros alone."""
    assert str(find(CHANGED, Undisturbed())) == "0, disturbed"
    assert str(find(ALONE, WITHIN)) == "0, nobody follows"
    assert str(find(STEADY, WITHIN)) == "0, goes on"
    again = history(*acts("a", 7, 0, 3000), *acts("b", 9, 5500, 6000), *acts("a", 11, 6100, 9000))
    assert str(find(again, WITHIN)) == "0, disturbed"


def test_what_could_not_be_played_is_no_success() -> None:
    """A history that breaks off proves nothing by what it lacks."""
    assert str(find(history(*acts("a", 7, 0, 9000), failed=True), Undisturbed())) == "0, fails"


def test_of_several_plays_the_worst_is_shown() -> None:
    """Playing until it looks good must not help."""
    assert cell("cut off", "zkleader", {("cut off", "zkleader"): [KEPT, MET, KEPT]}) == "**250**"


def test_what_was_not_played_and_what_cannot_be_differ() -> None:
    """Nobody is to take a gap for a success."""
    assert cell("cut off", "kazoo-lost", {}) == NOT_PLAYED
    assert cell("guard KILL", "kazoo-lost", {}) == NOT_APPLICABLE
    assert cell("wall clocks stepped", "etcdctl-lock", {}) == NOT_APPLICABLE


def test_the_table_has_a_row_for_what_can_be_compared_and_counts_what_was_played() -> None:
    """In the order of the scenarios, whoever was played first."""
    histories = {
        ("follower killed", "kazoo-lost"): [STEADY],
        ("follower killed", "zkleader"): [STEADY],
        ("cut off", "zkleader"): [KEPT],
        ("cut off", "kazoo-lost"): [FOR_EVER],
        ("cut off", "curator-session"): [ALONE],
        ("cut off, stubborn", "zkleader"): [KEPT],
        ("cut off, stubborn", "kazoo-lost"): [FOR_EVER],
        ("guard KILL", "zkleader"): [KEPT],
    }
    assert markdown(histories, ["zkleader", "kazoo-lost", "curator-session"]).splitlines() == [
        "| overlap in ms | zkleader | kazoo-lost | curator-session |",
        "|---|---|---|---|",
        "| cut off | 0 | **≥ 3600** | 0, nobody follows |",
        "| cut off, stubborn | 0 | **≥ 3600** | not run |",
        "| follower killed | 0 | 0 | not run |",
        "| **two acted at once** | 0 of 3 | 2 of 3 | 0 of 1 |",
        "| **the same, none stubborn** | 0 of 2 | 1 of 2 | 0 of 1 |",
        "| **disturbed without need** | 0 of 3 | 0 of 3 | 0 of 1 |",
    ]
