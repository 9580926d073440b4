"""Plays scenarios one after the other, and says what came of each."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from campaign import checker, memory, slow_link, wall_clock
from campaign.checker import Takeover, Verdict
from campaign.history import FAILED, timeline
from campaign.play import Play
from campaign.scenario import Scenario
from campaign.stage import Stage
from campaign.tools import Tool
from zkleader.guard import cgroup


class Outcome(NamedTuple):
    """What came of one scenario with one tool."""

    scenario: str
    tool: str
    verdict: Verdict
    expected: checker.Expectation
    broken: tuple[str, ...]
    """All that should not be: the verdict's, what was left behind, and why it could not be played."""
    seconds: float
    directory: Path


def why_not(scenario: Scenario, tool: Tool) -> str:
    """Return why a scenario cannot be played with a tool here, or an empty string."""
    if reason := tool.why_not() or tool.misses(scenario.needs):
        return reason
    machine = {
        "wall clock": wall_clock.why_not,
        "memory": memory.why_not,
        "slow link": slow_link.why_not,
        "control group": _why_no_control_group,
    }
    return next((reason for need, why_not in machine.items() if need in scenario.needs and (reason := why_not())), "")


def _why_no_control_group() -> str:
    try:
        cgroup.rehearse(freezes=True)
    except cgroup.NoControlGroupError as error:
        return str(error)
    return ""


def place(directory: Path, scenario: Scenario, tool: Tool) -> Path:
    """Return where what is kept of a scenario with a tool lies."""
    return directory / f"{scenario.name.replace(' ', '-').replace(',', '')}-{tool.name}"


def play(stage: Stage, scenario: Scenario, tool: Tool, directory: Path) -> Outcome:
    """Play a scenario, judge it, and keep its history and logs in a directory of its own."""
    directory = place(directory, scenario, tool)
    began = time.monotonic()
    broken: list[str] = []
    # A path that another run has used would lend this one its beats.
    directory.mkdir(parents=True)
    with (
        stage.whole(),
        Play(
            stage,
            tool,
            directory,
            lease=scenario.lease,
            grace=scenario.grace,
            witness=scenario.witness,
            hooks=scenario.hooks,
            wrapper=scenario.wrapper,
            options=scenario.options,
            leaders=scenario.leaders,
        ) as running,
    ):
        try:
            scenario.act(running)
            running.end()
        except AssertionError as error:
            running.note(FAILED, f"{error}")
            broken.append(f"it could not be played: {error}")
        verdict = checker.judge(running.history, scenario.expected, scenario.leaders)
        broken += [*verdict.broken, *running.left]
        told = timeline(running.history)
    if broken:
        stage.keep_logs(directory)
    (directory / "timeline").write_text("\n".join(told) + "\n")
    return Outcome(
        scenario.name,
        tool.name,
        verdict,
        scenario.expected,
        tuple(broken),
        time.monotonic() - began,
        directory,
    )


def row(outcome: Outcome) -> str:
    """Return an outcome as a line of the table."""
    verdict, expected = outcome.verdict, outcome.expected
    takeover = "" if verdict.takeover is None else f"{verdict.takeover:.2f} s"
    bound = f"<= {expected.within:g}" if isinstance(expected, Takeover) else ""
    result = "good" if not outcome.broken else "BROKEN"
    figures = f"{verdict.overlap:>8.0f} ms {takeover:>9} {bound:>6} {outcome.seconds:>6.1f} s"
    return f"{outcome.tool:<16} {outcome.scenario:<52} {result:<7} {figures}"


def complaint(outcome: Outcome) -> str:
    """Return what is wrong with an outcome, with the history around it, and where the rest lies."""
    tokens = {name for overlap in outcome.verdict.overlaps for name in (overlap.earlier, overlap.later)}
    lines = [f"  {outcome.scenario}, {outcome.tool}:"]
    lines += [f"    {line}" for sentence in outcome.broken for line in sentence.splitlines()]
    if tokens:
        lines.append(
            f"    tenures concerned: {', '.join(f'{tenure.candidate} {tenure.token}' for tenure in sorted(tokens))}"
        )
    lines.append("    what happened (seconds):")
    lines += [f"      {line}" for line in (outcome.directory / "timeline").read_text().splitlines()]
    lines.append(f"    history, beats and logs: {outcome.directory}")
    return "\n".join(lines)


def play_all(
    stage: Stage,
    scenarios: Iterable[Scenario],
    tool: Tool,
    directory: Path,
) -> list[Outcome]:
    """Play scenarios with a tool; tell of each as it ends."""
    outcomes = []
    for scenario in scenarios:
        if reason := why_not(scenario, tool):
            print(f"{tool.name:<16} {scenario.name:<52} skipped: {reason}", flush=True)
            continue
        outcome = play(stage, scenario, tool, directory)
        print(row(outcome), flush=True)
        if outcome.broken and tool.ends_clean:
            print(complaint(outcome), flush=True)
        outcomes.append(outcome)
    return outcomes
