"""The promise, and its other half, over scenarios that Hypothesis chooses.

More of them: ``ZKLEADER_PROPERTY_EXAMPLES=5000 pytest tests/property``.
"""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from scenarios import EXAMPLES, PROFILE, RIDDEN_OUT, scenarios
from simulation import Scenario, Simulation

from zkleader.core.disconnect import OnDisconnect

# The default of every test is for those that wait for facts; a night of scenarios takes its night.
pytestmark = pytest.mark.timeout(60 + EXAMPLES)


@PROFILE
@given(scenarios(mixed=True))
def test_two_commands_never_act_at_once_and_somebody_leads_in_the_end(scenario: Scenario) -> None:
    """Whatever befalls hosts, network and ensemble: no overlap, rising tokens, an end in time, and life afterwards."""
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run()


@settings(PROFILE, max_examples=max(1, EXAMPLES // 2))
@given(scenarios(mixed=True, hooked=True))
def test_hooks_are_part_of_a_tenure(scenario: Scenario) -> None:
    """Those of one host never act beside anything of another; each runs in its turn, in time, before the release."""
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run()


@settings(PROFILE, max_examples=max(1, EXAMPLES // 3))
@given(scenarios(programs=True))
def test_programs_that_lead_by_themselves_take_part(scenario: Scenario) -> None:
    """Without a guard: what only the program can say is said late, or never, and still no two act at once."""
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run()


@settings(PROFILE, max_examples=max(1, EXAMPLES // 3))
@given(RIDDEN_OUT)
def test_a_leader_is_not_disturbed_without_need(scenario: Scenario) -> None:
    """A leader that stops at every hiccup of ZooKeeper is as useless as one that never does."""
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run_undisturbed()


@settings(PROFILE, max_examples=max(1, EXAMPLES // 2))
@given(scenarios(mixed=True, on_disconnect=(OnDisconnect.PAUSE, OnDisconnect.STOP)))
def test_in_doubt_a_command_stands_still_or_is_stopped(scenario: Scenario) -> None:
    """``--on-disconnect pause`` and ``stop``: the promise, and that nothing acts while its host is cut off or stuck."""
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run()


@settings(PROFILE, max_examples=max(1, EXAMPLES // 3))
@given(scenarios(mixed=True, hooked=True, on_disconnect=(OnDisconnect.PAUSE, OnDisconnect.STOP)))
def test_in_doubt_hooks_keep_their_order(scenario: Scenario) -> None:
    """On-elected stands still as the command does; on-lost runs all the same, and before the release."""
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run()


@settings(PROFILE, max_examples=max(1, EXAMPLES // 3))
@given(RIDDEN_OUT.map(lambda scenario: replace(scenario, on_disconnect=OnDisconnect.PAUSE)))
def test_a_leader_that_pauses_is_not_disturbed_without_need(scenario: Scenario) -> None:
    """It stands still for a while, and leads on in the same tenure."""
    simulation = Simulation(scenario)
    with simulation.timeline.told_if_broken():
        simulation.run_undisturbed()


@settings(PROFILE, max_examples=3)
@given(scenarios(least=5, mixed=True))
def test_a_scenario_is_a_history(scenario: Scenario) -> None:
    """What was found once must be found again: nothing but the scenario decides what happens."""
    first, second = Simulation(scenario), Simulation(scenario)
    first.run()
    second.run()
    assert first.timeline.trace == second.timeline.trace
