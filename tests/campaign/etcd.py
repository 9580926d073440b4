"""A real etcd cluster on hosts of the campaign, and what an operator does to it; for etcdctl, which is on trial too.

The operator asks by etcd's JSON gateway: no client has to be started for every question.
"""

import base64
import contextlib
import json
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from daemon import Daemon, Group

from campaign.hosts import Host

CLIENTS, PEERS = 2379, 2380
ASK_TIMEOUT = 1.0

PROGRAMS = Path(sys.prefix) / "etcd/usr/bin"
"""Unpacked by tests/setup and not installed, or there would be a service of it."""


def why_not() -> str:
    """Return why there can be no cluster here, or an empty string."""
    return "" if PROGRAMS.is_dir() else "there is no etcd (tests/setup --peers)"


class EtcdServer(Daemon):
    """One member of a cluster, whose members are all named when it is made."""

    def __init__(self, place: Host, number: int, members: str) -> None:
        super().__init__(place, "etcd-")
        self.number = number
        self.hosts = f"{place.address}:{CLIENTS}"
        self._members = members

    def start(self, *, wait: bool = True) -> Self:
        """Start it, with the settings that etcd has by itself."""
        if self.pid is None:
            clients, peers = (f"http://{self.place.address}:{port}" for port in (CLIENTS, PEERS))
            command = [str(PROGRAMS / "etcd"), "--name", f"member{self.number}"]
            command += ["--data-dir", str(self.directory / "data")]
            command += ["--listen-client-urls", clients, "--advertise-client-urls", clients]
            command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
            command += ["--initial-cluster", self._members]
            self.launch(*command)
        if wait:
            self.wait_until_serving()
        return self

    def mode(self) -> str | None:
        """Return leader or follower; None when it knows no leader, or nothing at all."""
        if self.paused or self.pid is None:
            return None
        status = self.ask("maintenance/status", {})
        if status is None or status.get("leader", "0") == "0":
            return None
        return "leader" if status["leader"] == status["header"]["member_id"] else "follower"

    def ask(self, what: str, question: dict[str, Any]) -> dict[str, Any] | None:
        """Ask this member from its own host."""
        with self.place.entered():
            return ask(self.hosts, what, question)


class EtcdCluster(Group[EtcdServer]):
    """A cluster with one member a host."""

    def __init__(self, places: Sequence[Host]) -> None:
        members = ",".join(
            f"member{number}=http://{place.address}:{PEERS}" for number, place in enumerate(places, start=1)
        )
        super().__init__([EtcdServer(place, number, members) for number, place in enumerate(places, start=1)])

    def leading(self, *, with_followers: int) -> EtcdServer | None:
        """Return the only member that leads, if so many follow."""
        leaders = [server for server in self.servers if server.mode() == "leader"]
        return leaders[0] if len(leaders) == 1 and len(self.followers()) >= with_followers else None


def ask(server: str, what: str, question: dict[str, Any]) -> dict[str, Any] | None:
    """Ask a server; None when there is no answer."""
    request = urllib.request.Request(f"http://{server}/v3/{what}", json.dumps(question).encode())
    with contextlib.suppress(OSError, ValueError), urllib.request.urlopen(request, timeout=ASK_TIMEOUT) as answer:
        return dict(json.load(answer))
    return None


class EtcdOperator:
    """An operator on a host of his own; the counterpart of `ZooKeeperOperator`."""

    def __init__(self, host: Host, servers: str) -> None:
        self._host = host
        self._servers = servers.split(",")

    def candidates(self, election: str) -> list[str]:
        """Return the keys of the candidates, the oldest first."""
        pairs = self._ask("kv/range", {**_below(election), "sort_target": "CREATE", "keys_only": True}).get("kvs", [])
        return [pair["key"] for pair in pairs]

    def delete_candidate(self, election: str, rank: int) -> None:
        """Delete the candidate of this rank."""
        self._ask("kv/deleterange", {"key": self.candidates(election)[rank]})

    def delete_election(self, election: str) -> None:
        """Delete all of them."""
        self._ask("kv/deleterange", _below(election))

    def _ask(self, what: str, question: dict[str, Any]) -> dict[str, Any]:
        with self._host.entered():
            for server in self._servers:
                if (answer := ask(server, what, question)) is not None:
                    return answer
        raise AssertionError(f"etcd does not answer: {what}")


def _below(election: str) -> dict[str, str]:
    """Return the range of the keys below an election's."""
    first, after = (base64.b64encode(f"{election}{end}".encode()).decode() for end in "/0")  # "0" follows "/"
    return {"key": first, "range_end": after}
