"""What the program tells a notification socket, without a systemd: that needs neither root nor namespaces."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from candidate import Candidate
from promise import wait_acting
from proxy import Proxy

WATCHDOG = 1.5
"""Seconds."""


class Listener:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": str(int(WATCHDOG * 1_000_000))}
        self.heard: list[str] = []

    def wait_for(self, wanted: str, deadline: float = 15.0) -> str:
        """Return the next datagram in which the pattern is found."""
        until = time.monotonic() + deadline
        while True:
            self.socket.settimeout(max(0.001, until - time.monotonic()))
            try:
                text = self.socket.recv(4096).decode()
            except TimeoutError:
                raise AssertionError(f"{wanted!r} was not told, but {self.heard}") from None
            self.heard.append(text)
            if re.search(wanted, text):
                return text


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    listener = Listener(tmp_path / "notify")
    yield listener
    listener.socket.close()


def usec(text: str) -> float:
    """Return the watchdog's interval that is told, in seconds."""
    return int(text.partition("WATCHDOG_USEC=")[2].split()[0]) / 1_000_000


def test_a_leader_tells_what_is_left_of_its_lease_and_that_it_ends(
    candidate: Candidate, listener: Listener, beats: Path
) -> None:
    """From ready to stopping, with each renewal between them; then the unit's own interval again."""
    program = candidate("a", env=listener.environment)
    listener.wait_for("READY=1")
    first = listener.wait_for("STATUS=leader, token ")
    token = wait_acting(program, beats)
    assert f"token {token}\n" in first
    # 4 s of lease, 0.29 s of margin, 0.5 s to kill.
    assert 1 < usec(first) <= 3.21
    assert 1 < usec(listener.wait_for("WATCHDOG=1\nWATCHDOG_USEC=")) <= 3.21
    program.signal(signal.SIGTERM)
    listener.wait_for("STOPPING=1")
    # What was told before may still be on its way, the last is the unit's own.
    listener.wait_for(f"WATCHDOG_USEC={int(WATCHDOG * 1_000_000)}$")
    assert program.wait() == -signal.SIGTERM


def test_a_standby_gives_signs_of_life_while_zookeeper_is_away(
    candidate: Candidate, listener: Listener, beats: Path, proxy: Proxy
) -> None:
    """Twice in an interval at least: nothing is wrong with it."""
    first = candidate("a")
    wait_acting(first, beats)
    second = candidate("b", hosts=proxy.hosts, env=listener.environment)
    listener.wait_for("STATUS=standby, rank 1")
    proxy.cut()
    listener.wait_for("WATCHDOG=1")
    began = time.monotonic()
    for _ in range(8):
        listener.wait_for("WATCHDOG=1", deadline=WATCHDOG)
    assert time.monotonic() - began < 8 * WATCHDOG / 2
    second.signal(signal.SIGTERM)
    listener.wait_for("STOPPING=1")
    assert second.wait() == -signal.SIGTERM


def test_who_campaigns_again_does_not_say_that_it_ends(
    candidate: Candidate, listener: Listener, beats: Path, proxy: Proxy
) -> None:
    """Systemd would count the time of a stop, and kill a standby when that is over."""
    program = candidate("a", "--on-loss", "rejoin", hosts=proxy.hosts, env=listener.environment)
    wait_acting(program, beats)
    listener.wait_for("STATUS=leader")
    proxy.cut()
    lost = listener.wait_for("STATUS=leadership lost")
    assert "WATCHDOG" not in lost
    listener.wait_for(f"WATCHDOG_USEC={int(WATCHDOG * 1_000_000)}$")
    proxy.heal()
    listener.wait_for("STATUS=leader", deadline=25)
    assert not any("STOPPING=1" in text for text in listener.heard)
    assert sum("READY=1" in text for text in listener.heard) == 1
