"""A run that found something must be run again: the plan of a seed is the same for ever."""

from campaign.plan import BEGIN, KINDS, LEASES, make_plan, may_meet

NAMES = ("a", "b", "c")


def test_a_seed_gives_the_same_plan_and_another_seed_another() -> None:
    """What is replayed is what was planned."""
    assert make_plan(7, 300, NAMES) == make_plan(7, 300, NAMES)
    assert make_plan(7, 300, NAMES) != make_plan(8, 300, NAMES)


def test_a_longer_run_begins_like_a_shorter_one() -> None:
    """So a seed that broke late can be looked at up to there."""
    short, long = make_plan(7, 60, NAMES), make_plan(7, 300, NAMES)
    assert long.steps[: len(short.steps)] == short.steps
    assert long.candidates == short.candidates


def test_a_plan_lies_within_its_run_and_its_faults_within_their_bounds() -> None:
    """Somebody leads before the first; the lengths are what the nemesis was made for."""
    for seed in range(50):
        plan = make_plan(seed, 300, NAMES)
        assert set(plan.candidates) == set(NAMES)
        assert all(settings.lease in LEASES for settings in plan.candidates.values())
        assert all(BEGIN <= step.at < 300 for step in plan.steps)
        assert [step.at for step in plan.steps] == sorted(step.at for step in plan.steps)
        for step in plan.steps:
            shortest, longest = KINDS[step.kind][1]
            assert shortest <= step.seconds <= longest


def test_a_handful_of_seeds_does_every_kind_of_fault() -> None:
    """A kind that is never drawn is one that nobody plays."""
    drawn = {step.kind for seed in range(10) for step in make_plan(seed, 300, NAMES).steps}
    assert drawn == set(KINDS)


def test_neither_process_running_is_not_promised_and_not_played() -> None:
    """But for the death of all at once; everything else may come together."""
    assert not may_meet("guard KILL", frozenset({"supervisor STOP"}))
    assert not may_meet("supervisor STOP briefly", frozenset({"cut off", "guard STOP"}))
    assert not may_meet("supervisor and guard STOP briefly", frozenset({"cut off"}))
    assert not may_meet("cut off", frozenset({"cut off"}))
    assert may_meet("host dies", frozenset({"supervisor STOP", "cut off"}))
    assert may_meet("guard STOP", frozenset({"cut off", "no descriptors, supervisor", "latency"}))
    assert may_meet("command KILL", frozenset({"supervisor STOP"}))
