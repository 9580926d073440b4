"""A host with a real systemd for all tests of this directory, and services on it made from the example."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from host import ROOT, Host, visible_directories, why_not
from service import Service
from zookeeper import Server


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory, zookeeper: Server) -> Iterator[Host]:
    """Return one systemd for the whole directory, with the example units and a way to ZooKeeper."""
    if reason := why_not():
        pytest.skip(reason)
    del zookeeper  # started first, so that it is there
    with Host(tmp_path_factory.mktemp("host"), *visible_directories()) as host:
        for example in (ROOT / "man" / "examples").iterdir():
            host.write(f"/etc/systemd/system/{example.name}", example.read_text())
        host.path("/run/beats").mkdir()
        host.path("/run/beats").chmod(0o777)
        yield host


@pytest.fixture
def beats(host: Host, election: str) -> Path:
    """Return the file that the witnesses of a test write to, as we reach it."""
    return host.path(f"/run/beats/{election.rpartition('/')[2]}")


@pytest.fixture
def service(host: Host, zookeeper: Server, election: str) -> Iterator[Callable[..., Service]]:
    """Give `service(name, *options, command=, witness=, settings=, template=)`: a unit in the test's election."""
    made: list[Service] = []
    hosts = host.add_relay(zookeeper.hosts).hosts

    def make(name: str, *options: str, **rest: object) -> Service:
        made.append(Service(host, name, "-z", hosts, "-e", election, *options, **rest))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for each in made:
        print(f"--- {each.unit}: {each.report()}")
        each.close()


@pytest.fixture
def own_relay(host: Host, zookeeper: Server) -> tuple[str, Callable[[], None]]:
    """Return a way to ZooKeeper of the test's own, as (hosts, cut)."""
    relay = host.add_relay(zookeeper.hosts)
    return relay.hosts, relay.cut
