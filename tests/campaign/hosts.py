"""Hosts on a private wire: network namespaces on one bridge, and what can be done to the wire between them.

Owns the addresses, the cuts and the slow links. It must not know what runs on a host. A cut drops packets where they
arrive, silently and in one direction, so that two cuts make a partition and every one of them can be healed alone. The
wire leads nowhere: the bridge lies in a namespace of its own, and the addresses are those that are kept for pages
(RFC 5737).
"""

import os
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import NamedTuple, Self

from campaign.namespace import Namespace
from campaign.slow_link import SlowLink

SUBNET = "192.0.2"
BRIDGE = "wire"
DROP = "-j DROP"
RESET = "-p tcp -j REJECT --reject-with tcp-reset"
LOSE_SOME = "-m statistic --mode random --probability 0.2 -j DROP"
"""What becomes of a packet: nothing at all; an answer that the connection does not exist; of every fifth, nothing."""


def why_not() -> str:
    """Return why there can be no such hosts here, or an empty string."""
    if os.geteuid() != 0:
        return "network namespaces are made by root only"
    for program, package in (("ip", "iproute2"), ("iptables-restore", "iptables")):
        if not shutil.which(program):
            return f"there is no {program} (apt-get install --no-install-recommends {package})"
    try:
        with Network("a", "b") as network, network.cut([network["a"]], [network["b"]], RESET):
            return ""
    except (OSError, RuntimeError) as error:
        return f"hosts cannot be made: {error}".splitlines()[0]


class Host:
    """One host: a name, an address, a namespace."""

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.address = f"{SUBNET}.{number}"
        self.namespace = Namespace()

    def __repr__(self) -> str:
        return self.name

    def entered(self) -> AbstractContextManager[None]:
        """Start or open something on this host."""
        return self.namespace.entered()

    def break_connections(self) -> None:
        """Have the kernel end every connection of this host, and tell both ends; new ones are welcome."""
        self.namespace.run("ss", "--kill", "--tcp", "state", "established")


class _Way(NamedTuple):
    """Packets from one host to another, and what becomes of them."""

    sender: Host
    receiver: Host
    fate: str


class Network:
    """Hosts by name, all of them on one wire."""

    def __init__(self, *names: str) -> None:
        self._hub = Namespace()
        self._hosts = {name: Host(name, number) for number, name in enumerate(names, start=1)}
        # Counted: two cuts may have a way in common, and the first to be healed does not heal the other.
        self._ways: Counter[_Way] = Counter()
        links = [f"link add {BRIDGE} type bridge", f"link set {BRIDGE} up"]
        for host in self:
            links.append(f"link add to-{host} type veth peer name eth0 netns {host.namespace.path}")
            links.append(f"link set to-{host} master {BRIDGE} up")
        self._hub.run("ip", "-batch", "-", given="\n".join(links))
        for host in self:
            lines = [f"address add {host.address}/24 dev eth0", "link set lo up", "link set eth0 up"]
            host.namespace.run("ip", "-batch", "-", given="\n".join(lines))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Host]:
        return iter(self._hosts.values())

    def __getitem__(self, name: str) -> Host:
        return self._hosts[name]

    def close(self) -> None:
        """Give all up; what still runs on a host keeps that host."""
        for host in self:
            host.namespace.close()
        self._hub.close()

    # The wire. -------------------------------------------------------------------------------------------------------

    @contextmanager
    def cut(self, senders: Iterable[Host], receivers: Iterable[Host], fate: str = DROP) -> Iterator[None]:
        """Let no packet from these to those arrive."""
        receivers = list(receivers)
        ways = [_Way(sender, receiver, fate) for sender in senders for receiver in receivers if sender is not receiver]
        self._change(Counter(ways))
        try:
            yield
        finally:
            self._change(Counter(ways), add=False)

    @contextmanager
    def parted(self, *island: Host) -> Iterator[None]:
        """Cut some hosts off from all others, both ways; among themselves they are connected."""
        rest = [host for host in self if host not in island]
        with self.cut(island, rest), self.cut(rest, island):
            yield

    @contextmanager
    def slowed(self, host: Host, seconds: float) -> Iterator[None]:
        """Have every packet from and to a host arrive so much later. Connections stay."""
        with SlowLink(self._hub, f"to-{host}", BRIDGE, seconds):
            yield

    def _change(self, ways: Counter[_Way], *, add: bool = True) -> None:
        before = set(+self._ways)
        if add:
            self._ways.update(ways)
        else:
            self._ways.subtract(ways)
        for receiver in {way.receiver for way in before ^ set(+self._ways)}:
            rules = [f"-A INPUT -s {way.sender.address} {way.fate}" for way in +self._ways if way.receiver is receiver]
            table = ["*filter", ":INPUT ACCEPT", *sorted(rules), "COMMIT", ""]
            receiver.namespace.run("iptables-restore", given="\n".join(table))
