"""Job control on a real terminal: a shell, keys, and everything that may go wrong between them.

Who may be frozen, killed or late at each step, and what must hold then:

- while COMMAND is put in the foreground: a Ctrl-Z of that instant stops COMMAND first, never us alone;
- COMMAND is stopped: a guard that tells it late, or not at all (killed: status 70), leaves renewing as it was;
- we are stopped, for longer than the lease or by SIGSTOP: the guard ends the stopped COMMAND in time and releases;
- we are killed while COMMAND is in the foreground: the guard ends it, the shell takes the terminal;
- we are continued late: 79, and what the guard said meanwhile stops nobody again;
- we are continued and Ctrl-Z is pressed once more, before the guard has heard of the first or told of the second: all
  are stopped again;
- the terminal goes away, at any of these.

A loop that is stopped is bash's, not dash's: a child of that one which is stopped between vfork() and exec leaves dash
unstoppable, with or without us.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import SHORT, Candidate
from kazoo.client import KazooClient
from processes import children, lives, look_at
from promise import assert_promise, candidates, wait_acting
from terminal import (
    CTRL_C,
    CTRL_Z,
    PROMPT,
    SHELLS,
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
from zookeeper import Server


def test_a_shell_as_command_is_the_foreground_job(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """It reads, has job control of its own, and Ctrl-C is its own affair."""
    terminal.run(f"{run} -- bash --norc --noprofile --noediting -i; echo exit=$?")
    command = command_of(terminal)
    terminal.wait_foreground(command, "the command")
    assert group_of(terminal.supervisor()) == terminal.supervisor()
    assert group_of(terminal.guard()) == terminal.guard()
    terminal.wait_for("command_started")
    terminal.run("echo inner=$((40 + 2))")
    at = terminal.wait_for("inner=42").end()
    terminal.run("sleep 100")
    sleeping = wait_until(lambda: next(iter(children(command)), None), deadline=20, what="a job of the command's") or 0
    terminal.wait_foreground(sleeping, "that job")
    # Until it has executed, bash's own child may ignore Ctrl-Z.
    wait_until(lambda: "sleep 100" in str(look_at(sleeping)), deadline=20, what="sleep")
    at = terminal.type(CTRL_Z)
    terminal.wait_for("Stopped", after=at)
    terminal.wait_foreground(command, "the command")
    at = terminal.type(CTRL_C)
    terminal.wait_for(PROMPT, after=at)  # the terminal forgets what was typed before
    # "wait" returns at once while the killed job still counts as stopped, and "exit" then only warns.
    at = terminal.run('kill -9 %1; while [ "$(jobs -s)" ]; do :; done; echo inner=$((50 + 2))')
    terminal.wait_for("inner=52", after=at)
    terminal.run("exit 5")
    terminal.wait_for("exit=5", after=at)
    assert_nothing_left(terminal)


def test_the_command_finds_itself_in_the_foreground_from_its_first_instruction(terminal: Terminal, run: str) -> None:
    """Programs decide then whether they are interactive."""
    program = "import os; print('first=%s' % (os.tcgetpgrp(0) == os.getpgrp()))"
    terminal.run(f'{run} -- {sys.executable} -I -S -c "{program}"')
    terminal.wait_for("first=True")


def test_ctrl_c_while_waiting_leaves_the_queue(
    terminal: Terminal, run: str, candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """At once, with the status that a shell gives it."""
    wait_acting(candidate("a"), beats)
    terminal.run(f"{run} --id b -- true; echo exit=$?")
    terminal.wait_for("waiting  ")
    terminal.type(CTRL_C)
    terminal.wait_nothing_left()
    wait_until(lambda: len(candidates(kazoo_client, election)) == 1, what="one candidate left")
    at = terminal.run("echo exit=$?")
    terminal.wait_for("exit=130", after=at)


def test_ctrl_c_while_leading_ends_command_and_us(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """We die of what COMMAND has died of, so that a shell's loop around us ends."""
    terminal.run(f"{run} -- sleep 100")
    terminal.wait_foreground(command_of(terminal), "the command")
    terminal.wait_for("command_started")
    terminal.type(CTRL_C)
    assert_nothing_left(terminal)
    at = terminal.run("echo exit=$?")
    terminal.wait_for("exit=130", after=at)


