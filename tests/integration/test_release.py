"""The program that releases for a dead or frozen supervisor, executed as the guard does it, on a real server."""

import json
import os
import select
import signal
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from kazoo.client import KazooClient
from promise import candidates
from proxy import Proxy
from zookeeper import Server

import zkleader
from zkleader.core import records
from zkleader.core.lease import Timing
from zkleader.core.records import Identity, Stat, Unreadable
from zkleader.guard import release
from zkleader.guard.settings import GuardSettings
from zkleader.zk.access import Access
from zkleader.zk.hosts import parse_hosts

PACKAGE = Path(zkleader.__file__).parent
SITE = Path(pytest.__file__).parent.parent
GUID = str(uuid.uuid4())

PATCHED = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("release", {program!r})
release = importlib.util.module_from_spec(spec)
spec.loader.exec_module(release)
sound = release._release
def patched(facts):
    {code}
    return sound(facts)
release._release = patched
sys.exit(release.main())
"""
"""The program, with something done to it as soon as kazoo can be imported."""

IN_ORDER = "import random; random.shuffle = lambda servers: None"
"""kazoo goes through the servers as they are given."""

BEFORE_THE_FIRST_COMMIT = """
    from kazoo.client import TransactionRequest
    sound_commit = TransactionRequest.commit_async
    def commit(self):
        TransactionRequest.commit_async = sound_commit
        client = self.client
        {code}
        return sound_commit(self)
    TransactionRequest.commit_async = commit
"""


Ran = tuple[int, float]
Run = Callable[..., Ran]


@pytest.fixture
def run(tmp_path: Path, election: str, zookeeper: Server) -> Run:
    """Give `run(hosts, code=, lease=)`: the program's status and how long it took."""

    def start(hosts: str = "", *, code: str = "", lease: float = 20.0, deadline: float = 10.0) -> Ran:
        program = tmp_path / "release.py"
        program.write_text(PATCHED.format(program=f"{PACKAGE}/zk/release.py", code=code or "pass"))
        settings = GuardSettings(
            argv=(b"true",),
            executable=b"/bin/true",
            environment={},
            timing=Timing(lease=lease, grace=1.0, stop_timeout=1.0),
            stop_signal=signal.SIGTERM,
            supervisor_pid=os.getpid(),
            search_path=(str(SITE), str(PACKAGE.parent)),
            release={
                "access": Access(hosts=parse_hosts(hosts or zookeeper.hosts)).to_json(),
                "election": election,
                "reason": "supervisor_gone",
                "status": None,
            },
            release_program=str(program),
        )
        began = time.monotonic()
        started = release.start(settings, GUID)
        poll = select.poll()
        poll.register(ended := os.pidfd_open(started.pid), select.POLLIN)
        poll.poll(deadline * 1000)
        os.close(ended)
        took = time.monotonic() - began
        started.abandon()  # no more than a zombie, unless it took too long
        return os.waitstatus_to_exitcode(os.waitpid(started.pid, 0)[1]), took

    return start


@pytest.fixture
def held(kazoo_client: KazooClient, election: str) -> str:
    """Have a lease record that our guid holds, and a candidate that bears it; return the record's path."""
    path = f"{election}/lease-0"
    kazoo_client.create(path, makepath=True)
    kazoo_client.set(path, our_claim(kazoo_client.exists(path).czxid))
    kazoo_client.create(f"{election}/{GUID}-n_", b"{}", sequence=True)
    return path


def our_claim(czxid: int) -> bytes:
    """Return what we would write over the record that this zxid has created."""
    identity = Identity(id="a", host="h", pid=1, command="c", version="0")
    stat = Stat(czxid=czxid, mzxid=1, version=0, mtime=0, ctime=0)
    old = Unreadable(reason="none yet")
    return records.encode(records.claimed(old, stat, guid=GUID, beat=1, lease=20.0, identity=identity))


def is_released(client: KazooClient, path: str) -> bool:
    return bool(json.loads(client.get(path)[0])["released"])


