"""Hooks on a real terminal: they are no part of the job, and neither stop nor upset it."""

from collections.abc import Callable
from pathlib import Path

from terminal import CTRL_C, CTRL_Z, Terminal, wait_state


def test_ctrl_c_while_on_elected_runs_ends_us(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The command never starts, on-lost runs, and the shell has the terminal."""
    lost = tmp_path / "lost"
    terminal.run(f"{run} --on-elected 'sleep 100' --on-lost 'touch {lost}' -- cat")
    terminal.wait_for("hook_started")
    terminal.type(CTRL_C)
    assert_nothing_left(terminal)
    at = terminal.run("echo exit=$?")
    terminal.wait_for("exit=130", after=at)
    assert lost.exists()


def test_ctrl_z_while_on_elected_runs_and_fg(
    terminal: Terminal, run: str, tmp_path: Path, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """The hook goes on, the command starts in the background, and after `fg` it reads from the terminal."""
    go = tmp_path / "go"
    terminal.run(f"{run} --on-elected 'until [ -e {go} ]; do sleep 0.05; done' -- cat")
    supervisor = terminal.supervisor()
    terminal.wait_for("hook_started")
    terminal.type(CTRL_Z)
    wait_state(supervisor, "T")
    terminal.wait_for("Stopped")
    go.touch()
    terminal.run("fg")
    command = int(terminal.wait_for(r"command_started .* pid=(\d+)")[1])
    terminal.wait_foreground(command, "the command")
    at = terminal.run("a line")
    terminal.wait_for("a line\na line\n", after=at)
    terminal.type("\x04")
    assert_nothing_left(terminal)


def test_a_hook_that_writes_to_the_terminal_is_not_stopped_by_it(
    terminal: Terminal, run: str, assert_nothing_left: Callable[[Terminal], None]
) -> None:
    """`stty tostop` stops whatever writes from the background; a hook has no terminal that could."""
    at = terminal.run("stty tostop")
    at = terminal.run(f"{run} --on-elected 'echo chatter=$((40 + 2))' --on-lost 'echo over=$((50 + 2))' -- cat")
    terminal.wait_for("chatter=42", after=at)
    # Not asked of the guard: the hook may still be its child when its word is on the screen.
    command = int(terminal.wait_for(r"command_started .* pid=(\d+)", after=at)[1])
    terminal.wait_foreground(command, "the command")
    terminal.type("\x04")
    terminal.wait_for("over=52", after=at)
    assert_nothing_left(terminal)
