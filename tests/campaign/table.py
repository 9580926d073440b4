"""The table of scenarios by tools, made from histories that were kept. Pure, but for finding them.

A cell tells the milliseconds in which two leaders' commands acted, and what else befell those who had no part in it. It
is the judge of the scenario who decides both, the same for every tool.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from campaign import checker, history, runner
from campaign.checker import ALIVE_NS, Expectation, Paused, Undisturbed
from campaign.history import FAILED, STOPPING, History
from campaign.scenarios import SCENARIOS
from campaign.tools import TOOLS

NOT_PLAYED, NOT_APPLICABLE = "not run", "n/a"

DISTURBED = "disturbed"
"""Somebody stopped leading who had no need to."""
GOES_ON = "goes on"
"""Nobody took over, because the first leader led to the end."""
NOBODY = "nobody follows"
"""Nobody took over, and nobody led."""
FAILS = "fails"
"""It could not be played to its end: the tool did not what has to be before a fault."""

Histories = Mapping[tuple[str, str], Sequence[History]]
"""By the names of scenario and tool; one for each time that it was played."""


class Finding(NamedTuple):
    """What one history comes to."""

    overlap: float
    """Milliseconds."""
    is_open: bool
    """It had not ended when the campaign ended everything."""
    marks: tuple[str, ...]
    """What else is to be told."""

    def __str__(self) -> str:
        """As a cell."""
        figure = f"**{'≥ ' if self.is_open else ''}{self.overlap:.0f}**" if self.overlap else "0"
        return ", ".join((figure, *self.marks))


def find(given: History, expected: Expectation) -> Finding:
    """Judge a history."""
    verdict = checker.judge(given, expected)
    stopping_ns = next((event.at_ns for event in given.events if event.kind == STOPPING), 0)
    acting = {beat.tenure for beat in given.beats if beat.at_ns >= stopping_ns - ALIVE_NS}
    is_steady = not isinstance(expected, Undisturbed | Paused) and verdict.takeover is None
    marks = {
        DISTURBED: verdict.disturbed and not is_steady,
        # No blemish in itself: what one tool must not ride out, because it has to be gone in time, another may.
        GOES_ON: is_steady and bool(acting),
        NOBODY: is_steady and not acting,
        FAILS: any(event.kind == FAILED for event in given.events),
    }
    return Finding(
        overlap=verdict.overlap,
        is_open=any(overlap.earlier in acting for overlap in verdict.overlaps),
        marks=tuple(mark for mark, is_so in marks.items() if is_so),
    )


def cell(scenario: str, tool: str, histories: Histories) -> str:
    """Return a cell: the worst of what was played."""
    chosen = next(each for each in SCENARIOS if each.name == scenario)
    if TOOLS[tool].misses(chosen.needs):
        return NOT_APPLICABLE
    findings = [find(given, chosen.expected) for given in histories.get((scenario, tool), ())]
    return str(max(findings, key=lambda finding: (finding.overlap, len(finding.marks)))) if findings else NOT_PLAYED


def markdown(histories: Histories, tools: Sequence[str]) -> str:
    """Return the table of the scenarios that more than one has played, and a sum under it."""
    rows = [each.name for each in SCENARIOS if sum((each.name, tool) in histories for tool in tools) > 1]
    cells = {tool: [cell(row, tool, histories) for row in rows] for tool in tools}
    lines = [f"| overlap in ms | {' | '.join(tools)} |", "|---" * (len(tools) + 1) + "|"]
    lines += [f"| {row} | {' | '.join(cells[tool][place] for tool in tools)} |" for place, row in enumerate(rows)]
    obeying = [place for place, row in enumerate(rows) if "stubborn" not in row]
    obeyed = {tool: [cells[tool][place] for place in obeying] for tool in tools}
    lines.append(f"| **two acted at once** | {' | '.join(_count('**', cells[tool]) for tool in tools)} |")
    lines.append(f"| **the same, none stubborn** | {' | '.join(_count('**', obeyed[tool]) for tool in tools)} |")
    lines.append(f"| **disturbed without need** | {' | '.join(_count(DISTURBED, cells[tool]) for tool in tools)} |")
    return "\n".join(lines)


def _count(mark: str, cells: Sequence[str]) -> str:
    played = [each for each in cells if each not in (NOT_PLAYED, NOT_APPLICABLE)]
    return f"{sum(mark in each for each in played)} of {len(played)}"


def kept(directories: Iterable[Path]) -> Histories:
    """Return the histories that lie in directories of runs."""
    found: dict[tuple[str, str], list[History]] = {}
    for directory in directories:
        for scenario in SCENARIOS:
            for tool in TOOLS.values():
                file = runner.place(directory, scenario, tool) / "history.jsonl"
                if file.exists():
                    lines = file.read_text().splitlines()
                    found.setdefault((scenario.name, tool.name), []).append(history.from_lines(lines))
    return found
