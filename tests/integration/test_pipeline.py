"""A pipeline on a real terminal: COMMAND shares our process group, and its neighbours are none of our business."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import SHORT
from processes import children, lives
from terminal import (
    CTRL_C,
    CTRL_Z,
    Terminal,
    command_of,
    group_of,
    ready,
    state_of,
    stop_again_and_again,
    wait_job_stopped,
    wait_state,
)
from waiting import wait_until

NEIGHBOUR = "(trap 'echo neighbour=signalled' TERM INT QUIT HUP; cat >/dev/null; echo neighbour=ended)"


def assert_neighbour_was_left_alone(terminal: Terminal) -> None:
    terminal.wait_for("\nneighbour=ended")
    assert "\nneighbour=signalled" not in terminal.screen


def test_in_a_pipeline_the_command_shares_the_group_and_its_neighbour_is_never_signalled(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Neither by the stop signal nor by SIGKILL, whose first aim ignores the one and forks."""
    up = tmp_path / "up"
    script = f"trap : TERM QUIT; (trap : TERM QUIT; touch {up}; while :; do sleep 0.1; done) & wait; wait; wait; wait"
    terminal.run(f'{run} --stop-timeout 1s -- sh -c "{script}" | {NEIGHBOUR}')
    ready(up)
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    assert group_of(command) == group_of(supervisor) == terminal.foreground()
    assert group_of(terminal.guard()) == terminal.guard()
    os.kill(supervisor, signal.SIGQUIT)
    os.kill(supervisor, signal.SIGTERM)
    terminal.wait_for("command_gone.*killed=[1-9]")
    assert_neighbour_was_left_alone(terminal)
    assert_nothing_left(terminal)


