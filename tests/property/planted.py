"""Whether a planted fault is found: the search that both tests of plants share."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from virtual_time import Violation

Plant = Callable[[pytest.MonkeyPatch], None]

MOST_EXAMPLES = 400
"""Scenarios in which a planted fault must be found; most need a few dozen."""


def assert_found(strategy: st.SearchStrategy[Any], run: Callable[[Any], None], expected: str) -> None:
    """Fail unless running one of the scenarios raises a violation whose text has one of the parts (between ``|``)."""
    told: list[str] = []

    def is_violated(scenario: object) -> bool:
        try:
            run(scenario)
        except Violation as violation:
            told.append(str(violation))
            return any(part in told[-1] for part in expected.split("|"))
        return False

    search = settings(
        max_examples=MOST_EXAMPLES,
        phases=[Phase.generate],  # one is enough; nobody has to read it
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    try:
        find(strategy, is_violated, settings=search, random=random.Random(1))
    except NoSuchExample:
        pytest.fail(f"not found in {MOST_EXAMPLES} scenarios; other violations: {set(told) or 'none'}")
