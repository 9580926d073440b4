"""README's program that leads by itself, as it stands there: what is printed is what is run."""

import contextlib
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from kazoo.client import KazooClient
from program import CHECKOUT, Program
from promise import candidates
from readme import readme_block
from waiting import wait_until
from zookeeper import Server


def reports_of(directory: Path) -> list[tuple[str, int]]:
    with contextlib.suppress(sqlite3.OperationalError), sqlite3.connect(directory / "reports.db") as reports:
        return reports.execute("SELECT text, token FROM report").fetchall()
    return []


def leader_program(directory: Path, hosts: str, election: str) -> Path:
    """Write README's program that leads by itself, with the test's election in it; return its file."""
    text = readme_block("# leader.py")
    assert '"zk1,zk2,zk3", "report"' in text
    file = directory / "leader.py"
    file.write_text(text.replace('"zk1,zk2,zk3", "report"', f'"{hosts}", "{election}"'))
    return file


def test_a_program_that_leads_by_itself(
    programs: Callable[..., Program], zookeeper: Server, kazoo_client: KazooClient, election: str, tmp_path: Path
) -> None:
    """Two of them: one works, and when it is told to end the other one works at once, with a greater token."""
    file = leader_program(tmp_path, zookeeper.hosts, election)
    settings = {"env": {"PYTHONPATH": str(CHECKOUT)}, "command": (sys.executable, str(file)), "cwd": tmp_path}
    first = programs(**settings)
    token = int(first.wait_for("^Leading", stream="stdout").partition("token=")[2].rstrip(")"))
    second = programs(**settings)
    second.wait_for(r"^Waiting\(rank=1\)", stream="stdout")
    wait_until(lambda: [row[1] for row in reports_of(tmp_path)] == [token], what="a report")
    first.signal(signal.SIGTERM)
    assert first.wait() == 0, first.report()
    second.wait_for("^Leading", stream="stdout", deadline=2)
    wait_until(lambda: reports_of(tmp_path)[0][1] > token, what="a later report")
    second.signal(signal.SIGTERM)
    assert second.wait() == 0, second.report()
    assert candidates(kazoo_client, election) == []
    assert (first.stderr, second.stderr) == ([], [])


def test_a_program_that_leads_by_itself_is_typed(tmp_path: Path) -> None:
    """As its users check it: strictly, and with our types."""
    file = leader_program(tmp_path, "127.0.0.1", "/e")
    file.write_text(file.read_text().replace("while True:", "reveal_type(election.campaign().states())\nwhile True:"))
    checked = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={CHECKOUT}/.mypy_cache", str(file)],
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    assert "zkleader.library.states.Waiting" in checked.stdout
