"""Candidates of one election on real servers, running a witness unless told otherwise; and terminals."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from candidate import GRACE, LEASE, Candidate
from kazoo.client import KazooClient
from keys import Authority
from program import Program
from promise import candidates
from terminal import PROMPT, SHELLS, Terminal
from waiting import wait_until
from zookeeper import Server

WITNESS = Path(__file__).resolve().parent.parent / "witness.py"


@pytest.fixture
def candidate(programs: Callable[..., Program], zookeeper: Server, election: str, beats: Path) -> Candidate:
    """Give `candidate(id, *options, hosts=, witness=, command=, env=)`: a run in the test's election."""

    def start(
        name: str,
        *options: str,
        hosts: str = "",
        witness: tuple[str, ...] = (),
        command: tuple[str, ...] = (),
        program: tuple[str, ...] = (sys.executable, "-m", "zkleader"),
        **rest: object,
    ) -> Program:
        timing = () if "--lease" in options else ("--lease", f"{LEASE}s", "--grace", f"{GRACE}s")
        line = command or (sys.executable, "-I", "-S", str(WITNESS), str(beats), *witness)
        where = ("-z", hosts or zookeeper.hosts, "-e", election, "--id", name)
        return programs("run", "-v", *where, *timing, *options, "--", *line, command=program, **rest)

    return start


@pytest.fixture
def open_terminal() -> Iterator[Callable[..., Terminal]]:
    """Give `open_terminal(*leader)`: a terminal whose shell is at its prompt, or whose leader is another program."""
    opened: list[Terminal] = []

    def start(*leader: str) -> Terminal:
        terminal = Terminal(*leader)
        opened.append(terminal)
        if not leader or leader in SHELLS.values():
            terminal.wait_for(PROMPT)
        return terminal

    yield start
    for terminal in opened:
        print(terminal.report())
        terminal.close()


@pytest.fixture
def terminal(open_terminal: Callable[..., Terminal]) -> Terminal:
    """Return a terminal whose bash is at its prompt."""
    return open_terminal()


@pytest.fixture
def run(zookeeper: Server, election: str) -> str:
    """Return the words of a run up to its options."""
    return f"{sys.executable} -m zkleader run -z {zookeeper.hosts} -e {election}"


@pytest.fixture
def assert_nothing_left(kazoo_client: KazooClient, election: str) -> Callable[[Terminal], None]:
    """Give `assert_nothing_left(terminal)`: no process but the shell, no candidate; the shell has the terminal."""

    def check(terminal: Terminal) -> None:
        terminal.wait_nothing_left()
        wait_until(lambda: not candidates(kazoo_client, election), what="no candidate left")
        if terminal.leader.poll() is None:
            terminal.wait_foreground(terminal.leader.pid, "the shell")

    return check


USERS = {"app": "correct horse"}
"""Whom the secured server knows by SASL."""


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Give the certificate authority that the secured servers and their clients trust."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def secured(authority: Authority) -> Iterator[Server]:
    """One real server for the whole run that authenticates: by SASL (USERS), digest, and, to localhost, certificates.

    Everybody may create elections in it: who creates the first one would otherwise own what they all lie in.
    """
    keys = authority.server_settings(authority.issue("localhost"))
    with Server(tls=keys, users=USERS) as server:
        operator = KazooClient(server.hosts)
        operator.start()
        operator.create("/zkleader")
        operator.stop()
        operator.close()
        yield server


@pytest.fixture
def auth_file(tmp_path: Path) -> Callable[..., str]:
    """Give `auth_file(line, ...)`: a file of these lines that is for us alone."""

    def write(*lines: str) -> str:
        path = tmp_path / f"auth-{len(list(tmp_path.glob('auth-*')))}"
        path.touch(mode=0o600)
        path.write_text("\n".join(lines))
        return str(path)

    return write