def test_ctrl_c_in_a_pipeline_is_the_commands_own(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """It cleans up after SIGINT as if it ran alone: no stop signal in the middle of that."""
    up = tmp_path / "up"
    script = (
        "trap 'sleep 0.5; echo cleaned=up >&2; exit 3' INT; trap 'echo stop=signal >&2' TERM; "
        f"touch {up}; while :; do sleep 0.05; done"
    )
    terminal.run(f'{run} -- sh -c "{script}" | cat; echo exit=${{PIPESTATUS[0]}}')
    ready(up)
    terminal.wait_for("command_started")
    at = terminal.type(CTRL_C)
    terminal.wait_for("cleaned=up", after=at)
    terminal.wait_nothing_left()
    assert "stop=signal" not in terminal.screen[at:]
    at = terminal.run("echo exit=${PIPESTATUS[0]}")
    assert_nothing_left(terminal)


def test_ctrl_c_sent_to_us_alone_stops_the_command_of_a_pipeline(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """What the terminal has not sent it did not get."""
    terminal.run(f"{run} -- sleep 100 | cat")
    terminal.wait_for("command_started")
    os.kill(terminal.supervisor(), signal.SIGINT)
    terminal.wait_for("stop_asked")
    assert_nothing_left(terminal)


def test_ctrl_c_stops_a_command_that_has_left_the_group_of_its_pipeline(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The terminal does not reach it, and we do."""
    terminal.run(f"{run} -- setsid sleep 100 | cat")
    command = command_of(terminal)
    wait_until(lambda: group_of(command) == command, deadline=20, what="a session of the command's own")
    terminal.wait_for("command_started")
    terminal.type(CTRL_C)
    terminal.wait_for("stop_asked")
    assert_nothing_left(terminal)


def test_ctrl_z_stops_a_whole_pipeline(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """And `fg` continues it."""
    terminal.run(f"{run} -- cat | cat")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    for round_ in range(3):
        terminal.type(CTRL_Z)
        wait_job_stopped(terminal, supervisor, command)
        terminal.run("fg")
        terminal.wait_foreground(supervisor, "the pipeline")
        wait_state(supervisor, "SR")
        wait_state(command, "SR")
        at = terminal.run(f"line {round_}")
        terminal.wait_for(f"line {round_}\nline {round_}\n", after=at)
    terminal.type("\x04")
    assert_nothing_left(terminal)


@pytest.mark.parametrize("command", ["cat", "timeout 100 sleep 100"])
def test_ctrl_z_right_after_fg_stops_the_pipeline_again(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None], command: str
) -> None:
    """All of it: nothing that is on its way to the command continues it behind the user's back."""
    terminal.run(f"{run} -- {command} | cat")
    supervisor, first = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    if command.startswith("timeout"):  # it is to have left the pipeline's group, not to leave it some day
        wait_until(lambda: os.getpgid(first) == first, deadline=20, what="a group of its own")
    stop_again_and_again(terminal, supervisor, first)
    terminal.run("fg")
    terminal.wait_foreground(supervisor, "the pipeline")
    terminal.type(CTRL_C)
    assert_nothing_left(terminal)


def test_ctrl_z_stops_a_command_that_has_left_the_group_of_its_pipeline(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """`timeout` makes a group of its own, which the terminal does not reach."""
    terminal.run(f"{run} -- timeout 100 sleep 100 | cat")
    supervisor, timeout = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    sleep = wait_until(lambda: next(iter(children(timeout)), None), deadline=20, what="its child") or 0
    for _ in range(3):
        terminal.type(CTRL_Z)
        wait_job_stopped(terminal, supervisor, timeout, sleep)
        terminal.run("fg")
        terminal.wait_foreground(supervisor, "the pipeline")
        for pid in (supervisor, timeout, sleep):
            wait_state(pid, "SR")
    terminal.type(CTRL_C)
    assert_nothing_left(terminal)


def test_ctrl_z_leaves_a_command_that_has_left_the_session_leading(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The kernel does not stop it for a terminal's sake, so we do not stop either; Ctrl-C ends both."""
    log = tmp_path / "log"
    terminal.run(f"{run} -v {SHORT} -- setsid sleep 100 2>{log} | cat")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    wait_until(lambda: group_of(command) == command, deadline=20, what="a session of the command's own")
    wait_until(lambda: "event=command_started" in log.read_text(), deadline=20, what="the start")
    terminal.type(CTRL_Z)
    told = log.read_text().count("event=renewed ")
    wait_until(lambda: log.read_text().count("event=renewed ") >= told + 3, deadline=20, what="renewals")
    assert state_of(supervisor) in "SR"
    assert state_of(command) in "SR"
    terminal.type(CTRL_C)
    # Its neighbour was stopped.
    terminal.wait_foreground(terminal.leader.pid, "the shell")
    terminal.run("fg")
    assert_nothing_left(terminal)


def test_tostop_stops_nobody_in_the_foreground_job(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Neither tee nor the command; nor our log lines when the command alone is in the foreground."""
    terminal.stop_writers_in_the_background()
    terminal.run(f"{run} -- sh -c 'echo to-err >&2; echo to-tee' | tee /dev/null; echo exit=$?")
    terminal.wait_for("to-err\n")
    terminal.wait_for("to-tee\n")
    assert_nothing_left(terminal)
    at = terminal.run(f"{run} -v -- sh -c 'echo alone; exit 4'; echo exit=$?")
    terminal.wait_for("alone\n(.*\n)*.*command_gone(.*\n)*exit=4", after=at)
    assert_nothing_left(terminal)


def test_at_the_end_of_a_pipeline_the_command_reads_the_pipe(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """And the group is the one of a program that may have ended already."""
    terminal.run(f"echo from-pipe | {run} -- sh -c 'cat; exit 4'; echo exit=$?")
    terminal.wait_for("from-pipe\n(.*\n)*exit=4", after=0)
    assert_nothing_left(terminal)


def test_a_pipeline_in_the_background_that_reads_the_terminal_leaves_us_leading(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The terminal stops the whole group of the reader, but for us; `fg` continues all of it."""
    log = tmp_path / "log"
    terminal.run(f"{run} -v {SHORT} -- cat /dev/tty 2>{log} | cat &")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    wait_state(command, "T")
    told = log.read_text().count("event=renewed ")
    wait_until(lambda: log.read_text().count("event=renewed ") >= told + 14, deadline=40, what="renewals")
    assert state_of(supervisor) in "SR"
    terminal.run("fg")
    terminal.wait_foreground(supervisor, "the pipeline")
    at = terminal.run("at last")
    terminal.wait_for("at last\nat last\n", after=at)
    terminal.type("\x04")
    assert_nothing_left(terminal)


@pytest.mark.parametrize("victim", ["supervisor", "guard"])
def test_killed_in_a_pipeline_everything_of_the_command_is_ended_and_nobody_else(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None], victim: str
) -> None:
    """One by one: what shares its group is found among the descendants, and the neighbours are not."""
    up = tmp_path / "up"
    script = f"(trap : TERM; touch {up}; while :; do sleep 0.1; done) & wait"
    terminal.run(f"{run} --grace 1s -- sh -c '{script}' | {NEIGHBOUR}")
    ready(up)
    terminal.wait_for("command_started")
    os.kill(getattr(terminal, victim)(), signal.SIGKILL)
    assert_neighbour_was_left_alone(terminal)
    assert_nothing_left(terminal)


def test_a_pipeline_that_is_stopped_for_longer_than_the_lease_loses_only_the_command(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The neighbours stay stopped, and `fg` finds it lost."""
    up = tmp_path / "up"
    terminal.run(f"{run} {SHORT} -- bash -c 'trap : TERM; touch {up}; while :; do sleep 0.1; done' | {NEIGHBOUR}")
    ready(up)
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    wait_until(lambda: not lives(command), deadline=20, what="the end of the command")
    wait_state(supervisor, "T")
    at = terminal.run("fg")
    terminal.wait_for("outcome=lost", after=at)
    assert_neighbour_was_left_alone(terminal)
    assert_nothing_left(terminal)
