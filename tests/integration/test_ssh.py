"""`ssh HOST zkleader run ...`: pipes in place of a terminal, and a connection that goes away.

Without `-t` the server gives the program pipes, and a session without a controlling terminal. When the connection goes
away, whether with its client or with the network, the server closes its ends: standard input ends, and what is written
meets nobody. It sends no signal. So COMMAND fares as under plain ssh: one that neither reads nor writes goes on, and
its host goes on leading; our own lines, which nobody gets, disturb nothing.
"""

import os
import shlex
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import pytest
from candidate import LEASE, SHORT, Candidate
from kazoo.client import KazooClient
from processes import MARK
from program import CHECKOUT, Program
from promise import assert_nothing_left, assert_promise, token_of, wait_acting
from ssh import SshServer, why_not
from waiting import wait_until
from witness import beats_in

Ssh = Callable[..., Program]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    """Return one server for the whole file."""
    if reason := why_not():
        pytest.skip(reason)
    with SshServer(tmp_path_factory.mktemp("ssh")) as server:
        yield server
        print(server.log())


@pytest.fixture
def ssh(server: SshServer, programs: Callable[..., Program], run: str) -> Ssh:
    """Give `ssh(*words, stdin=)`: a run at the other end of a connection; the program's own process is the client."""

    def start(*words: str, stdin: int = subprocess.DEVNULL) -> Program:
        mark = uuid.uuid4().hex
        line = f"cd {CHECKOUT} && {MARK}={mark} exec {run} {SHORT} {shlex.join(words)}"
        return programs(line, command=server.client, mark=mark, stdin=stdin)

    return start


def supervisor_of(program: Program) -> int:
    """Return the pid of the run at the other end."""
    line = f"{sys.executable} -m zkleader run "
    [pid] = [process.pid for process in program.processes() if process.command.startswith(line)]
    return pid


def write(program: Program, content: bytes) -> IO[bytes]:
    """Send something to its standard input, and return that."""
    assert program.popen.stdin is not None
    program.popen.stdin.write(content)
    program.popen.stdin.flush()
    return program.popen.stdin


def test_streams_and_status_are_the_commands(ssh: Ssh) -> None:
    """There is no terminal to be found, nothing of ours on standard output, and the status arrives."""
    script = "cat; (: </dev/tty) 2>/dev/null && echo terminal; exit 7"
    program = ssh("--", "sh", "-c", script, stdin=subprocess.PIPE)
    write(program, b"from here\n").close()
    assert program.wait() == 7
    assert program.stdout == ["from here"]
    assert [line for line in program.stderr if "zkleader" in line] == []
    program.assert_nothing_left(deadline=5)


def test_when_the_connection_goes_away_the_command_goes_on_and_its_host_leads(
    ssh: Ssh, server: SshServer, candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str
) -> None:
    """No signal comes, and log lines that nobody gets any more do not disturb it."""
    witness = Path(__file__).parent.parent / "witness.py"
    first = ssh("-v", "--", sys.executable, "-I", "-S", str(witness), str(beats))
    token = wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    supervisor = supervisor_of(first)
    first.popen.kill()
    server.wait_no_session()
    last = beats_in(beats)[-1]

    def later() -> bool:
        return beats_in(beats)[-1].at_ns - last.at_ns > 1e9 * LEASE

    wait_until(later, deadline=3 * LEASE, what="beats for longer than a lease")
    assert {beat.token for beat in beats_in(beats)} == {token}
    os.kill(supervisor, signal.SIGTERM)
    wait_acting(second, beats, deadline=LEASE / 2)
    assert_promise(beats, tenures=2)
    second.signal(signal.SIGTERM)
    second.wait()
    assert_nothing_left(first, second, client=kazoo_client, election=election)


def test_a_command_that_reads_ends_with_the_connection_and_leadership_is_released(
    ssh: Ssh, candidate: Candidate, kazoo_client: KazooClient, election: str
) -> None:
    """Its input ends, as under plain ssh, and the next one starts at once."""
    first = ssh("-v", "--", "cat", stdin=subprocess.PIPE)
    write(first, b"a line\n")
    first.wait_for("^a line$", stream="stdout")
    second = candidate("b", command=("true",))
    second.wait_for("event=waiting ")
    first.popen.kill()
    token_of(second, deadline=LEASE / 2)
    assert second.wait() == 0
    assert_nothing_left(first, second, client=kazoo_client, election=election)
