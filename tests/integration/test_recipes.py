"""README's recipes, as they stand there: what is printed is what is run."""

import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from candidate import Candidate
from program import CHECKOUT, Program
from promise import token_of, wait_acting
from zookeeper import Server

Programs = Callable[..., Program]
README = (CHECKOUT / "README.md").read_text()


def block(first_line: str) -> str:
    """Return the indented block of README that begins with this line, without its indentation."""
    found = re.search(rf"^    {re.escape(first_line)}\n(?:(?:    .*)?\n)*", README, flags=re.MULTILINE)
    assert found is not None, first_line
    return re.sub(r"^    ", "", found[0], flags=re.MULTILINE)


def test_a_store_refuses_an_old_leader(programs: Programs, zookeeper: Server, election: str, tmp_path: Path) -> None:
    """The recipe for SQL: two tenures in turn write, and what the first one sends late changes nothing."""
    text = block("# report.py")
    script, command = text.split("\nzkleader run -e report -- ")
    (tmp_path / "report.py").write_text(script)
    assert command.split() == ["python3", "report.py", "all", "is", "well"]
    tokens = []
    for words in (("first",), ("all", "is", "well")):
        program = programs(
            "run", "-v", "-z", zookeeper.hosts, "-e", election, "--", sys.executable, "report.py", *words, cwd=tmp_path
        )
        assert program.wait() == 0, program.report()
        tokens.append(token_of(program))
    with sqlite3.connect(tmp_path / "reports.db") as reports:
        assert reports.execute("SELECT text, token FROM report").fetchall() == [("all is well", tokens[1])]
    late = subprocess.run(
        [sys.executable, "report.py", "too", "late"],
        cwd=tmp_path, env={"ZKLEADER_TOKEN": str(tokens[0])}, capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert late.returncode == 1
    assert "a later leader has written this report" in late.stderr
    with sqlite3.connect(tmp_path / "reports.db") as reports:
        assert reports.execute("SELECT text FROM report").fetchall() == [("all is well",)]


def test_a_script_that_branches_on_the_exit_status(
    candidate: Candidate, zookeeper: Server, beats: Path, tmp_path: Path, election: str
) -> None:
    """The recipe for deployments: each status has its branch."""
    text = block("zkleader run -e deploy -w 10m -- ./deploy")
    (tmp_path / "zkleader").write_text(f'#!/bin/sh\nexec {sys.executable} -m zkleader "$@"\n')
    (tmp_path / "zkleader").chmod(0o755)
    text = text.replace("-e deploy -w 10m", f"-z {zookeeper.hosts} -e {election} -w 200ms")

    def said(deploy: str) -> str:
        (tmp_path / "deploy").write_text(f"#!/bin/sh\n{deploy}\n")
        (tmp_path / "deploy").chmod(0o755)
        environment = {"PATH": f"{tmp_path}:/usr/bin:/bin", "PYTHONPATH": str(CHECKOUT)}
        ended = subprocess.run(
            ["sh", "-c", text], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        return ended.stdout.strip()

    assert said("exit 0") == "deployed"
    assert said("exit 3") == "it failed"
    wait_acting(candidate("a"), beats)
    assert said("exit 0") == "another deployment takes longer than ten minutes"


def test_the_line_for_cron(programs: Programs, zookeeper: Server, election: str, tmp_path: Path) -> None:
    """As cron runs it: a small environment, no terminal, and no mail from a healthy job."""
    line = next(line for line in block("PATH=/usr/local/bin:/usr/bin:/bin").splitlines() if "zkleader run" in line)
    _, arguments = line.split("zkleader run ")
    options, command = arguments.split(" -- ")
    assert command == "backup"
    log = tmp_path / "log"
    hosts = ["-z", zookeeper.hosts, "-e", election]
    given = options.replace("-z zk1,zk2,zk3", "").split()
    for _ in range(5):
        program = programs("run", *hosts, *given, "--", "sh", "-c", f"echo ran >>{log}")
        assert program.wait() == 0
        assert (program.stdout, program.stderr) == ([], [])
    assert log.read_text() == "ran\n"
