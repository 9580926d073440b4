"""A session on a real server: what it leaves behind when it is closed, and how long closing may take."""

import gc
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from kazoo.handlers.threading import SequentialThreadingHandler
from proxy import Proxy
from waiting import wait_until
from zookeeper import Server

from zkleader.core.actions import Sync
from zkleader.core.events import Connected, Event, SessionLost
from zkleader.core.lease import Timing
from zkleader.zk.access import Access
from zkleader.zk.hosts import parse_hosts
from zkleader.zk.session import Session
from zkleader.zk.sockets import Sockets

TIMING = Timing(lease=10.0, grace=1.0, stop_timeout=1.0)


@pytest.fixture
def _uncollected() -> Iterator[None]:
    """Nothing is tidied up by chance: what is left open stays open."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def connect(hosts: str, told: list[Event] | None = None) -> Session:
    """Return a session that is connected."""
    events: list[Event] = [] if told is None else told
    access = Access(hosts=parse_hosts(hosts))
    session = Session(access, TIMING, events.append)
    session.start(access.hosts.servers)
    wait_until(lambda: any(isinstance(event, Connected) for event in events), what="connected")
    return session


@pytest.mark.usefixtures("_uncollected")
def test_a_closed_session_leaves_no_descriptor_and_no_thread(zookeeper: Server) -> None:
    """One that rejoins for months has as many sessions as there were outages."""
    connect(zookeeper.hosts).close()
    before, threads = descriptors(), threading.active_count()
    for _ in range(5):
        assert connect(zookeeper.hosts).close()
    assert descriptors() == before
    assert threading.active_count() == threads


@pytest.mark.usefixtures("_uncollected")
def test_one_that_was_never_started_can_be_closed(zookeeper: Server) -> None:
    """Names that never resolve end like that."""
    before = descriptors()
    assert Session(Access(hosts=parse_hosts(zookeeper.hosts)), TIMING, lambda _event: None).close()
    assert descriptors() == before


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("fault", ["black_hole", "cut"])
def test_closing_is_bounded_behind_a_fault_and_leaves_nothing_in_the_end(proxy: Proxy, fault: str) -> None:
    """The server does not answer that the session is closed: it expires by itself, and we go on."""
    before, threads = descriptors(), threading.active_count()
    session = connect(proxy.hosts)
    getattr(proxy, fault)()
    began = time.monotonic()
    assert not session.close()
    assert time.monotonic() - began < 1.5
    wait_until(lambda: threading.active_count() == threads, what="its threads end")
    proxy.heal()  # the proxy's descriptors are in our process too
    wait_until(lambda: descriptors() == before, what="its descriptors are closed")


@pytest.mark.parametrize("fault", ["black_hole", "cut"])
def test_before_there_was_a_session_nothing_is_left_to_expire(proxy: Proxy, fault: str) -> None:
    """An ensemble that was never reached is told once, without a warning about a session that there never was."""
    getattr(proxy, fault)()
    access = Access(hosts=parse_hosts(proxy.hosts))
    session = Session(access, TIMING, lambda _event: None)
    session.start(access.hosts.servers)
    wait_until(lambda: session.trouble, what="an attempt that failed")
    wait_until(lambda: session._connection._sockets._cap >= 2, what="attempts that take longer than closing may")
    began = time.monotonic()
    assert session.close()
    assert time.monotonic() - began < 1.5


def test_a_silent_handshake_is_cut_short(proxy: Proxy) -> None:
    """Nobody waits for the answer any more."""
    proxy.cut()
    access = Access(hosts=parse_hosts(proxy.hosts))
    session = Session(access, TIMING, lambda _event: None)
    session.start(access.hosts.servers)
    wait_until(lambda: proxy.connections, what="a connection")
    began = time.monotonic()
    assert session.close()
    assert time.monotonic() - began < 0.3


def test_a_connection_that_is_made_while_closing_is_cut(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It comes about after what there was has been shut down, and nobody answers on it either."""
    proxy.cut()
    is_made, make = threading.Event(), SequentialThreadingHandler.create_connection

    def make_slowly(handler: Sockets, *args: object, **kwargs: object) -> socket.socket:
        made: socket.socket = make(handler, *args, **kwargs)
        is_made.set()
        wait_until(lambda: handler.is_sealed, what="sealed")
        return made

    monkeypatch.setattr(SequentialThreadingHandler, "create_connection", make_slowly)
    access = Access(hosts=parse_hosts(proxy.hosts))
    session = Session(access, TIMING, lambda _event: None)
    session.start(access.hosts.servers)
    assert is_made.wait(5)
    began = time.monotonic()
    assert session.close()
    assert time.monotonic() - began < 0.3


def test_a_session_whose_thread_has_failed_is_not_said_to_be_closed(
    zookeeper: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error of kazoo's own: it cannot make sense of what a server says. The candidate then waits for the expiry."""
    events: list[Event] = []
    session = connect(zookeeper.hosts, events)

    def fail(*_: object) -> None:
        raise RuntimeError("xids do not match")

    monkeypatch.setattr(session._client._connection, "_read_socket", fail)
    session.submit(1, Sync(path="/"))
    wait_until(lambda: any(isinstance(event, SessionLost) for event in events), what="the session is lost")
    assert not session.close()
