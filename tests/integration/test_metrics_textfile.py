"""--metrics-textfile on a real server: figures that follow the run, and a disk that does not matter to it."""

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import LEASE, Candidate
from kazoo.client import KazooClient
from program import Program
from prometheus_client.parser import text_string_to_metric_families
from promise import candidates, token_of, wait_acting
from waiting import wait_until
from zookeeper import Server

Programs = Callable[..., Program]


def figures(path: Path) -> dict[str, float]:
    """Return the values by name, as Prometheus reads them; nothing of them while there is no file."""
    if not path.exists():
        return {}
    families = text_string_to_metric_families(path.read_text())
    return {sample.name.removeprefix("zkleader_"): sample.value for family in families for sample in family.samples}


def test_figures_follow_a_run_and_its_successor(
    candidate: Candidate, beats: Path, tmp_path: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Who leads, for how long still, and how long a takeover took; in the end nobody does."""
    one, two = tmp_path / "one.prom", tmp_path / "two.prom"
    first = candidate("a", "--metrics-textfile", str(one))
    wait_acting(first, beats)
    wait_until(lambda: figures(one).get("renewals_confirmed_total", 0) >= 3, what="renewals")
    second = candidate("b", "--metrics-textfile", str(two))
    second.wait_for("event=waiting ")
    told = figures(one)
    assert (told["leader"], told["tenures_total"], told["renewals_failed_total"]) == (1, 1, 0)
    assert 0 < told["lease_end_timestamp_seconds"] - time.time() <= LEASE
    assert 0 <= time.time() - told["last_renewal_timestamp_seconds"] < LEASE
    assert figures(two)["leader"] == 0
    assert f'election="{election}",id="a"' in one.read_text()
    kazoo_client.delete(f"{election}/{candidates(kazoo_client, election)[0]}")
    assert first.wait() == 79
    wait_acting(second, beats)
    wait_until(lambda: figures(two).get("leader") == 1, what="the second one leads")
    assert 0 < figures(two)["last_takeover_seconds"] < LEASE
    assert (figures(one)["leader"], figures(one)["lease_end_timestamp_seconds"]) == (0, 0)
    second.signal(signal.SIGKILL)
    second.wait()
    told = figures(two)
    assert told["leader"] == 1, "killed, it could not say otherwise"
    assert told["lease_end_timestamp_seconds"] <= time.time() + LEASE, "but when that ends to be true it could"
    assert {path.name for path in tmp_path.iterdir()} == {"one.prom", "two.prom", "beats"}


HANGS = """
import threading, zkleader.whole_file as w, zkleader.__main__ as m
write = w.WholeFile.write
def hang(self, content, **how):
    if threading.current_thread().name == "metrics":
        threading.Event().wait()
    return write(self, content, **how)
w.WholeFile.write = hang
m.main()
"""
"""The program on a directory that hangs: nothing that is written there ever returns."""


def test_a_directory_that_hangs_costs_neither_leadership_nor_status(candidate: Candidate, tmp_path: Path) -> None:
    """Renewals go on, and the end is not held up for long."""
    program = candidate(
        "a", "--metrics-textfile", str(tmp_path / "a.prom"), "--result", str(tmp_path / "result"),
        "--lease", "2s", "--grace", "100ms",
        command=("sh", "-c", "sleep 2.5; exit 3"), program=(sys.executable, "-c", HANGS),
    )  # fmt: skip
    token_of(program)
    program.wait_for("event=command_ended")
    ended_at = time.monotonic()
    assert program.wait() == 3
    assert time.monotonic() - ended_at < 3
    assert (tmp_path / "result").exists()
    assert not (tmp_path / "a.prom").exists()


def test_a_directory_that_is_gone_is_a_warning(candidate: Candidate, beats: Path, tmp_path: Path) -> None:
    """Once; the run goes on."""
    directory = tmp_path / "metrics"
    directory.mkdir()
    program = candidate("a", "--metrics-textfile", str(directory / "a.prom"))
    wait_acting(program, beats)
    wait_until((directory / "a.prom").exists, what="the file")
    wait_until(lambda: _is_removed(directory), what="the directory is gone")
    line = program.wait_for("event=metrics_not_written", deadline=5)
    assert "no such file or directory" in line
    assert str(directory / "a.prom") in line
    seen = len(program.stderr)
    program.wait_for("event=renewed", after=seen)
    program.wait_for("event=renewed", after=len(program.stderr))
    program.signal(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM
    assert sum("metrics_not_written" in line for line in program.stderr) == 1


def _is_removed(directory: Path) -> bool:
    """Remove a directory in which a file may just be made."""
    for file in directory.iterdir():
        file.unlink(missing_ok=True)
    try:
        directory.rmdir()
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("", 64, "it is empty"),
        ("job.txt", 64, "does not end in .prom"),
        ("none/job.prom", 78, "no such file or directory"),
        ("directory.prom", 78, "not a regular file"),
    ],
)
def test_a_file_that_cannot_be_is_refused_before_anything_is_done(
    programs: Programs, zookeeper: Server, election: str, tmp_path: Path, path: str, status: int, reason: str
) -> None:
    """In one line, as with --result; and the result tells of it."""
    (tmp_path / "directory.prom").mkdir()
    file = str(tmp_path / path) if path else ""
    program = programs(
        "run", "-z", zookeeper.hosts, "-e", election, "--result", str(tmp_path / "result"),
        f"--metrics-textfile={file}", "--", "true",
    )  # fmt: skip
    assert program.wait() == status
    [line] = program.stderr
    assert reason in line
    assert line.startswith("zkleader: cannot ")
    assert f'"exit_status": {status}' in (tmp_path / "result").read_text()
