"""Looking up the names of servers, without a network: getaddrinfo is replaced, and answers when the test says so."""

import socket
import threading
from collections.abc import Iterator

import pytest
from kazoo.protocol.states import KazooState
from waiting import wait_until

from zkleader.core.events import Event
from zkleader.core.lease import Timing
from zkleader.zk import resolver as resolver_module
from zkleader.zk.access import Access
from zkleader.zk.hosts import Server, parse_hosts
from zkleader.zk.resolver import Resolver
from zkleader.zk.session import Session

TIMING = Timing(lease=20.0, grace=5.0, stop_timeout=5.0)
ACCESS = Access(hosts=parse_hosts("one:2181,two:2182"))
NAMES = ACCESS.hosts.servers
ONE, TWO = (
    Server(host="10.0.0.1", port=2181, name="one"),
    Server(host="10.0.0.2", port=2182, name="two"),
)


class Names:
    """A name service: what it knows, whether it answers, and what it was asked."""

    def __init__(self) -> None:
        self.known = {"one": ["10.0.0.1"], "two": ["10.0.0.2"]}
        self.answers = threading.Event()
        self.answers.set()
        self.asked: list[str] = []

    def getaddrinfo(self, host: str, port: int, *_: object, **__: object) -> list[tuple[object, ...]]:
        self.asked.append(host)
        assert self.answers.wait(10)
        if host not in self.known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.known[host]]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Iterator[Names]:
    """Give the only name service there is."""
    service = Names()
    monkeypatch.setattr(socket, "getaddrinfo", service.getaddrinfo)
    yield service
    service.answers.set()
    wait_until(lambda: not resolving(), what="every thread that resolves has ended")


def resolving() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "resolve"]


class Told:
    """What a resolver has told."""

    def __init__(self) -> None:
        self.addresses: list[tuple[Server, ...]] = []
        self.troubles: list[str] = []

    def __call__(self, addresses: tuple[Server, ...], trouble: str) -> None:
        self.addresses.append(addresses)
        self.troubles.append(trouble)


def look_up(resolver: Resolver, times: int = 1) -> Told:
    """Look up, and wait until that was told so often."""
    told = Told()
    wait_until(lambda: not resolving(), what="the look-up before it has ended")
    resolver.look_up(told)
    wait_until(lambda: len(told.troubles) >= times, what="an answer")
    return told


def test_all_addresses_are_told_in_order_and_once(names: Names) -> None:
    """The order is the user's; two names of one host are one server."""
    names.known["two"] = ["10.0.0.2", "10.0.0.3", "10.0.0.2"]
    told = look_up(Resolver(NAMES))
    assert told.addresses == [(ONE, TWO, Server(host="10.0.0.3", port=2182, name="two"))]
    assert told.troubles == [""]


def test_of_two_names_for_one_address_the_first_counts(names: Names) -> None:
    """The name is what its certificate has to be for; who lists each server first and then all by one name wants so."""
    names.known["two"] = ["10.0.0.1", "10.0.0.2"]
    told = look_up(Resolver(parse_hosts("one,two").servers))
    assert told.addresses == [(ONE, Server(host="10.0.0.2", port=2181, name="two"))]


def test_a_name_without_an_address_is_left_out_and_told(names: Names) -> None:
    """One typing error among three servers is no reason not to start, and one to say so."""
    del names.known["one"]
    told = look_up(Resolver(NAMES))
    assert told.addresses == [(TWO,)]
    assert told.troubles == ["cannot resolve one: Name or service not known"]


def test_a_name_that_fails_later_keeps_its_last_addresses(names: Names) -> None:
    """Names are looked up again in an outage, when the name service is likely to have one too."""
    resolver = Resolver(NAMES)
    look_up(resolver)
    del names.known["one"]
    names.known["two"] = ["10.0.0.9"]
    assert look_up(resolver).addresses == [(ONE, Server(host="10.0.0.9", port=2182, name="two"))]


def test_while_no_name_resolves_it_is_tried_again_until_it_is_stopped(names: Names) -> None:
    """The thread of a session that was closed used to ask twice a second for ever."""
    names.known.clear()
    resolver = Resolver(NAMES)
    assert look_up(resolver, times=2).addresses == [(), ()]
    resolver.stop()
    wait_until(lambda: not resolving(), what="its thread ends")


def test_addresses_that_are_of_no_use_are_looked_up_again(names: Names, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that move get other addresses, some time after the connection to the old ones went down."""
    monkeypatch.setattr(resolver_module, "_REFRESH_DELAY", 0.01)
    resolver, told = Resolver(NAMES[:1]), Told()
    is_connected = threading.Event()
    resolver.look_up(told, is_connected.is_set)
    wait_until(lambda: told.addresses, what="the old address")
    names.known["one"] = ["10.0.0.9"]
    moved = (Server(host="10.0.0.9", port=2181, name="one"),)
    wait_until(lambda: told.addresses[-1] == moved, what="the new address")
    is_connected.set()
    wait_until(lambda: not resolving(), what="its thread ends")


def test_what_is_found_after_stopping_is_told_nobody(names: Names) -> None:
    """The session that wanted to know is closed: starting it now would leave a second one in the queue."""
    names.answers.clear()
    resolver, told = Resolver(NAMES), Told()
    resolver.look_up(told)
    wait_until(lambda: names.asked, what="a question")
    resolver.stop()
    names.answers.set()
    wait_until(lambda: not resolving(), what="its thread ends")
    resolver.look_up(told)
    assert not resolving()
    assert told.troubles == []


def test_a_session_has_one_look_up_under_way_at_the_most(names: Names) -> None:
    """A connection that comes and goes while names hang added a thread each time."""
    events: list[Event] = []
    session = Session(ACCESS, TIMING, events.append)
    names.answers.clear()
    for _ in range(5):
        session._on_state(KazooState.SUSPENDED)
    wait_until(lambda: names.asked, what="a question")
    assert len(resolving()) == 1
    session.close()
    names.answers.set()
    wait_until(lambda: not resolving(), what="its thread ends")
    assert names.asked == ["one"]  # closed, it asks for nothing more


def test_a_session_that_is_closed_stops_looking_up(names: Names) -> None:
    """Rejoining for days beside a name service that is down must not pile up threads."""
    names.known.clear()
    session, told = Session(ACCESS, TIMING, lambda _event: None), Told()
    session.look_up(told)
    wait_until(lambda: told.troubles, what="an answer")
    session.close()
    wait_until(lambda: not resolving(), what="its thread ends")
