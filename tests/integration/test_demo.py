"""`zkleader demo` as a user has it: the whole show into a pipe, and its end in the middle.  Nothing may be left."""

import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from program import Program
from waiting import wait_until

from zkleader.demo.faults import FAULTS
from zkleader.exit_status import ExitStatus

START_DEADLINE = 40.0  # of a server, on a loaded machine
FAULT_DEADLINE = 30.0
SLEEPER = ("sh", "-c", "echo I act; exec sleep 1000")


@pytest.fixture
def show(programs: Callable[..., Program], tmp_path: Path) -> Callable[..., Program]:
    """Give `show(*arguments, env=)`: the demonstration, whose temporary files go below the test's directory."""

    def start(*arguments: str, env: dict[str, str | None] | None = None, **options: object) -> Program:
        settings = {"TMPDIR": str(tmp_path), "PYTHONUTF8": "1", "COLUMNS": None, **(env or {})}
        return programs("demo", *arguments, env=settings, **options)

    return start


def assert_nothing_left(program: Program, directory: Path, pids: set[int]) -> None:
    """No process, no file, and no control group of these pids."""
    program.assert_nothing_left(deadline=5)
    assert list(directory.iterdir()) == []
    roots = (Path("/sys/fs/cgroup/unified"), Path("/sys/fs/cgroup"))
    assert [leaf for root in roots for pid in pids for leaf in root.glob(f"**/zkleader-{pid}-*")] == []


def pids_of(program: Program) -> set[int]:
    return {process.pid for process in program.processes()}


def test_the_whole_show_has_a_good_verdict_and_leaves_nothing(show: Callable[..., Program], tmp_path: Path) -> None:
    """It is what a visitor sees first: five faults, five takeovers, no overlap, in plain lines."""
    program = show()
    program.wait_for("a leads", stream="stdout", deadline=START_DEADLINE)
    pids = pids_of(program)
    for fault in FAULTS:
        program.wait_for(fault.name.upper(), stream="stdout", deadline=FAULT_DEADLINE)
        pids |= pids_of(program)
    assert program.wait(FAULT_DEADLINE) == 0
    assert re.fullmatch(r"good: 5 takeovers, longest gap \d+\.\d\d s, overlap 0 ms", program.stdout[-1])
    assert program.stderr == []
    assert "\x1b" not in "".join(program.stdout)
    assert max(map(len, program.stdout)) < 80
    told = [int(token) for token in re.findall(r"leads, token (\d+)", "\n".join(program.stdout))]
    assert len(told) == 6
    assert told == sorted(told)
    assert_nothing_left(program, tmp_path, pids)


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (signal.SIGTERM, "A private"),  # the server serves, candidates are just starting
        (signal.SIGINT, "2/5 KILL"),  # a guard cleans up after its supervisor
        (signal.SIGINT, "3/5 FREEZE"),  # a supervisor is frozen
    ],
)
def test_a_signal_in_the_middle_leaves_nothing(
    show: Callable[..., Program], tmp_path: Path, number: int, line: str
) -> None:
    """Ctrl-C is how most shows end."""
    program = show()
    program.wait_for(line, stream="stdout", deadline=START_DEADLINE)
    pids = pids_of(program)
    program.signal(number)
    assert program.wait(20) == 128 + number
    assert program.stderr == []
    assert_nothing_left(program, tmp_path, pids)


def test_a_signal_while_the_server_starts_leaves_nothing(show: Callable[..., Program], tmp_path: Path) -> None:
    """Nobody waits for a server to come up who wants to leave."""
    program = show()
    wait_until(lambda: any("QuorumPeerMain" in process.command for process in program.processes()), deadline=20)
    program.signal(signal.SIGINT)
    assert program.wait(20) == 128 + signal.SIGINT
    assert_nothing_left(program, tmp_path, set())


def test_killed_it_leaves_no_process(show: Callable[..., Program]) -> None:
    """Nobody can clean up after SIGKILL but the kernel, and it does; only the temporary directory stays."""
    program = show()
    program.wait_for("a leads", stream="stdout", deadline=START_DEADLINE)
    program.signal(signal.SIGKILL)
    program.wait()
    program.assert_nothing_left(deadline=20)


def test_a_command_of_the_user_is_shown_and_judged(show: Callable[..., Program], tmp_path: Path) -> None:
    """People want to see what their own program goes through."""
    program = show("--", *SLEEPER)
    program.wait_for("a: I act", stream="stdout", deadline=START_DEADLINE)
    program.wait_for(r"b leads, token \d+, gap", stream="stdout", deadline=FAULT_DEADLINE)
    pids = pids_of(program)
    program.signal(signal.SIGTERM)
    assert program.wait(20) == 128 + signal.SIGTERM
    assert_nothing_left(program, tmp_path, pids)


def test_a_command_that_ends_by_itself_is_refused(show: Callable[..., Program], tmp_path: Path) -> None:
    """It leaves nothing to put a fault on; one line says so."""
    program = show("--", "true")
    assert program.wait(START_DEADLINE) == ExitStatus.USAGE
    [line] = program.stderr
    assert "COMMAND must run until it is stopped" in line
    assert_nothing_left(program, tmp_path, set())


def test_a_reader_that_has_seen_enough_ends_it(show: Callable[..., Program], tmp_path: Path) -> None:
    """`zkleader demo | head` must not go on without anybody to see it, nor complain."""
    pipeline = '"$0" -m zkleader "$@" | head -n 3; exit ${PIPESTATUS[0]}'
    program = show(command=("bash", "-c", pipeline, sys.executable))
    assert program.wait(START_DEADLINE) == 1
    assert program.stderr == []
    assert_nothing_left(program, tmp_path, set())


@pytest.mark.parametrize("env", [{"ZOOKEEPER_HOME": "/nowhere"}, {"PATH": "/nowhere", "JAVA_HOME": None}])
def test_without_a_server_one_line_says_how_to_get_it(
    show: Callable[..., Program], tmp_path: Path, env: dict[str, str | None]
) -> None:
    """The first thing that somebody without ZooKeeper sees."""
    program = show(env=env)
    assert program.wait(20) == ExitStatus.UNREACHABLE
    [line] = program.stderr
    assert line.startswith("zkleader: cannot ")
    assert "apt-get install" in line
    assert program.stdout == []
    assert_nothing_left(program, tmp_path, set())
