"""The benchmark's tables are what people judge by: a ratio the wrong way round would be believed."""

import pytest
from bench.figures import NEVER, Figure, compared, kept, p99, ratio, read, shown, table

START = Figure("start", "ms", {"zkleader": [120.0, 100.0, 110.0], "kazoo": [50.0, 55.0, 60.0]})


def test_ours_is_shown_as_so_many_times_the_other() -> None:
    """Of the medians, not of the means: one slow moment of the machine must not decide."""
    ours, peer = table(START)
    assert ours.split() == ["start", "ms", "zkleader", "3", "110.0", "120.0"]
    assert peer.split() == ["kazoo", "3", "55.0", "60.0", "x2.00"]


def test_a_tool_that_was_not_measured_has_no_line() -> None:
    """Where there is no etcd the others are still to be had."""
    assert len(table(Figure("start", "ms", {"zkleader": [1.0], "etcdctl": []}))) == 1


@pytest.mark.parametrize(("value", "base"), [(5.0, 0.0), (5.0, NEVER), (NEVER, 5.0), (5.0, -3.0)])
def test_there_is_no_ratio_where_it_would_say_nothing(value: float, base: float) -> None:
    """A loss that is told before the operator's answer is negative; a peer may never tell."""
    assert ratio(value, base) is None


def test_p99_is_by_nearest_rank() -> None:
    """Below a hundred values it is the greatest."""
    assert p99([3.0, 1.0, 2.0]) == 3.0
    assert p99(map(float, range(1, 201))) == 198.0


def test_numbers_are_shown_as_exactly_as_they_are_worth() -> None:
    """Never is a word, not a number."""
    assert [shown(value) for value in (0.123, 12.34, 1234.5, NEVER)] == ["0.12", "12.3", "1234", "never"]


def test_kept_figures_are_read_back() -> None:
    """What never came about is a value too."""
    figures = [START, Figure("loss", "ms", {"zkleader": [1.5], "kazoo": [NEVER]})]
    assert read(kept(figures)) == figures


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"format": 1, "figures": [{"name": "start"}]}', '{"format": 2}'])
def test_what_is_no_kept_figures_is_refused(text: str) -> None:
    """Before an hour is spent on measuring."""
    with pytest.raises(ValueError, match=r"figures|Expecting"):
        read(text)


def test_a_run_is_held_against_a_kept_one() -> None:
    """More than 1 is slower than it was, for each that both have measured in the same unit."""
    then = [Figure("start", "ms", {"zkleader": [55.0], "kazoo": [55.0]}), Figure("memory", "KiB", {"zkleader": [1.0]})]
    now = [START, Figure("memory", "MiB", {"zkleader": [1.0]}), Figure("new", "ms", {"zkleader": [1.0]})]
    head, ours, peer = compared(now, then)
    assert head.split() == ["figure", "unit", "of", "kept", "now", "ratio"]
    assert ours.split() == ["start", "ms", "zkleader", "55.0", "110.0", "x2.00"]
    assert peer.split() == ["start", "ms", "kazoo", "55.0", "55.0", "x1.00"]
