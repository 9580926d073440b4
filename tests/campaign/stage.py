"""The stage of a campaign: hosts on a wire, real servers on three of them, and an operator on one of his own.

Owns what all plays share, and having it whole again after a play has broken it. Candidates belong to the plays.
"""

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self

from daemon import Daemon, Group
from zookeeper import Ensemble

from campaign.etcd import EtcdCluster, EtcdOperator
from campaign.hosts import Host, Network
from campaign.zookeeper_operator import ZooKeeperOperator

SERVERS = ("server1", "server2", "server3")
CANDIDATES = ("a", "b", "c")
CANDIDATES_OF_SEVERAL = (*CANDIDATES, "d")
"""Where two lead, and two wait."""
MUTE, HOLE = "mute", "hole"
"""Hosts of servers that are none: one takes connections and never answers, the other does not even do that."""


class Stage:
    """The stage, from entering to leaving, with servers of one kind: "zookeeper" or "etcd"."""

    def __init__(self, kind: str = "zookeeper") -> None:
        self._kind = kind
        self._stack = ExitStack()
        self.network: Network
        self.servers: Group[Any]
        self.operator: ZooKeeperOperator | EtcdOperator

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.network = stack.enter_context(Network(*SERVERS, *CANDIDATES_OF_SEVERAL, "operator", MUTE, HOLE))
            places = [self.network[name] for name in SERVERS]
            own = self.network["operator"]
            if self._kind == "etcd":
                self.servers = stack.enter_context(EtcdCluster(places))
                self.operator = EtcdOperator(own, self.servers.hosts)
            else:
                self.servers = stack.enter_context(Ensemble(places=places))
                self.operator = stack.enter_context(ZooKeeperOperator(own, self.servers.hosts))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @contextmanager
    def whole(self) -> Iterator[Self]:
        """Have all servers up before a play, and running after it."""
        self.servers.start_all()
        try:
            yield self
        finally:
            for server in self.servers:
                server.resume()

    def host_of(self, server: Daemon) -> Host:
        """Return the host of a server."""
        return next(host for host in self.network if host.address == server.place.address)

    def server_at(self, addresses: set[str]) -> Any:
        """Return the server that has one of these addresses; None when none has."""
        return next((server for server in self.servers if server.place.address in addresses), None)

    def keep_logs(self, directory: Path) -> None:
        """Copy the servers' logs."""
        for server in self.servers:
            shutil.copy(server.log, directory / f"server{server.number}.log")
