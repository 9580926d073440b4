"""zkleader as PID 1 of a PID namespace, as in a container: its statuses, its signals, and no zombies."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import Candidate
from container import CONTAINER, first_process, why_not
from kazoo.client import KazooClient
from processes import children, look_at
from program import Program
from promise import assert_promise, candidates, wait_acting
from waiting import wait_until

Contained = Callable[..., Program]

# Leaves behind what nobody waits for and what ends by itself, and goes on.
ORPHANS = "for _ in 1 2 3; do (sh -c 'sleep 0.2' & ); done; touch $0; exec sleep 60"


@pytest.fixture
def contained(candidate: Candidate) -> Contained:
    """Give `contained(...)`: a candidate that is PID 1; the program's own process is `unshare`, which ends as it."""
    if reason := why_not():
        pytest.skip(reason)

    def start(name: str, *options: str, **rest: object) -> Program:
        return candidate(name, *options, program=(*CONTAINER, sys.executable, "-m", "zkleader"), **rest)

    return start


def test_the_commands_status_is_ours(contained: Contained) -> None:
    """What `docker run` returns."""
    assert contained("a", command=("sh", "-c", "exit 7")).wait() == 7


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGUSR1])
def test_a_command_that_died_of_a_signal_is_told_as_a_shell_would(contained: Contained, number: signal.Signals) -> None:
    """PID 1 cannot die of a signal that it sends to itself: a container would end with 0, or not at all."""
    program = contained("a", command=("sh", "-c", f"kill -{int(number)} $$"))
    assert program.wait() == 128 + number


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_while_waiting_we_leave_at_once(
    contained: Contained, beats: Path, kazoo_client: KazooClient, election: str, number: signal.Signals
) -> None:
    """A container that is waiting need not be killed after its runtime's ten seconds."""
    first = contained("a")
    wait_acting(first, beats)
    second = contained("b")
    second.wait_for("event=waiting ")
    os.kill(first_process(second), number)
    assert second.wait(8) == 128 + number
    assert len(candidates(kazoo_client, election)) == 1


def test_told_to_end_while_leading_we_stop_the_command_and_the_next_one_acts(
    contained: Contained, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """`docker stop`, and a pod that is deleted: a hand-over, not a crash."""
    first = contained("a")
    wait_acting(first, beats)
    second = contained("b")
    second.wait_for("event=waiting ")
    os.kill(first_process(first), signal.SIGTERM)
    assert first.wait() == 128 + signal.SIGTERM
    first.wait_for("event=released")
    wait_acting(second, beats)
    os.kill(first_process(second), signal.SIGTERM)
    assert second.wait() == 128 + signal.SIGTERM
    assert_promise(beats, tenures=2)
    wait_until(lambda: not candidates(kazoo_client, election), what="no candidate left")
    first.assert_nothing_left(deadline=2)
    second.assert_nothing_left(deadline=2)


def test_what_the_command_orphans_is_reaped(contained: Contained, tmp_path: Path) -> None:
    """Nobody else in a container does it; a job that runs for a year would use up its process ids."""
    ready = tmp_path / "ready"
    program = contained("a", command=("sh", "-c", ORPHANS, str(ready)))
    wait_until(ready.exists, what="the orphans")
    first = first_process(program)

    def are_reaped() -> bool:
        processes = [process for pid in program.descendants() if (process := look_at(pid))]
        return all(process.state != "Z" and process.command != "sleep 0.2" for process in processes)

    wait_until(are_reaped, what="the orphans' end without a zombie")
    os.kill(first, signal.SIGTERM)
    assert program.wait() == 128 + signal.SIGTERM


def test_what_a_visitor_orphans_is_reaped(contained: Contained) -> None:
    """`docker exec` puts processes beside the command: their orphans are PID 1's own children, not the guard's."""
    program = contained("a", command=("sleep", "60"))
    program.wait_for("event=command_started ")
    first = first_process(program)
    own = set(children(first))
    visit = ("nsenter", f"--target={first}", "--pid", "sh", "-c", "sleep 0.2 & sleep 0.2 & echo left")
    assert subprocess.check_output(visit, timeout=20, stdin=subprocess.DEVNULL) == b"left\n"
    wait_until(lambda: set(children(first)) == own, what="the orphans' end without a zombie")
    os.kill(first, signal.SIGTERM)
    assert program.wait() == 128 + signal.SIGTERM


def test_a_guard_that_is_killed_leaves_nothing_of_the_command(contained: Contained, beats: Path) -> None:
    """Its orphans become ours, whatever else we are PID 1 for."""
    program = contained("a", witness=("--daemonise",))
    wait_acting(program, beats)
    [guard] = children(first_process(program))
    os.kill(guard, signal.SIGKILL)
    assert program.wait() == 70
    program.assert_nothing_left(deadline=2)
