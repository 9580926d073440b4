"""Several leaders: never more than may be, and never beside others that have another number."""

import leader_plants
import pytest
from faults import Fault, Kind, Target
from hypothesis import given, settings
from hypothesis import strategies as st
from planted import Plant, assert_found
from scenarios import EXAMPLES, LONG, PROFILE, alike, apart, fault, scenarios
from simulation import Scenario, Simulation

pytestmark = pytest.mark.timeout(60 + EXAMPLES)


@settings(PROFILE, max_examples=max(1, EXAMPLES // 4))
@given(scenarios(leaders=alike(2, 3), mixed=True))
def test_so_many_act_as_may_and_never_more(scenario: Scenario) -> None:
    """Whatever befalls them: no more commands act than may, and as many do when all is well again."""
    _run(scenario)


@settings(PROFILE, max_examples=max(1, EXAMPLES // 4))
@given(scenarios(leaders=apart(1, 2, 3)))
def test_hosts_that_disagree_never_act_beside_each_other(scenario: Scenario) -> None:
    """Those of one number act, or those of another; and some of them do."""
    _run(scenario)


def _run(scenario: Scenario) -> None:
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run()


_LEADER = (Target.LEADER,)
_ANYBODY = (Target.FIRST, Target.SECOND, Target.THIRD, Target.FOURTH)
_TWO = alike(2)
_GOING = fault(Kind.LEAVE, Kind.KILL_SUPERVISOR, Kind.EXPIRE, Kind.KILL_BOTH, targets=_ANYBODY)


def _ends(target: Target, gap: float) -> st.SearchStrategy[Fault]:
    return fault(Kind.COMMAND_ENDS, targets=(target,), gaps=(gap,))


PLANTS: dict[str, tuple[Plant, st.SearchStrategy[Scenario], str]] = {
    "claims whatever its rank": (
        leader_plants.claims_whatever_its_rank,
        scenarios(_GOING, leaders=_TWO, most=3),
        "claimed, but the queue is",
    ),
    "claims without looking at the statement": (
        leader_plants.claims_without_looking_at_the_statement,
        scenarios(_GOING, leaders=apart(2, 3), most=3),
        "several numbers|more than",
    ),
    "changes the statement alone": (
        leader_plants.changes_the_statement_alone,
        # One who waits for two leaders first, and has another number than they have; behind them one who has theirs.
        scenarios(
            script=(
                *(_ends(target, gap) for target, gap in zip(_ANYBODY, (0.5, 1.6, 0.3, 1.6), strict=True)),
                _ends(Target.SECOND, 1.6),
                _ends(Target.THIRD, 0.0),
            ),
            leaders=st.just((2, 3, 3, 3)),
            timings=(LONG,),
            sessions=(1.0,),
        ),
        "several numbers|more than",
    ),
    "changes the statement while others lead": (
        leader_plants.changes_the_statement_while_others_lead,
        scenarios(_GOING, leaders=apart(1, 2, 3)),
        "several numbers",
    ),
    "claims another slot while one is in doubt": (
        leader_plants.claims_another_slot_while_one_is_in_doubt,
        # A claim that is found too late, and by then the lower slot is free, with nobody else to claim it.
        scenarios(
            script=(
                fault(Kind.AMBUSH, targets=(Target.SECOND,), spices=(0,), gaps=(0.0,)),
                fault(Kind.FREEZE, targets=(Target.SECOND,), lasting=(0.65, 0.7, 0.75), gaps=(0.1,)),
                fault(Kind.COMMAND_ENDS, targets=(Target.FIRST,), gaps=(0.55, 0.6, 0.65)),
            ),
            leaders=st.just((2, 2)),
            timings=(LONG,),
            sessions=(1.0,),
            starts=(0.0,),
        ),
        "holds two slots",
    ),
    "counts the lapse of another slot": (
        leader_plants.counts_the_lapse_of_another_slot,
        scenarios(fault(Kind.PARTITION, Kind.EXPIRE, targets=_LEADER, lasting=(1.5,)), leaders=_TWO, most=3),
        "more than 2",
    ),
    "takes a record made anew at its word": (
        leader_plants.takes_a_record_made_anew_at_its_word,
        scenarios(
            script=(
                fault(Kind.DELETE_RECORD, spices=(0,), gaps=(0.0, 0.5)),
                fault(Kind.LEAVE, targets=_ANYBODY, gaps=(0.0, 0.5)),
            ),
            leaders=apart(1, 2, 3),
            timings=(LONG,),
        ),
        "several numbers",
    ),
    "never lists again": (
        leader_plants.never_lists_again,
        # Of those ahead of the standby the first is gone, and not the one that it watches.
        scenarios(fault(Kind.KILL_BOTH, targets=(Target.FIRST, Target.SECOND)), leaders=_TWO, most=1, sessions=(1.0,)),
        "nobody leads",
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_planted_fault_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this one is not found, the tests above say less than they seem to."""
    plant, strategy, expected = PLANTS[name]
    plant(monkeypatch)
    assert_found(strategy, lambda scenario: Simulation(scenario).run(), expected)