def test_it_releases_the_record_and_deletes_the_candidate(
    run: Run, held: str, kazoo_client: KazooClient, election: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Status 0 tells the guard, and it says nothing."""
    assert run()[0] == 0
    assert is_released(kazoo_client, held)
    assert candidates(kazoo_client, election) == []
    assert capfd.readouterr() == ("", "")


def test_an_election_that_does_not_exist_holds_nothing(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """A supervisor that died before it had created anything is not worth a line."""
    assert run()[0] == 0
    assert capfd.readouterr() == ("", "")


def test_a_record_without_data_is_left_alone(run: Run, kazoo_client: KazooClient, election: str) -> None:
    """What others wrote is not trusted: a znode may have no data at all, which is not the same as empty."""
    kazoo_client.create(f"{election}/lease-0", None, makepath=True)
    kazoo_client.create(f"{election}/{GUID}-n_", b"{}", sequence=True)
    assert run()[0] == 0
    assert candidates(kazoo_client, election) == []


def test_a_claim_that_was_under_way_is_released_too(
    run: Run, held: str, kazoo_client: KazooClient, election: str
) -> None:
    """A frozen supervisor's claim may be applied after the record was read: only a further look proves that it was not.

    The claim's check of the candidate is passed, because the candidate is deleted after it.
    """
    kazoo_client.set(held, records.new_record(released=True))
    claim = f"client.set({held!r}, {our_claim(kazoo_client.exists(held).czxid)!r})"
    assert run(code=BEFORE_THE_FIRST_COMMIT.format(code=claim))[0] == 0
    assert is_released(kazoo_client, held)
    assert candidates(kazoo_client, election) == []


def test_a_claim_that_hit_a_record_made_anew_is_not_released(
    run: Run, held: str, kazoo_client: KazooClient, election: str
) -> None:
    """Its supervisor died before it had learned of that: the record says that somebody unknown may lead."""
    kazoo_client.set(held, our_claim(kazoo_client.exists(held).czxid - 1))
    assert run()[0] == 0
    assert not is_released(kazoo_client, held)
    assert candidates(kazoo_client, election) == []


def test_a_connection_lost_on_the_way_costs_a_moment(
    run: Run, held: str, kazoo_client: KazooClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """Each look reads again, so what became of the last commit need not be known."""
    cut = "import socket; client._connection._socket.shutdown(socket.SHUT_RDWR)"
    status, took = run(code=BEFORE_THE_FIRST_COMMIT.format(code=cut))
    assert status == 0
    assert is_released(kazoo_client, held)
    assert took < 3
    assert capfd.readouterr() == ("", "")


def test_a_server_that_falls_silent_on_the_way_is_left(
    run: Run, held: str, kazoo_client: KazooClient, capfd: pytest.CaptureFixture[str]
) -> None:
    """Requests have a deadline too: a frozen server would otherwise use up all the time that the guard gives."""
    silent = "return client.handler.async_result()"
    status, took = run(code=BEFORE_THE_FIRST_COMMIT.format(code=silent), lease=5.0)
    assert status == 0
    assert is_released(kazoo_client, held)
    assert 1 <= took < 3
    assert capfd.readouterr() == ("", "")


def test_no_server_at_all_is_told_in_one_line(run: Run, proxy: Proxy, capfd: pytest.CaptureFixture[str]) -> None:
    """Status 1, and the reason; the guard adds that others wait the lease out."""
    proxy.refuse()
    status, _ = run(proxy.hosts, lease=2.0)
    assert status == 1
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("zkleader: cannot release: ")
    assert "refused" in line


def test_a_name_is_looked_up(run: Run, held: str, kazoo_client: KazooClient, zookeeper: Server) -> None:
    """It is given what the user has given; the addresses that the supervisor knew died with it."""
    assert run(f"localhost:{zookeeper.port}")[0] == 0
    assert is_released(kazoo_client, held)


HANGING = "import socket, time; socket.getaddrinfo = lambda *_, **__: time.sleep(30)"


def test_a_name_service_that_hangs_is_not_waited_for(run: Run, capfd: pytest.CaptureFixture[str]) -> None:
    """It has no limit of its own; one line says why, where the guard would have to kill it without a word."""
    status, took = run("localhost", code=HANGING, lease=2.0)
    assert status == 1
    assert took < 4
    assert capfd.readouterr().err == "zkleader: cannot release: no address of localhost:2181 is known\n"


@pytest.mark.parametrize("fault", ["black_hole", "cut", "refuse"])
def test_a_bad_server_first_in_the_list_does_not_cost_the_release(
    run: Run, held: str, kazoo_client: KazooClient, proxy: Proxy, fault: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """Off, silent, or without a server: connecting is capped as the supervisor's is, and kazoo's warnings reach nobody.

    Black-holed it would take the session timeout, and the guard waits no longer than ten seconds.
    """
    getattr(proxy, fault)()
    status, took = run(f"{proxy.hosts},{zookeeper_of(proxy)}", code=IN_ORDER)
    assert status == 0
    assert is_released(kazoo_client, held)
    assert took < 4
    assert capfd.readouterr() == ("", "")


def zookeeper_of(proxy: Proxy) -> str:
    host, port = proxy.target
    return f"{host}:{port}"
