"""The judge of the campaign must be right before it is believed: every fault of a leader is planted, and found."""

from campaign.checker import Paused, Takeover, Unbounded, Undisturbed, judge, judge_long
from campaign.history import FAULT, HEALED, HEALING, STARTED, STOPPING, Event, History
from witness import Beat

MS = 1_000_000
PATIENCE = 6.0


def acts(candidate: str, token: int, first: int, last: int) -> list[Beat]:
    """Return the beats of a tenure, in milliseconds."""
    return [Beat(at * MS, 100 + token, candidate, token) for at in range(first, last + 1, 10)]


def started(at: int = 0) -> Event:
    return Event(at * MS, STARTED, "a", "a")


def stopping(at: int) -> Event:
    return Event(at * MS, STOPPING, "")


def fault(begin: int, end: int, *, candidate: str = "a", number: int = 1, harm: float = PATIENCE) -> list[Event]:
    return [
        Event(begin * MS, FAULT, "a fault", candidate, number, harm),
        Event(end * MS, HEALED, "a fault", candidate, number),
    ]


def test_a_takeover_in_time_is_good() -> None:
    """The clock starts at the fault, and stops when the next one acts."""
    beats = acts("a", 7, 0, 3000) + acts("b", 9, 5500, 9000)
    verdict = judge(History.of([*fault(2000, 7000), stopping(9000)], beats), Takeover(4))
    assert verdict.broken == ()
    assert verdict.takeover == 3.5
    assert verdict.overlap == 0


def test_a_takeover_that_is_late_or_does_not_come_is_told() -> None:
    """Safety alone would be had by a tool that never starts anything."""
    late = History.of([*fault(2000, 7000), stopping(9000)], acts("a", 7, 0, 3000) + acts("b", 9, 5500, 9000))
    assert judge(late, Takeover(3)).broken == ("the takeover took 3.50 s, and 3 s is the bound",)
    assert judge(late, Unbounded()).broken == ()
    never = History.of([*fault(2000, 7000), stopping(9000)], acts("a", 7, 0, 3000))
    assert "nobody took over" in judge(never, Unbounded()).broken


def test_a_clean_takeover_counts_from_the_last_act() -> None:
    """What the command took to end is its own affair."""
    history = History.of([*fault(2000, 2000), stopping(4000)], acts("a", 7, 0, 3000) + acts("b", 9, 3060, 4000))
    assert judge(history, Takeover(0.1, after_last_act=True)).broken == ()
    assert judge(history, Takeover(0.1)).broken != ()


def test_where_nobody_can_lead_the_end_of_the_fault_counts() -> None:
    """An ensemble needs the time that it needs until it serves again; from then on it is ours."""
    history = History.of([*fault(2000, 7000), stopping(12000)], acts("a", 7, 0, 3000) + acts("b", 9, 9000, 12000))
    assert judge(history, Takeover(2, after_healed=True)).broken == ()
    assert judge(history, Takeover(1.9, after_healed=True)).broken == (
        "the takeover took 2.00 s, and 1.9 s is the bound",
    )


def test_of_several_faults_the_last_before_the_takeover_counts() -> None:
    """A standby was frozen long before the leader was told to end."""
    events = [*fault(1000, 9000, candidate="b"), *fault(5000, 5000, number=2), *fault(8000, 8000, number=3)]
    history = History.of([*events, stopping(9000)], acts("a", 7, 0, 5000) + acts("b", 9, 6000, 9000))
    assert judge(history, Takeover(1)).takeover == 1.0


def test_an_overlap_is_broken_whatever_is_expected() -> None:
    """The one thing that must never be."""
    history = History.of([*fault(2000, 7000), stopping(9000)], acts("a", 7, 0, 5550) + acts("b", 9, 5500, 9000))
    for expected in (Undisturbed(), Takeover(60), Unbounded()):
        verdict = judge(history, expected)
        assert verdict.overlap == 50
        assert any("OVERLAP of 50.0 ms: a (token 7) acted after b (token 9)" in line for line in verdict.broken)


