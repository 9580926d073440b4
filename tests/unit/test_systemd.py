"""Datagrams to systemd: by path and in the abstract name space, and never in the way of the run."""

import itertools
import os
import socket
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from candidacy_script import Script, at

from zkleader import systemd
from zkleader.systemd import Notifier


def listen(address: str) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.settimeout(5)
    listener.bind(address)
    return listener


def standby() -> Script:
    script = Script()
    script.join(0, "other-n_0000000003")
    return script


def tell(notifier: Notifier, script: Script, seconds: float = 0) -> None:
    notifier.tell(script.state, at(seconds), is_ending=False, answered_at=seconds)


def count_until_blocked(call: Callable[[], object]) -> int:
    for count in itertools.count():
        try:
            call()
        except BlockingIOError:
            return count
    raise AssertionError


def test_a_socket_with_a_path_is_told_in_one_datagram(tmp_path: Path) -> None:
    """One change is one message: systemd never sees half of it."""
    with listen(str(tmp_path / "notify")) as listener:
        tell(Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "8000000"}), standby())
        assert listener.recv(1000) == b"READY=1\nSTATUS=standby, rank 1\nWATCHDOG=1"


def test_an_abstract_socket_is_told() -> None:
    """Containers are given one of those."""
    name = f"zkleader-{uuid.uuid4().hex}"
    with listen(f"\0{name}") as listener:
        tell(Notifier({"NOTIFY_SOCKET": f"@{name}"}), standby())
        assert listener.recv(1000).startswith(b"READY=1\n")


@pytest.mark.parametrize("address", ["", "@", "relative", "vsock:2:1", "/nowhere/at/all", "/" + "x" * 200, "/dev/null"])
def test_an_address_that_does_not_work_is_no_reason_to_fail(address: str) -> None:
    """The job is what counts; systemd is only told of it."""
    tell(Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "8000000"}), standby())


def test_who_does_not_read_blocks_nobody_and_hears_the_rest_later(tmp_path: Path) -> None:
    """A systemd that is reloading must not stop renewals; that we are ready is said until it was heard."""
    address = str(tmp_path / "notify")
    with listen(address) as listener:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as flood:
            flood.connect(address)
            waiting = count_until_blocked(lambda: flood.send(b"x"))
        notifier = Notifier({"NOTIFY_SOCKET": address})
        tell(notifier, standby())
        listener.setblocking(False)
        assert count_until_blocked(lambda: listener.recv(1000)) == waiting
        tell(notifier, standby(), 1)
        assert listener.recv(1000).startswith(b"READY=1\n")


def test_a_socket_made_anew_is_found_again(tmp_path: Path) -> None:
    """Systemd that is upgraded executes itself again."""
    address = tmp_path / "notify"
    notifier = Notifier({"NOTIFY_SOCKET": str(address)})
    with listen(str(address)) as listener:
        tell(notifier, Script())
        assert listener.recv(1000).startswith(b"STATUS=")
    address.unlink()
    with listen(str(address)) as listener:
        tell(notifier, standby())
        assert listener.recv(1000).startswith(b"READY=1\n")


@pytest.mark.parametrize(
    ("environment", "interval"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 4.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 4.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "me"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "²"}, None),
        ({"WATCHDOG_USEC": "9" * 5000}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_ours_or_nobodys(environment: dict[str, str], interval: float | None) -> None:
    """A wrapper's watchdog is not fed in its place: systemd would not listen to us either."""
    assert Notifier(environment | {"NOTIFY_SOCKET": "/run/notify"}).beat_interval == interval


def test_without_a_socket_nothing_is_told_and_nothing_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cron, a shell, a container."""
    monkeypatch.setattr(systemd.socket, "socket", lambda *_: pytest.fail("opened"))
    notifier = Notifier({"WATCHDOG_USEC": "20000000"})
    tell(notifier, standby())
    assert notifier.beat_interval is None
