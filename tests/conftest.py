"""Fixtures that several directories of tests share: real servers, a broken network, operators, and the program.

The servers are started when a test asks for them first, so unit tests run without Java.
"""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from processes import kill_marked
from program import Program
from proxy import Proxy
from zookeeper import Ensemble, Server

# A run in the background, or under nohup, ignores these; what it starts would ignore them too, as it should, and tests
# of signals would prove nothing.
for _number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, signal.SIG_DFL)

os.environ["ZKLEADER_CONFIG"] = os.devnull  # what lies in /etc is not for tests


@pytest.fixture(scope="session")
def zookeeper() -> Iterator[Server]:
    """One real server for the whole run. A test that breaks it must mend it; `own_zookeeper` is for the rest."""
    with Server() as server:
        yield server


@pytest.fixture
def own_zookeeper() -> Iterator[Server]:
    """One real server of the test's own, to stop, kill and pause."""
    with Server() as server:
        yield server


@pytest.fixture(scope="module")
def _ensemble() -> Iterator[Ensemble]:
    with Ensemble(3) as ensemble:
        yield ensemble


@pytest.fixture
def ensemble(_ensemble: Ensemble) -> Iterator[Ensemble]:
    """Three real servers, started once a module; each test finds all of them up again, whatever the last one broke."""
    _ensemble.start_all()
    yield _ensemble
    for server in _ensemble:
        server.resume()


@pytest.fixture
def proxy(zookeeper: Server) -> Iterator[Proxy]:
    """A network to break in front of the shared server."""
    with Proxy(zookeeper.hosts) as proxy:
        yield proxy


@pytest.fixture
def election() -> str:
    """Return the absolute path of an election that no other test uses; nothing of it exists yet."""
    return f"/zkleader/test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def chroot(zookeeper: Server) -> str:
    """Return the shared server's hosts with a chroot of the test's own, which does not exist yet."""
    return f"{zookeeper.hosts}/test-{uuid.uuid4().hex[:12]}"


@pytest.fixture
def connect() -> Iterator[Callable[[str], KazooClient]]:
    """Give `connect(hosts)`: a started raw client for what an operator does, and for looking at znodes."""
    clients: list[KazooClient] = []

    def start(hosts: str) -> KazooClient:
        client = KazooClient(
            hosts=hosts, timeout=10, connection_retry={"max_tries": -1, "delay": 0.1, "max_delay": 0.5}
        )
        clients.append(client)
        client.start(timeout=15)
        return client

    yield start
    for client in clients:
        client.stop()
        client.close()


@pytest.fixture
def kazoo_client(zookeeper: Server, connect: Callable[[str], KazooClient]) -> KazooClient:
    """Return a raw client of the shared server that goes past the proxy."""
    return connect(zookeeper.hosts)


@pytest.fixture
def programs(request: pytest.FixtureRequest) -> Iterator[Callable[..., Program]]:
    """Give `programs(*args, **options)`: a `Program`, ended to its last process whatever becomes of the test.

    What the programs wrote is printed at the end, so that pytest shows it when the test has failed.
    """
    started: list[Program] = []

    def start(*args: str, **options: object) -> Program:
        program = Program(*args, **options)  # type: ignore[arg-type]
        started.append(program)
        return program

    yield start
    for program in started:
        print(f"--- {request.node.name}: {' '.join(program.args)}\n{program.report()}")
        program.close()
    for program in started:
        assert kill_marked(program.mark) == [], "a process was started while its program was being ended"


@pytest.fixture
def beats(tmp_path: Path) -> Path:
    """Return the file that the witnesses of a test write to."""
    return tmp_path / "beats"