def test_of_two_leaders_two_may_act_and_a_third_after_one_of_them() -> None:
    """Whose tenures meet as they like; only one too many is broken."""
    both = acts("a", 7, 0, 3000) + acts("b", 9, 500, 9000)
    history = History.of([*fault(2000, 7000), stopping(9000)], both + acts("c", 8, 3060, 9000))
    verdict = judge(history, Takeover(2), leaders=2)
    assert (verdict.broken, verdict.takeover) == ((), 1.06)
    assert judge(history, Takeover(0.1, after_last_act=True), leaders=2).takeover == 0.06
    early = History.of([*fault(2000, 7000), stopping(9000)], both + acts("c", 10, 2950, 9000))
    verdict = judge(early, Takeover(2), leaders=2)
    assert verdict.overlap == 50
    assert verdict.broken == ("MORE THAN 2 for 50.0 ms: a (token 7) acted after c (token 10) had started",)


def test_of_two_leaders_the_other_one_is_not_disturbed() -> None:
    """Also where the first is rightly followed."""
    others = acts("a", 7, 0, 3000) + acts("c", 10, 3500, 9000)
    history = History.of([*fault(2000, 7000), stopping(9000)], others + acts("b", 9, 500, 6000))
    assert judge(history, Takeover(4), leaders=2).broken == ("another leader was disturbed, and had no need to be",)
    quiet = History.of([*fault(2000, 3000), stopping(9000)], acts("a", 7, 0, 9010) + acts("b", 9, 500, 6000))
    assert judge(quiet, Undisturbed(), leaders=2).disturbed


def test_tokens_that_fall_are_broken() -> None:
    """A fenced store would then take the writes of the old leader and refuse those of the new one."""
    history = History.of([*fault(2000, 7000), stopping(9000)], acts("a", 9, 0, 3000) + acts("b", 7, 5000, 9000))
    assert "tokens do not rise: [9, 7]" in judge(history, Unbounded()).broken


def test_a_leader_that_goes_on_is_undisturbed() -> None:
    """And the campaign's own end is no disturbance."""
    history = History.of([*fault(2000, 3000), stopping(9000)], acts("a", 7, 0, 9010))
    assert judge(history, Undisturbed()).broken == ()


def test_a_leader_that_stops_or_is_followed_was_disturbed() -> None:
    """The other half of the promise."""
    stops = History.of([*fault(2000, 3000), stopping(9000)], acts("a", 7, 0, 4000))
    followed = History.of([*fault(2000, 3000), stopping(9000)], acts("a", 7, 0, 4000) + acts("b", 9, 5000, 9000))
    for history in (stops, followed):
        verdict = judge(history, Undisturbed())
        assert verdict.disturbed
        assert verdict.broken == ("the leader was disturbed, and had no need to be",)


def test_the_next_leader_must_not_be_lost_as_well() -> None:
    """One fault is one takeover."""
    beats = acts("a", 7, 0, 3000) + acts("b", 9, 4000, 6000)
    for more in ([], acts("c", 12, 7000, 9000)):
        history = History.of([*fault(2000, 7000), stopping(9000)], beats + more)
        assert judge(history, Takeover(6)).broken == ("the next leader was disturbed, and had no need to be",)


def test_a_scenario_in_which_nobody_acts_proves_nothing() -> None:
    """An empty history has no overlap either."""
    assert "nobody ever acted" in judge(History.of([], []), Undisturbed()).broken


# Long runs. ----------------------------------------------------------------------------------------------------------


def long(events: list[Event], beats: list[Beat]) -> tuple[str, ...]:
    return judge_long(History.of([started(), *events], beats), patience=PATIENCE).broken


def test_a_leader_lost_under_a_harmful_fault_or_just_after_it_is_excused() -> None:
    """It is what the fault was for; and a takeover has its time."""
    beats = acts("a", 7, 500, 12000) + acts("b", 9, 15000, 30000)
    assert long([*fault(10000, 11000), stopping(30000)], beats) == ()


def test_a_leader_that_a_fault_ends_before_its_next_act_is_excused() -> None:
    """The last act of one that is killed at once comes before the fault, if only by a moment."""
    beats = acts("a", 7, 500, 9999) + acts("b", 9, 15000, 30000)
    assert long([*fault(10000, 11000), stopping(30000)], beats) == ()
    beats = acts("a", 7, 500, 9900) + acts("b", 9, 15000, 30000)
    assert long([*fault(10000, 11000), stopping(30000)], beats) != ()


def test_a_leader_lost_without_a_fault_is_not() -> None:
    """Nobody may be disturbed by nothing."""
    beats = acts("a", 7, 500, 12000) + acts("b", 9, 15000, 30000)
    assert long([stopping(30000)], beats) == ("a (token 7) was disturbed, and had no need to be",)
    # The fault was over for longer than its harm lasts.
    assert long([*fault(1000, 2000), stopping(30000)], beats) != ()


