"""README's recipe for an address that follows the leader, as it is printed, on hosts of a private wire.

Nothing stands in for anything but `arping`, which need not be there: a program of the same name says the same to the
wire.
"""

import re
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from program import Program
from readme import readme_block
from waiting import wait_until
from zookeeper import Server

from campaign import hosts
from campaign.hosts import Host, Network

RECIPE = readme_block("# follow-me")
ADDRESS = "198.51.100.7"
NEIGHBOUR = "198.51.100.99/24"

ARPING = f"""#!{sys.executable}
import socket, sys
device, address = sys.argv[-2:]
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
wire.bind((device, 0))
ours, everybody, ip = wire.getsockname()[4], bytes([255] * 6), socket.inet_aton(address)
request = bytes.fromhex("0806 0001 0800 0604 0001") + ours + ip + everybody + ip
wire.send(everybody + ours + request)
"""


@pytest.fixture
def network() -> Iterator[Network]:
    if reason := hosts.why_not():
        pytest.skip(reason)
    with Network("a", "b", "neighbour", "server") as network:
        network["neighbour"].namespace.run("ip", "address", "add", NEIGHBOUR, "dev", "eth0")
        yield network


@pytest.fixture
def follow(network: Network, programs: Callable[..., Program], tmp_path: Path) -> Iterator[Callable[[Host], Program]]:
    """Give `follow(host)`: the recipe, started on a host."""
    paths = tmp_path / "bin"
    paths.mkdir()
    for name, text in (("arping", ARPING), ("zkleader", f'#!/bin/sh\nexec {sys.executable} -m zkleader "$@"\n')):
        (paths / name).write_text(text)
        (paths / name).chmod(0o755)
    with Server(place=network["server"]) as server:
        environment = {"PATH": f"{paths}:/usr/sbin:/usr/bin:/sbin:/bin", "ZKLEADER_RUN_LEASE": "6s"}
        environment |= {"ZKLEADER_RUN_GRACE": "1s"}
        # It says where it stands.
        text = RECIPE.replace("zk1,zk2,zk3", server.hosts).replace("zkleader run ", "zkleader run -v ")

        def start(host: Host) -> Program:
            with host.entered():
                return programs("-c", text, command=("sh",), env=environment)

        yield start


def has_address(host: Host) -> bool:
    return f"inet {ADDRESS}/" in host.namespace.run("ip", "address", "show", "dev", "eth0")


def hardware(host: Host) -> str:
    found = re.search(r"link/ether (\S+)", host.namespace.run("ip", "link", "show", "dev", "eth0"))
    assert found is not None
    return found[1]


def reached_by(neighbour: Host) -> str:
    """Return the hardware address to which a neighbour sends what is for the address; nothing is forgotten first."""
    with neighbour.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(b"hello", (ADDRESS, 9))
    found = re.search(r"lladdr (\S+)", neighbour.namespace.run("ip", "neigh", "show", ADDRESS))
    return found[1] if found else ""


def wait_moved(network: Network, to: Host) -> None:
    """Wait until the address is on a host; it is never on two."""

    def is_there() -> bool:
        have = [host for host in (network["a"], network["b"]) if has_address(host)]
        assert len(have) < 2, have
        return have == [to]

    wait_until(is_there, deadline=25, what=f"the address on {to}")
    wait_until(lambda: reached_by(network["neighbour"]) == hardware(to), deadline=5, what="that a neighbour knows")


def test_an_address_that_follows_the_leader(network: Network, follow: Callable[[Host], Program]) -> None:
    """In order, when the supervisor is killed, when the host is cut off, and after a host that died with it."""
    a, b = network["a"], network["b"]
    first = follow(a)
    wait_moved(network, to=a)
    second = follow(b)
    first.signal(signal.SIGTERM)
    assert first.wait() == -signal.SIGTERM
    wait_moved(network, to=b)
    # Killed: its guard takes the address away.
    third = follow(a)
    second.signal(signal.SIGKILL)
    wait_moved(network, to=a)
    # Cut off: in the grace period.
    fourth = follow(b)
    with network.parted(a):
        wait_moved(network, to=b)
    third.wait_for("event=waiting ", deadline=15)  # again, and before anybody else
    # Dead with all its processes: it keeps the address, until it is started again.
    fourth.die_as_host()
    assert has_address(b)
    follow(b)
    wait_until(lambda: not has_address(b), what="that the first line is done")
    wait_moved(network, to=a)
    third.signal(signal.SIGTERM)
