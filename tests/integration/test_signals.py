"""Signals to run, at any instant of its life: nothing is ever left behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from program import Program
from promise import assert_nothing_left, assert_promise, wait_acting
from waiting import wait_until
from zookeeper import Server

ENDING = [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT]


@pytest.mark.parametrize("number", ENDING)
def test_while_waiting_we_leave_the_queue_at_once_and_die_of_the_signal(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str, number: signal.Signals
) -> None:
    """A shell sees 128+n; the candidate is gone, so nobody waits for its session to expire."""
    first = candidate("a")
    wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    second.signal(number)
    assert second.wait(5) == -number
    second.assert_nothing_left(deadline=1)
    first.signal(signal.SIGTERM)
    first.wait()
    assert_nothing_left(first, second, client=kazoo_client, election=election)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_while_leading_the_command_is_stopped_in_order_and_its_status_is_ours(
    candidate: Candidate, kazoo_client: KazooClient, election: str, tmp_path: Path, number: signal.Signals
) -> None:
    """The stop signal, not ours, goes to the command, which may take its time and choose its status."""
    ready = tmp_path / "ready"
    script = f"trap 'sleep 0.3; exit 7' TERM; touch {ready}; while :; do sleep 0.05; done"
    program = candidate("a", command=("sh", "-c", script))
    wait_until(ready.exists, what="the command runs")
    program.signal(number)
    assert program.wait() == 7
    assert_nothing_left(program, client=kazoo_client, election=election)


def test_a_second_term_kills(candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str) -> None:
    """Who asks twice does not want to wait for the stop timeout (25 s)."""
    program = candidate("a", witness=("--ignore-term",))
    wait_acting(program, beats)
    program.signal(signal.SIGTERM)
    program.wait_for("event=command_stopping")
    program.signal(signal.SIGTERM)
    assert program.wait(5) == -signal.SIGKILL
    assert_nothing_left(program, client=kazoo_client, election=election)


def test_the_stop_timeout_bounds_an_orderly_stop_while_the_lease_is_renewed(
    candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Longer than the lease: renewing goes on, so nobody else acts meanwhile."""
    program = candidate("a", "--stop-timeout", "6s", witness=("--ignore-term",))
    wait_acting(program, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    program.signal(signal.SIGTERM)
    asked_at = time.monotonic()
    assert program.wait() == -signal.SIGKILL
    assert time.monotonic() - asked_at >= 6
    wait_acting(second, beats)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_promise(beats, tenures=2)
    assert_nothing_left(program, second, client=kazoo_client, election=election)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH, signal.SIGQUIT])
def test_other_signals_are_the_commands(candidate: Candidate, tmp_path: Path, number: signal.Signals) -> None:
    """A daemon under us is told to reload as if it ran alone."""
    ready = tmp_path / "ready"
    script = (
        "import signal,sys,pathlib,os;"
        f"signal.signal({int(number)}, lambda *_: (print('got it', flush=True), os._exit(4)));"
        f"pathlib.Path({str(ready)!r}).touch();"
        "[signal.pause() for _ in iter(int, 1)]"
    )
    program = candidate("a", command=(sys.executable, "-c", script))
    wait_until(ready.exists, what="the command runs")
    program.signal(number)
    assert program.wait() == 4
    assert program.stdout == ["got it"]


def test_what_was_ignored_stays_ignored(candidate: Candidate, tmp_path: Path, programs: Callable[..., Program]) -> None:
    """Nohup survives a hang-up, and so does its command."""
    ready = tmp_path / "ready"
    program = candidate("a", command=("sh", "-c", f"touch {ready}; sleep 2; exit 6"))
    program.close()
    del programs
    line = program.args
    nohup = Program(*line, command=("nohup", sys.executable, "-m", "zkleader"))
    try:
        wait_until(ready.exists, what="the command runs")
        nohup.signal(signal.SIGHUP)
        assert nohup.wait() == 6
    finally:
        nohup.close()


def test_ctrl_c_leaves_nothing(candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str) -> None:
    """A terminal signals our whole group; the guard, which must survive it, is in a group of its own."""
    program = candidate("a", witness=("--daemonise",))
    wait_acting(program, beats)
    program.signal_group(signal.SIGINT)
    assert program.wait() == -signal.SIGTERM
    assert_nothing_left(program, client=kazoo_client, election=election)


def test_a_tree_that_daemonises_is_gone_when_the_command_ends(
    candidate: Candidate, kazoo_client: KazooClient, election: str, beats: Path
) -> None:
    """What the first process leaves behind is ended; the status is still the command's."""
    witness = f"{sys.executable} -I -S {Path(__file__).parent.parent / 'witness.py'} {beats}"
    program = candidate("a", command=("sh", "-c", f"setsid {witness} & sleep 0.5; exit 9"))
    assert program.wait() == 9
    line = program.wait_for("event=command_gone")
    assert "signalled=1" in line
    assert_nothing_left(program, client=kazoo_client, election=election)


def test_a_signal_at_any_instant_leaves_nothing(
    programs: Callable[..., Program], zookeeper: Server, election: str, kazoo_client: KazooClient
) -> None:
    """From the first millisecond to the last: no process, no candidate, no control group, no traceback."""
    measured = programs("run", "-z", zookeeper.hosts, "-e", election, "sleep", "0.05")
    began = time.monotonic()
    assert measured.wait() == 0
    span = time.monotonic() - began
    steps = 40
    runs = []
    for step in range(steps):
        number = (signal.SIGTERM, signal.SIGINT)[step % 2]
        program = programs("run", "-z", zookeeper.hosts, "-e", election, "sleep", "0.05", bound=False)
        due = program.started_at + span * step / steps
        while time.monotonic() < due:
            pass
        program.signal(number)
        code = program.wait()
        # Before our first instruction Python itself may end with a KeyboardInterrupt: only what comes after is ours.
        was_python = any(line.endswith("KeyboardInterrupt") for line in program.stderr)
        assert code in (0, -signal.SIGTERM, -number) or was_python, program.report()
        assert not any("zkleader/" in line for line in program.stderr), program.report()
        runs.append(program)
    assert_nothing_left(*runs, client=kazoo_client, election=election)


def test_a_log_that_nobody_reads_does_not_block_the_command(
    candidate: Candidate, beats: Path, zookeeper: Server, election: str
) -> None:
    """Standard error a full pipe: lines are dropped, renewals go on."""
    del candidate
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    try:
        while True:
            os.write(writer, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(writer, True)
    witness = Path(__file__).parent.parent / "witness.py"
    line = ["run", "-v", "-z", zookeeper.hosts, "-e", election, "--lease", "2s", "-g", "200ms"]
    command = [sys.executable, "-I", "-S", str(witness), str(beats), "--lifetime", "5"]
    process = subprocess.Popen([sys.executable, "-m", "zkleader", *line, *command], stderr=writer)
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()
        os.close(reader)
        os.close(writer)