def test_what_befalls_a_standby_excuses_no_leader() -> None:
    """A fault concerns whom it is done to."""
    beats = acts("a", 7, 500, 12000) + acts("b", 9, 15000, 30000)
    assert long([*fault(10000, 11000, candidate="b"), stopping(30000)], beats) != ()


def test_a_harmless_fault_excuses_nobody_and_two_at_once_do() -> None:
    """Each has to be ridden out; of both together nothing was said."""
    beats = acts("a", 7, 500, 12000) + acts("b", 9, 15000, 30000)
    one = fault(10000, 11000, harm=0)
    assert long([*one, stopping(30000)], beats) != ()
    assert long([*one, *fault(10500, 12000, candidate="", number=2, harm=0), stopping(30000)], beats) == ()


def test_an_absence_of_leaders_without_a_reason_is_told() -> None:
    """After the last fault somebody has to lead within the bound."""
    beats = acts("a", 7, 500, 10000) + acts("b", 9, 30000, 40000)
    assert long([*fault(10000, 11000), stopping(40000)], beats) == ("nobody led from 17.00 to 30.00 s, for no reason",)
    assert long([*fault(10000, 24000), stopping(40000)], beats) == ()


def test_a_campaign_that_ends_without_a_leader_is_told() -> None:
    """All faults are healed by then."""
    assert long([*fault(10000, 11000), stopping(40000)], acts("a", 7, 500, 10000)) == (
        "nobody led from 17.00 to 40.00 s, for no reason",
    )


def test_overlaps_of_a_long_run_are_told() -> None:
    """Whatever was done."""
    beats = acts("a", 7, 500, 10100) + acts("b", 9, 10000, 40000)
    assert any("OVERLAP of 100.0 ms" in line for line in long([*fault(10000, 11000), stopping(40000)], beats))


def test_a_leader_that_stands_still_under_a_fault_and_goes_on_after_it_is_good() -> None:
    """Standing still is no disturbance: it leads on."""
    beats = acts("a", 7, 0, 3000) + acts("a", 7, 7500, 9000)
    history = History.of([*fault(2000, 7000), stopping(9000)], beats)
    assert judge(history, Paused(1.2, again_within=1)).broken == ()


def test_a_leader_that_acts_though_it_is_cut_off_is_told() -> None:
    """To the last of its acts, also when it has stood still for a while."""
    expected = Paused(1.2, again_within=1)
    for beats in (acts("a", 7, 0, 9000), acts("a", 7, 0, 2500) + acts("a", 7, 6000, 6010) + acts("a", 7, 7100, 9000)):
        (broken,) = judge(History.of([*fault(2000, 7000), stopping(9000)], beats), expected).broken
        assert "should have paused it" in broken


def test_a_leader_may_act_while_its_pause_is_being_mended() -> None:
    """The network is whole before whoever mends it has returned; before they began, it was not."""
    beats = acts("a", 7, 0, 3000) + acts("a", 7, 6950, 9000)
    for healing, count in ((6900, 0), (6960, 1)):
        events = [*fault(2000, 7000), Event(healing * MS, HEALING, "a fault", "a", 1), stopping(9000)]
        assert len(judge(History.of(events, beats), Paused(1.2, again_within=1)).broken) == count


def test_a_leader_that_does_not_go_on_in_time_is_told() -> None:
    """And one that is followed by another was disturbed."""
    events = [*fault(2000, 7000), stopping(9000)]
    late = acts("a", 7, 0, 3000) + acts("a", 7, 8500, 9000)
    (broken,) = judge(History.of(events, late), Paused(1.2, again_within=1)).broken
    assert "does not act 1 s after the end" in broken
    lost = acts("a", 7, 0, 3000) + acts("b", 9, 7100, 9000)
    assert judge(History.of(events, lost), Paused(1.2, again_within=1)).disturbed


def test_a_leader_that_acts_longer_than_its_policy_allows_is_told() -> None:
    """The lease would allow it, and the next one has waited for that."""
    history = History.of([*fault(2000, 7000), stopping(9000)], acts("a", 7, 0, 4500) + acts("b", 9, 6000, 9000))
    assert judge(history, Takeover(6, still_after=2.6)).broken == ()
    assert judge(history, Takeover(6, still_after=2.4)).broken == (
        "the leader acted for 2.50 s after the fault, and 2.4 s is the bound",
    )
