"""The short form of the campaign: some of its scenarios, each as a test. The long form is a program, `__main__`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from campaign import hosts, runner
from campaign.scenario import Scenario
from campaign.scenarios import SCENARIOS, SHORT
from campaign.stage import Stage
from campaign.tools import ZKLEADER


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Hosts and a real ensemble on them, for all scenarios."""
    if reason := hosts.why_not():
        pytest.skip(f"no campaign: {reason}")
    with Stage() as stage:
        yield stage


@pytest.mark.parametrize("scenario", [pytest.param(each, id=each.name) for each in SCENARIOS if each.name in SHORT])
def test_scenario(stage: Stage, scenario: Scenario, tmp_path: Path) -> None:
    """No overlap, a takeover within its bound, nobody disturbed without need, nothing left behind."""
    if reason := runner.why_not(scenario, ZKLEADER):
        pytest.skip(reason)
    outcome = runner.play(stage, scenario, ZKLEADER, tmp_path)
    print(runner.row(outcome))
    assert not outcome.broken, runner.complaint(outcome)
