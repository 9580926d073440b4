"""Figures: what was measured, of whom, as lines of a table; kept as JSON, and compared with a kept one; pure.

Owns medians and ratios. Knows nothing of how anything is measured. Ours comes first in a figure; the others are what it
is held against.
"""

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

NEVER = float("inf")
FORMAT = 1
WIDTHS = (22, 6, 10, 5, 10, 10, 8)
HEADS = ("figure", "unit", "of", "n", "median", "p99", "ours is")


class Figure(NamedTuple):
    """One figure: its unit, and the values of each that it was measured of, in the order in which they were taken."""

    name: str
    unit: str
    samples: Mapping[str, Sequence[float]]


def p99(values: Iterable[float]) -> float:
    """Return the 99th percentile by nearest rank: the greatest as long as there are fewer than a hundred."""
    ordered = sorted(values)
    return ordered[-(-99 * len(ordered) // 100) - 1]


def ratio(value: float, base: float) -> float | None:
    """Return how many times the base a value is; None where that says nothing."""
    return value / base if 0 < base < NEVER and value < NEVER else None


def shown(value: float) -> str:
    """Return a number as short as it is still telling."""
    if value == NEVER:
        return "never"
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def shown_ratio(value: float | None) -> str:
    """Return a ratio as it stands in a table."""
    return "-" if value is None else f"x{value:.2f}"


def line(*cells: object) -> str:
    """Return a line of the table."""
    padded = [f"{cell:<{width}}" for cell, width in zip(cells[:3], WIDTHS[:3], strict=False)]
    padded += [f"{cell:>{width}}" for cell, width in zip(cells[3:], WIDTHS[3:], strict=False)]
    return "".join(padded).rstrip()


def table(figure: Figure) -> list[str]:
    """Return the lines of a figure: one for each that it was measured of; what ours is of the others', as a ratio."""
    lines = []
    ours: float | None = None
    for place, (name, values) in enumerate(figure.samples.items()):
        if not values:
            continue
        middle = statistics.median(values)
        against = "" if ours is None else shown_ratio(ratio(ours, middle))
        ours = middle if ours is None else ours
        head = (figure.name, figure.unit) if place == 0 else ("", "")
        lines.append(line(*head, name, len(values), shown(middle), shown(p99(values)), against))
    return lines


def kept(figures: Iterable[Figure]) -> str:
    """Return figures as they are kept."""
    return json.dumps({"format": FORMAT, "figures": [figure._asdict() for figure in figures]}, indent=1)


def read(text: str) -> list[Figure]:
    """Return kept figures.

    Raises:
        ValueError: these are none.
    """
    try:
        content = json.loads(text)
        if content["format"] != FORMAT:
            raise ValueError(f"kept figures have format {content['format']}, and this benchmark reads {FORMAT}")
        return [
            Figure(str(one["name"]), str(one["unit"]), {name: [*map(float, v)] for name, v in one["samples"].items()})
            for one in content["figures"]
        ]
    except (KeyError, TypeError, AttributeError):
        raise ValueError("these are no kept figures") from None


def compared(now: Iterable[Figure], then: Iterable[Figure]) -> list[str]:
    """Return the lines that hold this run against a kept one: medians, and how many times the kept one each is.

    What only one of the two has is left out, and so is what is measured in another unit.
    """
    before = {(figure.name, figure.unit): figure.samples for figure in then}
    lines = [line("figure", "unit", "of", "", "kept", "now", "ratio")]
    for figure in now:
        old = before.get((figure.name, figure.unit), {})
        for name, values in figure.samples.items():
            if values and old.get(name):
                middle, middle_then = statistics.median(values), statistics.median(old[name])
                change = shown_ratio(ratio(middle, middle_then))
                lines.append(line(figure.name, figure.unit, name, "", shown(middle_then), shown(middle), change))
    return lines
