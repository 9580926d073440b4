"""Raw wait statuses (``waitpid``'s), decoded the way shells tell them."""

from __future__ import annotations

SIGNAL_BASE = 128
"""128 + n is how shells tell that signal n ended a process."""

_OF_A_TERMINAL = (1, 2, 3)
"""SIGHUP, SIGINT and SIGQUIT, the same everywhere: a hang-up, Ctrl-C and Ctrl-\\."""


def signal_of(wait_status: int) -> int | None:
    """Return the signal that ended the process, or None if it ended by itself."""
    number = wait_status & 0x7F
    return number or None


def is_by_terminal(wait_status: int) -> bool:
    """Say whether the process was ended by a signal by which a terminal ends what runs on it."""
    return signal_of(wait_status) in _OF_A_TERMINAL


def exit_status_of(wait_status: int) -> int:
    """Return the exit status, or `SIGNAL_BASE` + n for a process that signal n ended."""
    number = signal_of(wait_status)
    return (wait_status >> 8) & 0xFF if number is None else SIGNAL_BASE + number
