"""The limits on connecting, without a network: what kazoo calls for a connection is replaced."""

import socket
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kazoo.exceptions import ConnectionLoss
from kazoo.handlers import utils
from kazoo.handlers.threading import SequentialThreadingHandler
from kazoo.protocol.states import Callback
from waiting import wait_until

from zkleader.core.actions import Get
from zkleader.core.events import Answered, Suspended, Unanswered
from zkleader.core.lease import Timing
from zkleader.zk.access import Access
from zkleader.zk.connecting import Connection
from zkleader.zk.hosts import parse_hosts
from zkleader.zk.session import Session
from zkleader.zk.sockets import Sockets

TIMING = Timing(lease=20.0, grace=5.0, stop_timeout=5.0)
"""A cap of 0.8 s, doubled up to 4 s."""

ACCESS = Access(hosts=parse_hosts("ensemble"))
MANY = parse_hosts("10.0.0.1,10.0.0.2,10.0.0.3").servers
MORE = parse_hosts("10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4,10.0.0.5").servers


@pytest.fixture
def caps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Have no server accept a connection; give the seconds that each attempt was given."""
    caps: list[float] = []

    def refuse(*_: object, timeout: float, **__: object) -> None:
        caps.append(timeout)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(utils, "create_tcp_connection", refuse)
    return caps


@pytest.fixture
def session() -> Iterator[Session]:
    """Give a session of one name; it is closed at the end."""
    session = Session(ACCESS, TIMING, lambda _event: None)
    yield session
    session.close()


def test_the_cap_is_doubled_when_no_address_was_reached(caps: list[float], session: Session) -> None:
    """One name may have many addresses: were the names counted, the second of them had twice the time already."""
    session.start(MANY)
    wait_until(lambda: len(caps) >= 2 * len(MANY), what="two rounds")
    assert caps[: 2 * len(MANY)] == [0.8] * len(MANY) + [1.6] * len(MANY)


def test_addresses_that_come_later_count_too(caps: list[float], session: Session) -> None:
    """An ensemble may grow while we are connected to it."""
    session.start(MANY)
    session._on_resolved(MORE, "")
    wait_until(lambda: len(caps) >= len(MANY) + len(MORE), what="two rounds")
    assert caps[: len(MORE)] == [0.8] * len(MORE)
    assert caps[len(MORE)] == 1.6


def test_the_handshake_has_the_cap_of_its_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that accepts and is silent may cost as much again, not twice that because it is the last of a round."""
    ours, _theirs = socket.socketpair()
    waited: list[Any] = []

    def select(*args: Any) -> tuple[list[Any], list[Any], list[Any]]:
        waited.append(args[-1])
        return [], [], []

    monkeypatch.setattr(utils, "create_tcp_connection", lambda *_, **__: ours)
    monkeypatch.setattr(SequentialThreadingHandler, "select", lambda _self, *args: select(*args))
    connection = Connection(ACCESS, TIMING)
    connection.go_to(MANY[:1])
    connection._sockets.create_connection(address=("10.0.0.1", 2181))
    connection._sockets.select([ours], [], [], 13.0)
    connection._sockets.create_connection(address=("10.0.0.1", 2181))
    connection._sockets.select([ours], [], [], 13.0)
    assert waited == [0.8, 1.6]


def test_a_server_that_does_not_accept_in_time_is_named_so(monkeypatch: pytest.MonkeyPatch, session: Session) -> None:
    """Users are told why ZooKeeper cannot be reached; kazoo's words for a time-out were "error: None"."""

    def time_out(*_: object, **__: object) -> None:
        raise TimeoutError("timed out")

    monkeypatch.setattr(utils, "create_tcp_connection", time_out)
    session.start(MANY[:1])
    wait_until(lambda: session.trouble, what="an attempt")
    assert session.trouble == "10.0.0.1:2181 does not accept a connection within 0.8 s"


def test_an_error_of_kazoos_own_reaches_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It raises in its threads when a server talks nonsense; a traceback is nothing that a user can act on."""
    printed: list[object] = []
    monkeypatch.setattr(threading, "excepthook", printed.append)

    def fail() -> None:
        raise RuntimeError("xids do not match")

    Connection(ACCESS, TIMING)._sockets.spawn(fail).join()
    assert printed == []


def test_callbacks_are_called_at_once_and_no_thread_is_started_for_them() -> None:
    """Each thread between a packet and the loop is one more to be woken on the way of a hand-over."""
    sockets = Sockets(TIMING, None)
    threads = threading.active_count()
    sockets.start()
    assert threading.active_count() == threads
    called: list[object] = []
    sockets.dispatch_callback(Callback("watch", called.append, ("event",)))
    answer = sockets.async_result()
    answer.rawlink(called.append)
    answer.set("value")
    assert called == ["event", answer]
    sockets.stop()


def test_a_callback_that_fails_ends_nobody_elses_work() -> None:
    """It is called in the thread that has the connection, and the next answer is read by that one too."""
    sockets = Sockets(TIMING, None)
    sockets.start()
    answer = sockets.async_result()
    answer.rawlink(lambda _result: 1 / 0)
    answer.set("value")
    assert answer.get() == "value"


def test_who_hears_of_a_lost_answer_has_heard_that_the_connection_is_down() -> None:
    """Or it would ask again before kazoo says so, and kazoo keeps such a request for the next connection."""
    told: list[object] = []
    session = Session(Access(hosts=parse_hosts("10.0.0.1")), TIMING, told.append)
    session._connection.is_ready = True
    session._on_result(1, Get(path="/a"), SimpleNamespace(exception=ConnectionLoss()))
    session._on_result(2, Get(path="/b"), SimpleNamespace(exception=ConnectionLoss()))
    session.submit(3, Get(path="/c"))
    lost = [Answered(number=number, answer=Unanswered()) for number in (1, 2, 3)]
    assert told == [Suspended(), *lost]
