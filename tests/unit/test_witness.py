"""The judge must be right before it is believed: overlaps planted on purpose, and none where there is none."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import witness
from processes import bound_to_us, kill_marked, marked
from waiting import wait_until
from witness import Beat, Overlap, Span, Tenure, beats_in, gaps, overlaps, read_beats, spans, tokens_rise

MS = 1_000_000


def beats(*acted: tuple[int, int, int], candidate: str = "a", step: int = 2) -> list[Beat]:
    """Return beats every `step` ms for spans of (token, first ms, last ms)."""
    return [
        Beat(at * MS, 1000 + token, candidate, token)
        for token, first, last in acted
        for at in range(first, last + 1, step)
    ]


def overlap(earlier: int, later: int, milliseconds: float) -> Overlap:
    """Return an overlap of two tenures of one candidate."""
    return Overlap(Tenure(earlier, "a"), Tenure(later, "a"), milliseconds)


def test_tenures_one_after_the_other_do_not_overlap() -> None:
    """A judge that sees an overlap where there is none would be switched off within a week."""
    assert overlaps(beats((7, 0, 100), (9, 102, 200), (12, 4000, 4100))) == []


def test_a_planted_overlap_is_measured_in_milliseconds() -> None:
    """The figure that the project stands for: an old leader that acts 38 ms into the next tenure."""
    assert overlaps(beats((7, 0, 100), (9, 62, 200))) == [overlap(7, 9, 38.0)]


def test_one_late_act_of_a_frozen_leader_counts_with_its_whole_span() -> None:
    """A process that is resumed after its lease acts once, between no two beats of the new leader's end."""
    assert overlaps(beats((7, 0, 100), (9, 3000, 3100), (7, 9000, 9000))) == [overlap(7, 9, 6000.0)]


def test_every_pair_is_judged_and_not_only_neighbours() -> None:
    """A daemonised leftover may outlive two successors."""
    found = overlaps(beats((1, 0, 500), (2, 100, 200), (3, 300, 400)))
    assert found == [overlap(1, 2, 400.0), overlap(1, 3, 200.0)]


def test_overlap_does_not_depend_on_the_order_of_the_beats() -> None:
    """Lines of several writers come in any order."""
    shuffled = beats((7, 0, 100), (9, 62, 200))[::-1]
    assert overlaps(shuffled) == [overlap(7, 9, 38.0)]


def test_one_token_in_two_hands_is_a_broken_promise() -> None:
    """A fenced store would take the writes of both; lumped together they would look like one leader."""
    both = beats((7, 0, 100)) + beats((7, 50, 150), candidate="b")
    assert overlaps(both) == [Overlap(Tenure(7, "a"), Tenure(7, "b"), 50.0)]
    assert not tokens_rise(both)


def test_a_line_cut_off_by_a_kill_is_left_out() -> None:
    """SIGKILL may leave half a line at the end of the file; it proves nothing."""
    assert read_beats(["5 10 a 7\n", "6 10 a 7 term\n", "\n", "7 10 a\n", "8 10 a 7"]) == [
        Beat(5, 10, "a", 7),
        Beat(6, 10, "a", 7, terminated=True),
    ]


def test_tokens_must_rise() -> None:
    """A token that falls would let a fenced store take an old leader's write."""
    assert tokens_rise(beats((7, 0, 10), (9, 20, 30)))
    assert not tokens_rise(beats((9, 0, 10), (7, 20, 30)))
    assert tokens_rise([])


def test_gaps_are_from_last_act_to_first_act() -> None:
    """The other half of the promise: how long nobody acted."""
    assert gaps(beats((7, 0, 100), (9, 150, 200), (12, 900, 950))) == [50.0, 700.0]
    assert spans(beats((7, 0, 4), (9, 6, 8))) == [
        Span(0, 4 * MS, Tenure(7, "a")),
        Span(6 * MS, 8 * MS, Tenure(9, "a")),
    ]


def test_a_real_witness_with_forks_and_a_daemon_is_seen_and_found(tmp_path: Path) -> None:
    """Fault tests trust the witness: all its copies beat, SIGTERM does not end them, the mark finds them."""
    file = tmp_path / "beats"
    mark = f"witness-{os.getpid()}"
    command = [sys.executable, "-I", "-S", witness.__file__, str(file), "--ignore-term", "--daemonise", "--forks", "2"]
    process = subprocess.Popen(
        bound_to_us(*command),
        env={**os.environ, "ZKLEADER_TOKEN": "41", "ZKLEADER_ID": "host a", "TESTS_PROGRAM": mark},
        start_new_session=True,
    )
    try:
        # Two after the double fork, and two forks of each.
        wait_until(lambda: len(_pids(file)) == 6, what="six processes that beat")
        assert len(marked(mark)) == 6
        for pid in marked(mark):
            os.kill(pid, signal.SIGTERM)
        before = len(file.read_text())
        wait_until(lambda: len(file.read_text()) > before + 6 * 100, what="beats after SIGTERM")
        assert {beat.tenure for beat in beats_in(file)} == {(41, "host_a")}
    finally:
        killed = kill_marked(mark)
        process.wait(5)
    assert len(killed) == 6
    assert marked(mark) == []


def test_a_witness_writes_down_its_sigterm_and_dies_of_it(tmp_path: Path) -> None:
    """The benchmark takes the instant of the stop signal from that line."""
    file = tmp_path / "beats"
    process = subprocess.Popen([sys.executable, "-I", "-S", witness.__file__, str(file), "--token", "5"])
    wait_until(lambda: file.exists() and len(file.read_text().splitlines()) > 5, what="beats")
    process.terminate()
    assert process.wait(5) == -signal.SIGTERM
    beats = beats_in(file)
    assert beats[-1].terminated
    assert not any(beat.terminated for beat in beats[:-1])


def test_a_witness_with_a_lifetime_ends_with_its_status(tmp_path: Path) -> None:
    """Clean hand-overs need a command that ends by itself, and a status to recognise."""
    command = [sys.executable, "-I", "-S", witness.__file__, str(tmp_path / "beats"), "--lifetime", "0.05"]
    assert subprocess.run([*command, "--status", "9"], check=False, timeout=10).returncode == 9


def test_a_witness_that_waits_for_a_file_ends_when_there_is_one(tmp_path: Path) -> None:
    """A slow host overtakes any lifetime: what has to stand before the end may then come after it."""
    beats, end = tmp_path / "beats", tmp_path / "end"
    command = [sys.executable, "-I", "-S", witness.__file__, str(beats), "--until", str(end), "--status", "9"]
    with subprocess.Popen(bound_to_us(*command)) as process:
        wait_until(lambda: len(beats_in(beats)) > 5, what="beats")
        assert process.poll() is None
        end.touch()
        assert process.wait(10) == 9


def _pids(file: Path) -> set[int]:
    return {beat.pid for beat in beats_in(file)}
