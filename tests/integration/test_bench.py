"""The benchmark runs at all: nobody should learn in the middle of an hour of measuring that it does not."""

import subprocess
import sys
from pathlib import Path

from bench.figures import read
from program import CHECKOUT


def test_a_round_is_taken_kept_and_compared(tmp_path: Path) -> None:
    """With the wire listened to. What it measures is nobody's business here: no test fails for being slow."""
    kept = tmp_path / "kept.json"
    line = [sys.executable, "tests/bench", "--rounds", "1", "--only", "start-cpu", "--only", "wire"]
    subprocess.run([*line, "--keep", kept], cwd=CHECKOUT, check=True, timeout=60, capture_output=True)
    figures = {figure.name: figure.samples for figure in read(kept.read_text())}
    assert figures["start-cpu"].keys() == {"zkleader", "kazoo"}
    # The release, the read of what was released, and the claim: the hand-over of the man page's TIMING.
    assert figures["handover-requests"]["zkleader"][0] >= 3
    again = subprocess.run(
        [*line[:-2], "--compare", kept], cwd=CHECKOUT, check=True, timeout=60, capture_output=True, text=True
    )
    assert "ratio" in again.stdout.splitlines()[-3]
