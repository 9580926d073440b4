"""The configuration file with the real program: what it says is what is done, and what README shows is what happens."""

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from program import CHECKOUT, Program
from readme import readme_block
from test_statuses import one_line
from zookeeper import Server

Programs = Callable[..., Program]
EXAMPLE = "# /etc/zkleader.toml"
"""How README's example begins."""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "zkleader.toml"


def write(file: Path, text: str) -> None:
    file.write_text(text)
    file.chmod(0o644)  # whatever the umask says


def test_readmes_example_is_what_is_done(
    programs: Programs, zookeeper: Server, election: str, file: Path, tmp_path: Path, kazoo_client: KazooClient
) -> None:
    """The servers are the file's, and the job runs once, because its table says so; another one runs each time."""
    name = election.rpartition("/")[2]
    text = readme_block(EXAMPLE).replace("zk1,zk2,zk3", zookeeper.hosts).replace("backup", name)
    write(file, text)
    log = tmp_path / "log"
    script = tmp_path / name
    script.write_text(f"#!/bin/sh\necho ran >>{log}\n")
    script.chmod(0o755)
    for _ in range(2):
        program = programs("run", "--", str(script), env={"ZKLEADER_CONFIG": str(file)})
        assert (program.wait(), program.stderr) == (0, [])
    assert log.read_text() == "ran\n"
    for _ in range(2):
        program = programs("run", "--config", str(file), "-e", f"{name}-2", "--", str(script))
        assert program.wait() == 0
    assert log.read_text() == "ran\n" * 3
    assert json.loads(kazoo_client.get(f"{election}/lease-0")[0])["lease_ms"] == 30_000


def test_readmes_output_is_what_is_printed(file: Path, tmp_path: Path) -> None:
    """To the letter, but for where the file is."""
    write(file, readme_block(EXAMPLE))
    call, *wanted = readme_block("$ zkleader run --print-config --grace 3s -- backup").rstrip("\n").split("\n")
    (tmp_path / "backup").symlink_to("/bin/true")
    ended = subprocess.run(
        [sys.executable, "-m", *call.removeprefix("$ ").split()],
        env={"PATH": str(tmp_path), "ZKLEADER_CONFIG": str(file), "PYTHONPATH": str(CHECKOUT)},
        capture_output=True, text=True, check=True, timeout=30,
    )  # fmt: skip
    assert ended.stdout.replace(str(file), "/etc/zkleader.toml").splitlines() == wanted
    assert ended.stderr == ""


def test_the_manual_page_has_the_same_example() -> None:
    """Whoever has only the page has the example too."""
    page = (CHECKOUT / "man" / "zkleader.toml.5").read_text()
    found = re.search(rf"^{EXAMPLE}\n.*?(?=^\.Ed)", page, flags=re.MULTILINE | re.DOTALL)
    assert found is not None
    assert found[0].strip() == readme_block(EXAMPLE).strip()


@pytest.mark.parametrize("election", ["mailer", "backup", "/apps/reports/leader"])
def test_the_example_file_is_accepted(programs: Programs, file: Path, election: str) -> None:
    """It is copied, and then changed line by line."""
    write(file, (CHECKOUT / "man" / "examples" / "zkleader.toml").read_text())
    program = programs("run", "--config", str(file), "--print-config", "-e", election)
    assert (program.wait(), program.stderr) == (0, [])
    assert [line for line in program.stdout if f" of {file}" in line and "[election." in line]


def test_printing_contacts_nobody(programs: Programs) -> None:
    """It is what one calls when ZooKeeper is away, and in a container that has no way there yet."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        hosts = f"127.0.0.1:{server.getsockname()[1]}"
        program = programs("run", "--print-config", "-z", hosts, "-e", "x", "sh", "-c", "echo no")
        assert program.wait() == 0
        assert f'hosts = "{hosts}"' in "\n".join(program.stdout)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('[run]\nleese = "5s"', "leese in [run]"),
        ('[run]\nlease = "90s"', "lease in [run]"),
        ("[run]\nnonblock = true\nwait = 5", "nonblock in [run]"),
        ("[run", "at"),
    ],
)
def test_a_file_that_is_wrong_is_78_and_one_line(programs: Programs, file: Path, text: str, wanted: str) -> None:
    """It does not become right by itself: systemd need not try again."""
    write(file, text)
    program = programs("run", "--config", str(file), "true")
    assert program.wait() == 78
    assert wanted in one_line(program)
    assert str(file) in one_line(program)


def test_a_refused_file_is_told_in_the_result(programs: Programs, file: Path, tmp_path: Path) -> None:
    """As far as the run has begun; whose fault it is decides the outcome's word."""
    result = tmp_path / "result"
    write(file, f'[run]\nresult = "{result}"\nlease = "90s"\n')
    assert programs("run", "--config", str(file), "true").wait() == 78
    told = json.loads(result.read_text())
    assert (told["outcome"], told["exit_status"]) == ("configuration", 78)
    assert told["reason"] == f"cannot use lease in [run] of {file}: 90s is not within 2s and 60s"
    assert programs("run", "--config", str(file), "--lease", "91s", "true").wait() == 64
    assert json.loads(result.read_text())["outcome"] == "usage"


def test_without_a_command_only_printing_is_possible(programs: Programs) -> None:
    """The same words as ever."""
    program = programs("run", "-n")
    assert program.wait() == 64
    assert one_line(program) == "zkleader: cannot use the command line: no command was given (see zkleader run --help)"


def test_what_is_printed_may_not_be_writable() -> None:
    """A full disk is one line."""
    with Path("/dev/full").open("wb") as full:
        command = [sys.executable, "-m", "zkleader", "run", "--print-config"]
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (
        1,
        "zkleader: cannot write to standard output: no space left on device\n",
    )
