"""The promise, and its other half, over scenarios that Hypothesis chooses.

More of them: ``ZKLEADER_PROPERTY_EXAMPLES=5000 pytest tests/property``.
"""

import pytest
from hypothesis import given, note, settings
from scenarios import EXAMPLES, PROFILE, RIDDEN_OUT, scenarios
from simulation import Scenario, Simulation

# The default of every test is for those that wait for facts; a night of scenarios takes its night.
pytestmark = pytest.mark.timeout(60 + EXAMPLES)


@PROFILE
@given(scenarios())
def test_two_commands_never_act_at_once_and_somebody_leads_in_the_end(scenario: Scenario) -> None:
    """Whatever befalls hosts, network and ensemble: no overlap, rising tokens, an end in time, and life afterwards."""
    simulation = Simulation(scenario)
    try:
        simulation.run()
    except Exception:
        note(simulation.timeline.told())
        raise


@settings(PROFILE, max_examples=max(1, EXAMPLES // 3))
@given(RIDDEN_OUT)
def test_a_leader_is_not_disturbed_without_need(scenario: Scenario) -> None:
    """A leader that stops at every hiccup of ZooKeeper is as useless as one that never does."""
    simulation = Simulation(scenario)
    try:
        simulation.run_undisturbed()
    except Exception:
        note(simulation.timeline.told())
        raise


@settings(PROFILE, max_examples=3)
@given(scenarios(least=5))
def test_a_scenario_is_a_history(scenario: Scenario) -> None:
    """What was found once must be found again: nothing but the scenario decides what happens."""
    first, second = Simulation(scenario), Simulation(scenario)
    first.run()
    second.run()
    assert first.timeline.trace == second.timeline.trace
