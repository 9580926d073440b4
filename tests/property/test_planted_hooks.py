"""Faults planted in what the core decides about hooks: the simulation has to find them, as those of the lease."""

import hook_plants
import pytest
from faults import Kind, Target
from hypothesis import strategies as st
from planted import Plant, assert_found
from scenarios import LONG, fault, scenarios
from simulation import Scenario, Simulation

_LEADER = (Target.LEADER,)
_ENDS = scenarios(fault(Kind.COMMAND_ENDS, Kind.LEAVE, Kind.RESIGN, targets=_LEADER, gaps=(0.5, 1.0)), hooked=True)

PLANTS: dict[str, tuple[Plant, st.SearchStrategy[Scenario], str]] = {
    "runs on-lost after the release": (hook_plants.runs_on_lost_after_the_release, _ENDS, "two commands act"),
    "starts the command after a failed on-elected": (
        hook_plants.starts_the_command_after_a_failed_on_elected,
        _ENDS,
        "without an on_elected that succeeded",
    ),
    "takes the end of a hook's first process for all of it": (
        hook_plants.takes_the_end_of_a_hooks_first_process_for_all_of_it,
        _ENDS,
        "two commands act",
    ),
    "lets hooks take their time": (hook_plants.lets_hooks_take_their_time, _ENDS, "took too long"),
    "lets on-lost outlive the lease": (
        hook_plants.lets_on_lost_outlive_the_lease,
        # The connection is lost while on-lost runs, or just before.
        scenarios(
            script=(
                fault(Kind.COMMAND_ENDS, Kind.PARTITION, targets=_LEADER, lasting=(2.5,), spices=(0,), gaps=(0.5,)),
                fault(Kind.PARTITION, targets=(Target.SAME,), lasting=(2.5,), spices=(0,), gaps=(0.005, 0.02)),
            ),
            timings=(LONG,),
            hooked=True,
        ),
        "too long|two commands act",
    ),
    "forgets on-lost for a dead supervisor": (
        hook_plants.forgets_on_lost_for_a_dead_supervisor,
        scenarios(fault(Kind.KILL_SUPERVISOR, targets=_LEADER, gaps=(0.5, 1.0)), hooked=True),
        "released without on_lost",
    ),
    "starts the command though asked to stop meanwhile": (
        hook_plants.starts_the_command_though_asked_to_stop_meanwhile,
        # While what on-elected has left behind is killed.
        scenarios(
            fault(Kind.LEAVE, targets=_LEADER, spices=(1,), gaps=(0.002, 0.005, 0.01, 0.015, 0.02, 0.03, 0.05)),
            timings=(LONG,),
            starts=(0.0,),
            hooked=True,
        ),
        "asked to leave",
    ),
}


@pytest.mark.parametrize("name", PLANTS)
def test_a_fault_planted_in_hooks_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """If this one is not found, the test of hooks says less than it seems to."""
    plant, strategy, expected = PLANTS[name]
    plant(monkeypatch)

    def run(scenario: Scenario) -> None:
        Simulation(scenario).run()

    assert_found(strategy, run, expected)