def test_ctrl_c_breaks_a_run_off_that_is_due_once(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Only the command was told, and still the job is not done."""
    terminal.run(f"{run} --once-per 1h -- sleep 100")
    terminal.wait_foreground(command_of(terminal), "the command")
    terminal.wait_for("command_started")
    terminal.type(CTRL_C)
    assert_nothing_left(terminal)
    at = terminal.run(f"{run} --once-per 1h -- sh -c 'exit 7'; echo exit=$?")
    terminal.wait_for("exit=7", after=at)


@pytest.mark.parametrize("shell", SHELLS)
def test_ctrl_z_stops_both_and_fg_continues_both(
    open_terminal: Callable[..., Terminal], run: str, assert_nothing_left: Callable[[Terminal], None], shell: str
) -> None:
    """Again and again; and the command still reads what is typed."""
    terminal = open_terminal(*SHELLS[shell])
    terminal.run(f"{run} -- cat")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    at = 0
    for round_ in range(3):
        terminal.type(CTRL_Z)
        wait_job_stopped(terminal, supervisor, command)
        terminal.run("fg")
        terminal.wait_foreground(command, "the command")
        wait_state(command, "SR")
        wait_state(supervisor, "SR")
        at = terminal.run(f"line {round_}")
        terminal.wait_for(f"line {round_}\nline {round_}\n", after=at)
    terminal.type("\x04")
    assert_nothing_left(terminal)
    at = terminal.run("echo exit=$?")
    terminal.wait_for("exit=0", after=at)


def test_ctrl_z_right_after_fg_stops_both_again(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Before the guard has heard that the command runs again."""
    terminal.run(f"{run} -- cat")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    stop_again_and_again(terminal, supervisor, command)
    terminal.run("fg")
    terminal.wait_foreground(command, "the command")
    terminal.type("\x04")
    assert_nothing_left(terminal)


def test_a_command_that_is_started_again_is_a_job_as_well(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Whatever the first run was: Ctrl-Z stops the second one and us."""
    ran = tmp_path / "ran"
    script = f"if [ -e {ran} ]; then exec cat; else touch {ran}; exit 3; fi"
    terminal.run(f"{run} --restart on-failure --restart-delay 50ms -- sh -c '{script}'")
    supervisor = terminal.supervisor()
    at = terminal.wait_for("command_restarting").end()
    terminal.wait_for("command_started", after=at)
    command = command_of(terminal)
    terminal.wait_foreground(command, "the command")
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    terminal.run("fg")
    terminal.wait_foreground(command, "the command")
    wait_state(supervisor, "SR")
    at = terminal.run("a line")
    terminal.wait_for("a line\na line\n", after=at)
    terminal.type("\x04")
    assert_nothing_left(terminal)


def test_bg_continues_both_in_the_background(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The shell keeps the terminal."""
    beating = tmp_path / "beating"
    terminal.run(f"{run} -- bash -c 'while :; do touch {beating}; sleep 0.05; done'")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    ready(beating)
    terminal.wait_for("command_started")
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    terminal.run("bg")
    wait_state(supervisor, "SR")
    beating.unlink()
    ready(beating)
    assert terminal.foreground() == terminal.leader.pid
    at = terminal.run("kill %1; wait %1; echo exit=$?")
    terminal.wait_for("exit=143", after=at)
    assert_nothing_left(terminal)


def test_stopped_for_longer_than_the_lease_leadership_is_lost_and_fg_finds_79(
    terminal: Terminal,
    run: str,
    candidate: Candidate,
    beats: Path,
    assert_nothing_left: Callable[[Terminal], None],
) -> None:
    """The stopped command is gone in time, though nobody but the guard runs; another leads meanwhile."""
    witness = Path(__file__).parent.parent / "witness.py"
    terminal.run(f"{run} {SHORT} --id a -- {sys.executable} -I -S {witness} {beats} --ignore-term")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    wait_until(lambda: beats.exists() and beats.stat().st_size > 0, deadline=20, what="the command acts")
    terminal.wait_for("command_started")
    second = candidate("b")
    second.wait_for("event=waiting ")
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    wait_acting(second, beats, deadline=30)
    assert not lives(command)
    wait_state(supervisor, "T")
    assert_promise(beats, tenures=2)
    at = terminal.run("fg; echo exit=$?")
    terminal.wait_for("exit=79", after=at)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_nothing_left(terminal)


def test_ctrl_z_while_waiting_stops_us_and_fg_goes_on_waiting(
    terminal: Terminal, run: str, candidate: Candidate, beats: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Shorter than the session's time-out the place in the queue is kept, else another is taken."""
    first = candidate("a")
    wait_acting(first, beats)
    terminal.run(f"{run} --id b -- echo b-acts; echo exit=$?")
    terminal.wait_for("waiting  ")
    supervisor = terminal.supervisor()
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor)
    at = terminal.run("fg; echo exit=$?")
    terminal.wait_foreground(supervisor, "zkleader")
    wait_state(supervisor, "SR")
    first.signal(signal.SIGTERM)
    first.wait()
    terminal.wait_for("b-acts\n(.*\n)*exit=0", after=at, deadline=40)
    assert_nothing_left(terminal)


def test_with_input_from_a_file_the_command_is_apart_and_ctrl_z_stops_it_too(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The keys reach us alone."""
    terminal.run(f"{run} -- sleep 100 </dev/null")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    assert group_of(command) == command
    terminal.wait_foreground(supervisor, "zkleader")
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    terminal.run("fg")
    wait_state(command, "SR")
    wait_state(supervisor, "SR")
    terminal.type(CTRL_C)
    assert_nothing_left(terminal)


def test_in_the_background_the_terminal_stays_the_shells_and_a_reading_command_leaves_us_leading(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """It is stopped as any background job is; renewing goes on beyond the lease, and `fg` gives it the terminal."""
    log = tmp_path / "log"
    terminal.run(f"{run} -v {SHORT} -- cat 2>{log} &")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    wait_state(command, "T")
    wait_until(lambda: "event=command_halted" in log.read_text(), deadline=20, what="the warning")
    told = log.read_text().count("event=renewed ")
    # Every tenth of the lease: fourteen are more than a whole one.
    wait_until(lambda: log.read_text().count("event=renewed ") >= told + 14, deadline=40, what="renewals")
    assert state_of(supervisor) in "SR"
    assert terminal.foreground() == terminal.leader.pid
    terminal.run("fg")
    terminal.wait_foreground(command, "the command")
    wait_state(command, "SR")
    at = terminal.run("at last")
    terminal.wait_for("at last\nat last\n", after=at)
    terminal.type("\x04")
    assert_nothing_left(terminal)


def test_hanging_up_leaves_nothing(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Closing the window while the command leads, in the foreground."""
    terminal.run(f"{run} -- cat")
    command = command_of(terminal)
    terminal.wait_for("command_started")
    terminal.wait_foreground(command, "the command")
    terminal.hang_up()
    terminal.leader.wait(20)
    assert_nothing_left(terminal)


def test_hanging_up_on_a_stopped_job_leaves_nothing(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Nobody would ever continue it."""
    terminal.run(f"{run} -- cat")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    terminal.wait_for("command_started")
    terminal.type(CTRL_Z)
    wait_job_stopped(terminal, supervisor, command)
    terminal.hang_up()
    terminal.leader.wait(20)
    assert_nothing_left(terminal)


def test_nohup_survives_the_end_of_the_terminal(terminal: Terminal, run: str, tmp_path: Path) -> None:
    """SIGHUP that was ignored stays ignored, for us and for the command."""
    up, over, done = tmp_path / "up", tmp_path / "over", tmp_path / "done"
    script = f"touch {up}; while ! test -e {over}; do sleep 0.05; done; touch {done}"
    terminal.run(f'nohup {run} -- sh -c "{script}" </dev/null >/dev/null 2>&1 &')
    ready(up)
    supervisor = terminal.supervisor()
    terminal.hang_up()
    terminal.leader.wait(20)
    assert lives(supervisor)
    over.touch()
    ready(done)
    terminal.wait_nothing_left()


def test_nobody_could_continue_a_session_leader_so_ctrl_z_does_not_stop_it(
    open_terminal: Callable[..., Terminal], zookeeper: Server, election: str
) -> None:
    """As in `docker run -it` or `ssh -t`: stopped, it would lose leadership and never find out."""
    program = (sys.executable, "-m", "zkleader", "run", "-z", zookeeper.hosts, "-e", election, "--", "cat")
    terminal = open_terminal(*program)
    terminal.wait_for("command_started")
    for round_ in range(3):
        terminal.type(CTRL_Z)
        at = terminal.run(f"line {round_}")
        terminal.wait_for(f"line {round_}\nline {round_}\n", after=at)
    terminal.type("\x04")
    assert terminal.leader.wait(20) == 0
    terminal.wait_nothing_left()


def test_hanging_up_on_a_session_leader_leaves_nothing(
    open_terminal: Callable[..., Terminal], zookeeper: Server, election: str, kazoo_client: KazooClient
) -> None:
    """As in `ssh -t` when the connection goes away: no shell tells us, the kernel does."""
    program = (sys.executable, "-m", "zkleader", "run", "-z", zookeeper.hosts, "-e", election, "--", "cat")
    terminal = open_terminal(*program)
    terminal.wait_for("command_started")
    terminal.hang_up()
    terminal.leader.wait(20)
    terminal.wait_nothing_left()
    wait_until(lambda: not candidates(kazoo_client, election), what="no candidate left")


@pytest.mark.parametrize(("victim", "status"), [("supervisor", 137), ("guard", 70)])
def test_killed_with_the_command_in_the_foreground_the_shell_has_its_terminal_again(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None], victim: str, status: int
) -> None:
    """Whoever is left of the two ends the command; nothing of it reads what the user types next."""
    terminal.run(f"{run} -- sh -c 'trap : HUP TTIN TTOU; cat; cat; cat'")
    terminal.wait_for("command_started")
    terminal.wait_foreground(command_of(terminal), "the command")
    os.kill(getattr(terminal, victim)(), signal.SIGKILL)
    assert_nothing_left(terminal)
    at = terminal.run("echo exit=$?")
    terminal.wait_for(f"exit={status}", after=at)


def test_frozen_with_the_command_in_the_foreground_leadership_ends_in_time(
    terminal: Terminal, run: str, candidate: Candidate, beats: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """A SIGSTOP to the supervisor alone: the command goes on until its deadline, whoever has the terminal."""
    witness = Path(__file__).parent.parent / "witness.py"
    terminal.run(f"{run} {SHORT} --id a -- {sys.executable} -I -S {witness} {beats}")
    supervisor, command = terminal.supervisor(), command_of(terminal)
    wait_until(lambda: beats.exists() and beats.stat().st_size > 0, deadline=20, what="the command acts")
    second = candidate("b")
    second.wait_for("event=waiting ")
    os.kill(supervisor, signal.SIGSTOP)
    wait_acting(second, beats, deadline=30)
    assert not lives(command)
    assert_promise(beats, tenures=2)
    terminal.wait_foreground(terminal.leader.pid, "the shell")
    at = terminal.run("fg; echo exit=$?")
    terminal.wait_for("exit=79", after=at)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_nothing_left(terminal)


def test_a_frozen_guard_and_ctrl_z_end_in_status_70(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Nobody tells us that the command has stopped; its guard's silence is noticed all the same."""
    terminal.run(f"{run} {SHORT} -- cat")
    command = command_of(terminal)
    terminal.wait_for("command_started")
    os.kill(terminal.guard(), signal.SIGSTOP)
    terminal.type(CTRL_Z)
    wait_state(command, "T")
    terminal.wait_for("guard_silent")
    assert_nothing_left(terminal)
    at = terminal.run("echo exit=$?")
    terminal.wait_for("exit=70", after=at)


def test_ctrl_z_at_any_instant_of_the_start_is_undone_by_fg(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """Before there is a guard, while the command is put in the foreground, when it has just ended."""
    steps = 16
    for step in range(steps):
        before = terminal.run(f"{run} -- bash -c 'sleep 0.1; exit 6'; echo exit=$?")
        wait_until(lambda: terminal.foreground() != terminal.leader.pid, deadline=20, what="a job in the foreground")
        began = time.monotonic()
        while time.monotonic() < began + 0.7 * step / steps:
            pass
        terminal.type(CTRL_Z)
        status = terminal.wait_for(r"exit=(\d+)", after=before)
        if status[1] == "148":
            terminal.wait_foreground(terminal.leader.pid, "the shell")
            terminal.run("fg; echo exit=$?")
            status = terminal.wait_for(r"exit=(\d+)", after=status.end())
        assert status[1] == "6", step
        assert_nothing_left(terminal)


def test_hanging_up_while_waiting_leaves_the_queue(
    terminal: Terminal, run: str, candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """Nobody has to wait for the session to expire."""
    wait_acting(candidate("a"), beats)
    terminal.run(f"{run} --id b -- true")
    terminal.wait_for("waiting  ")
    terminal.hang_up()
    terminal.wait_nothing_left()
    wait_until(lambda: len(candidates(kazoo_client, election)) == 1, what="one candidate left")
