"""The demonstration's verdict must be right before it is shown: overlaps planted on purpose, and none where is none."""

import pytest

from zkleader.demo.timeline import (
    LETTERS,
    SIGNS,
    Beats,
    Tenure,
    Verdict,
    event_line,
    gaps,
    header_line,
    judge,
    overlap,
    picture,
    wrapped,
)

GOOD = Verdict(takeovers=5, longest_gap=4.614, overlap=0, tokens_rise=True, wanted=5)


def tenures(*spans: tuple[int, float, float], host: str = "a") -> list[Tenure]:
    return [Tenure(token=token, first=first, last=last, host=host) for token, first, last in spans]


def test_tenures_one_after_the_other_do_not_overlap() -> None:
    """A false alarm in the one demonstration would be worse than none."""
    assert overlap(tenures((7, 0.0, 1.0), (9, 1.25, 2.0), (12, 6.0, 7.0))) == 0
    assert overlap([]) == 0


def test_a_planted_overlap_is_measured() -> None:
    """The figure that the project stands for."""
    assert overlap(tenures((7, 0.0, 1.5), (9, 1.25, 2.0))) == 0.25


def test_one_late_act_counts_with_its_whole_span() -> None:
    """A frozen leader that is resumed long after acts once; two successors are judged, not only the next."""
    assert overlap(tenures((1, 0.0, 9.0), (2, 1.0, 2.0), (3, 3.0, 4.0))) == 8.0


def test_the_order_in_which_tenures_are_given_does_not_matter() -> None:
    """Lines of several witnesses come in any order."""
    spans = tenures((9, 1.25, 2.0), (7, 0.0, 1.5))
    assert overlap(spans) == 0.25
    assert gaps(tenures((9, 1.5, 2.0), (7, 0.0, 1.25))) == [0.25]


def test_a_gap_is_from_last_act_to_first_act() -> None:
    """The other figure: how long nobody acted.  Where two acted at once there was none."""
    assert gaps(tenures((7, 0.0, 1.0), (9, 1.5, 2.0), (12, 1.75, 4.0))) == [0.5, 0.0]


def test_beats_become_tenures_in_whatever_pieces_they_come() -> None:
    """The file is read while it is written: a line may be there by half."""
    beats = Beats()
    beats.take(b"1000000000 7 a\n1500000000 7 a\n25000")
    assert beats.tenures() == tenures((7, 1.0, 1.5))
    beats.take(b"00000 9 b\nrubbish\n1 2\n")
    assert beats.tenures() == [*tenures((7, 1.0, 1.5)), *tenures((9, 2.5, 2.5), host="b")]


def test_an_overlap_planted_in_the_beats_reaches_the_verdict() -> None:
    """From the file to the line that is read."""
    beats = Beats()
    beats.take(b"1000000000 7 a\n1500000000 9 b\n1538000000 7 a\n1600000000 9 b\n")
    verdict = judge(beats.tenures(), wanted=1)
    assert not verdict.is_good
    assert verdict.line() == "BAD: 1 takeover, longest gap 0.00 s, overlap 38.000 ms"


def test_the_verdict_is_good_when_all_is_as_promised() -> None:
    """The line that people see."""
    verdict = judge(tenures((7, 0.0, 1.0), (9, 1.5, 2.0)), wanted=1)
    assert verdict.is_good
    assert verdict.line() == "good: 1 takeover, longest gap 0.50 s, overlap 0 ms"
    assert GOOD.line() == "good: 5 takeovers, longest gap 4.61 s, overlap 0 ms"


@pytest.mark.parametrize(
    ("flaw", "said"),
    [
        (GOOD.but(overlap=1e-6), "overlap 0.001 ms"),
        (GOOD.but(tokens_rise=False), "TOKENS DO NOT RISE"),
        (GOOD.but(takeovers=4), "5 WERE DUE"),
        (GOOD.but(left=2), "2 PROCESSES WERE LEFT"),
    ],
)
def test_whatever_is_wrong_is_said(flaw: Verdict, said: str) -> None:
    """A bad verdict that does not say why starts no report."""
    assert not flaw.is_good
    assert flaw.line().startswith("BAD: ")
    assert said in flaw.line()


def test_falling_tokens_are_seen() -> None:
    """A fenced store would take an old leader's write."""
    assert not judge(tenures((9, 0.0, 1.0), (7, 1.5, 2.0)), wanted=1).tokens_rise


@pytest.mark.parametrize("width", [0, 1, 20, 40, 80, 160])
def test_no_line_is_longer_than_the_terminal_is_wide(width: int) -> None:
    """Lines that the terminal folds are unreadable; below some width there is nothing to be done."""
    text = "SIGTERM to a's supervisor. It stops its command and releases: the next one starts at once."
    lines = event_line(12.3, "#||", text, width) + wrapped(GOOD.line(), width)
    lines += picture("abc", tenures((7, 0.0, 1.0)), LETTERS, end=30.0, width=width)
    assert max(map(len, lines)) <= max(24, width - 1)
    assert "".join("".join(line.split()) for line in event_line(12.3, "#||", text, 200)).endswith("atonce.")


def test_lanes_stand_below_their_hosts_and_go_on_in_every_line() -> None:
    """The columns are the picture."""
    header = header_line("abc")
    lines = event_line(2.1, "#|x", "word " * 20, 40)
    assert len(lines) > 2
    for line in lines:
        assert [line[header.rindex(host)] for host in "abc"] == ["#", "|", "x"]
    assert lines[0].startswith("  2.1  ")


def test_the_picture_is_filled_where_a_host_acted() -> None:
    """Two columns for each second here; a tenure too short for a column has one all the same."""
    spans = [*tenures((1, 0.0, 2.0)), *tenures((2, 3.0, 5.0), host="b"), *tenures((3, 7.2, 7.21), host="c")]
    rows = picture("abc", spans, SIGNS, end=10.0, width=25)
    assert rows == [
        "  a ████",
        "  b       ████",
        "  c               █",
        "    0" + "10 s".rjust(19),
    ]


def test_a_picture_of_nothing_is_empty() -> None:
    """Whoever stops at once has one too."""
    assert picture("a", [], LETTERS, end=1.0, width=25)[0] == "  a"
