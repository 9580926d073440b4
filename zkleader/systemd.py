"""Telling systemd (sd_notify(3)): the socket, and what the unit's environment asks for.

It owns the datagrams.  What they say is decided in ``core.notices``.  It never waits and never fails the run: what the
socket does not take is said again with the next turn of the loop.  It does not promise that anybody listens.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

from zkleader.core import notices
from zkleader.core.candidacy_state import State
from zkleader.core.lease import Instant

_LONGEST_NUMBER = 20
"""Digits of systemd's greatest duration in microseconds."""


class Notifier:
    """What is told to systemd in one run; without NOTIFY_SOCKET in the environment, nothing."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        """Read the environment, once: ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``."""
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._watchdog = _watchdog(environment) if self._address is not None else None
        self._told = notices.Told()
        self._socket: socket.socket | None = None
        if self._address is not None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)

    @property
    def beat_interval(self) -> float | None:
        """The seconds from one sign of life to the next, None where systemd waits for none."""
        return notices.beat_interval(self._watchdog)

    def tell(self, state: State, now: Instant, *, is_ending: bool, answered_at: float | None) -> None:
        """Tell what is new; ``answered_at`` is when the guard last said anything (CLOCK_MONOTONIC)."""
        if self._socket is None or self._address is None:
            return
        told, lines = notices.tell(
            self._told, state, now, is_ending=is_ending, answered_at=answered_at, watchdog=self._watchdog
        )
        if not lines:
            return
        # Not connected: systemd may be executed anew, with another socket under the same name.
        with contextlib.suppress(OSError):
            self._socket.sendto("\n".join(lines).encode(), self._address)
            self._told = told


def _address(text: str) -> str | None:
    """Return the address of a datagram socket, by path or (``@``) of the abstract name space."""
    if text.startswith("@"):
        return f"\0{text[1:]}"
    return text if text.startswith("/") else None


def _watchdog(environment: Mapping[str, str]) -> float | None:
    """Return the watchdog's interval in seconds, None if there is none or it is another process's."""
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    text = environment.get("WATCHDOG_USEC", "")
    is_number = text.isascii() and text.isdecimal() and len(text) <= _LONGEST_NUMBER
    return int(text) / 1_000_000 or None if is_number else None
