"""A fault that does nothing passes every campaign: the wire must do what the nemesis believes that it does."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from campaign import hosts, slow_link
from campaign.hosts import RESET, Host, Network

PATIENCE = 0.3  # seconds in which a packet on an idle wire has arrived for certain


@pytest.fixture(scope="module")
def network() -> Iterator[Network]:
    if reason := hosts.why_not():
        pytest.skip(reason)
    with Network("a", "b", "c") as network:
        yield network


class Post:
    """Says something on one host and hears it on another."""

    def __init__(self, receiver: Host) -> None:
        with receiver.entered():
            self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((receiver.address, 0))
        self._socket.settimeout(PATIENCE)
        self._where = self._socket.getsockname()

    def hears(self, sender: Host) -> bool:
        with sender.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
            speaker.sendto(b"hello", self._where)
        with contextlib.suppress(TimeoutError):
            return self._socket.recv(100) == b"hello"
        return False


def passing(network: Network) -> set[str]:
    """Return the ways on which something arrives, as "ab" for from a to b."""
    pairs = [(sender, receiver) for sender in network for receiver in network if sender is not receiver]
    return {f"{sender}{receiver}" for sender, receiver in pairs if Post(receiver).hears(sender)}


ALL = {"ab", "ac", "ba", "bc", "ca", "cb"}


def test_a_cut_is_one_way_and_ends(network: Network) -> None:
    """One way in and one way out are different faults."""
    a, b, c = network
    assert passing(network) == ALL
    with network.cut([a], [b]):
        assert passing(network) == ALL - {"ab"}
        with network.cut([a], [b, c]):
            assert passing(network) == ALL - {"ab", "ac"}
        # The first cut stands, although the second one was healed.
        assert passing(network) == ALL - {"ab"}
    assert passing(network) == ALL


def test_a_rack_stays_connected_in_itself(network: Network) -> None:
    """The worst cut is one with a server in it that goes on answering."""
    a, b, _ = network
    with network.parted(a, b):
        assert passing(network) == {"ab", "ba"}
    assert passing(network) == ALL


def test_a_connection_that_is_reset_is_told(network: Network) -> None:
    """Flapping connections are not silent ones."""
    a, b, _ = network
    with b.entered():
        listener = socket.create_server((b.address, 0))
    with a.entered():
        connection = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    accepted.settimeout(PATIENCE)
    with accepted, connection, listener, network.cut([a], [b], RESET):
        connection.sendall(b"hello")
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
        # Whoever refuses does not hear of it: such a connection is half open.
        with pytest.raises(TimeoutError):
            accepted.recv(1)


def test_a_slow_link_keeps_connections_and_delays_each_way(network: Network) -> None:
    """Latency must be felt by the handshake as well as by what is sent; a connection that stands must not break."""
    if reason := slow_link.why_not():
        pytest.skip(reason)
    a, b, _ = network
    with b.entered():
        listener = socket.create_server((b.address, 0))

    def seconds_to_connect() -> float:
        began = time.monotonic()
        with a.entered(), socket.create_connection(listener.getsockname(), timeout=5):
            return time.monotonic() - began

    with a.entered():
        connection = socket.create_connection(listener.getsockname())
    accepted, _ = listener.accept()
    with accepted, connection, listener:
        assert seconds_to_connect() < 0.1
        with network.slowed(a, 0.15):
            assert 0.3 <= seconds_to_connect() < 0.5
            sent_at = time.monotonic()
            connection.sendall(b"x" * 100_000)
            got = 0
            while got < 100_000:
                got += len(accepted.recv(65536))
            assert time.monotonic() - sent_at >= 0.15
        assert seconds_to_connect() < 0.1
