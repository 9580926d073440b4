"""Connection strings: what is taken for servers and a chroot, and what is refused before anything is tried."""

import pytest

from zkleader.zk.hosts import Hosts, Server, parse_hosts


@pytest.mark.parametrize(
    ("text", "servers", "chroot"),
    [
        ("zk1", (Server(host="zk1", port=2181),), ""),
        ("zk1:1, zk2:2/", (Server(host="zk1", port=1), Server(host="zk2", port=2)), ""),
        ("10.0.0.1:1/a/b", (Server(host="10.0.0.1", port=1),), "/a/b"),
        ("[::1]:1,[fe80::1%eth0]", (Server(host="::1", port=1), Server(host="fe80::1%eth0", port=2181)), ""),
        ("a_b.example.", (Server(host="a_b.example.", port=2181),), ""),
    ],
)
def test_what_is_understood(text: str, servers: tuple[Server, ...], chroot: str) -> None:
    """As ZooKeeper's own clients take it."""
    assert parse_hosts(text) == Hosts(servers=servers, chroot=chroot)


@pytest.mark.parametrize(
    "text",
    ["", "a..b", "-a", "a-", "a b", "a:0", "a:65536", "a:b", "[::1", "http://a:1", "a/b//c", "a/../b", "a" * 300],
)
def test_what_is_refused(text: str) -> None:
    """A slip is told at once, not after the connect timeout."""
    with pytest.raises(ValueError, match="'"):
        parse_hosts(text)


def test_a_chroot_with_each_server_is_refused() -> None:
    """It would be a chroot with a comma, another one for each order of servers: an election for every host."""
    with pytest.raises(ValueError, match="servers behind the chroot"):
        parse_hosts("zk1:2181/x,zk2:2181/x")
