"""``status`` and ``is-leader`` on real servers: who leads, who waits, what may not or cannot be read, and what is lost.

Candidates are real ones; the rest is what an operator, or somebody with bad intentions, may have put there.
"""

import contextlib
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from candidate import LEASE, Candidate
from kazoo.client import KazooClient
from kazoo.security import make_acl
from program import Program
from promise import wait_acting
from proxy import Proxy
from terminal import CTRL_C, Terminal
from waiting import wait_until
from zookeeper import Server

Programs = Callable[..., Program]
HIDDEN = [make_acl("digest", "x:y", all=True)]
READ_ONLY = [make_acl("world", "anyone", read=True)]


@pytest.fixture
def look(programs: Programs, zookeeper: Server) -> Callable[..., Program]:
    """Give `look("status", ...)`: the program, ended, on the shared server."""

    def run(*arguments: str, hosts: str = "", **options: object) -> Program:
        program = programs(arguments[0], "-z", hosts or zookeeper.hosts, *arguments[1:], **options)
        program.wait(20)
        return program

    return run


def only(program: Program) -> Any:
    """Return the one election of the one document that was written."""
    [line] = program.stdout
    document = json.loads(line)
    assert document["format"] == 1
    [election] = document["elections"]
    return election


def documents(program: Program) -> list[Any]:
    return [json.loads(line) for line in program.stdout]


def error_of(program: Program) -> str:
    """Return the only line on standard error."""
    [line] = program.stderr
    assert line.startswith("zkleader: cannot ")
    return line


# ---- who leads


def test_a_leader_its_queue_and_what_became_of_it(
    look: Callable[..., Program], candidate: Candidate, election: str, beats: Any, kazoo_client: KazooClient
) -> None:
    """From the first claim to the last release, as ZooKeeper has it."""
    first = candidate("a")
    token = wait_acting(first, beats)
    second = candidate("b")
    second.wait_for("event=waiting ")
    program = look("status", election, "--json")
    assert program.returncode == 0
    seen = only(program)
    [slot] = seen["slots"]
    names = sorted((name for name in kazoo_client.get_children(election) if "-n_" in name), key=lambda name: name[-10:])
    owner = kazoo_client.get(f"{election}/{names[0]}")[1].ephemeralOwner
    assert seen["state"] == "led"
    wanted = {
        "state": "leads",
        "id": "a",
        "host": socket.gethostname(),
        "pid": first.pid,
        "token": token,
        "lease": LEASE,
        "candidate": names[0],
        "session": f"{owner:#x}",
        "previous": None,
    }
    assert wanted.items() <= slot.items()
    assert [(each["candidate"], each["id"], each["pid"], each["slot"]) for each in seen["candidates"]] == [
        (names[0], "a", first.pid, 0),
        (names[1], "b", second.pid, None),
    ]
    for identity, status in (((), 0), (("--id", "a"), 0), (("--id", "b"), 1)):
        asked = look("is-leader", election, *identity)
        assert (asked.returncode, asked.stdout, asked.stderr) == (status, [], [])
    first.signal(signal.SIGTERM)
    first.wait()
    wait_acting(second, beats)
    slot = only(look("status", election, "--json"))["slots"][0]
    previous = slot["previous"]
    assert (slot["id"], previous["id"], previous["token"]) == ("b", "a", token)
    assert (previous["reason"], previous["status"]) == ("asked", 143)
    assert previous["ended"] <= slot["elected"]
    second.signal(signal.SIGTERM)
    second.wait()
    program = look("status", election)
    assert program.returncode == 3
    assert "    leader: nobody: released" in program.stdout
    assert look("is-leader", election).returncode == 3


def test_a_leader_whose_host_died_is_not_shown_as_one(
    look: Callable[..., Program], candidate: Candidate, election: str, beats: Any, kazoo_client: KazooClient
) -> None:
    """Its candidate is gone, or its lease: both are nobody's leadership, and another host may be about to lead."""
    first = candidate("a")
    wait_acting(first, beats)
    [name] = [name for name in kazoo_client.get_children(election) if "-n_" in name]
    first.die_as_host()
    kazoo_client.delete(f"{election}/{name}")
    program = look("status", election, "--json")
    assert (program.returncode, only(program)["slots"][0]["state"]) == (3, "lost")
    assert look("is-leader", election, "--id", "a").returncode == 3


def test_a_lease_that_lapses_is_seen_to_lapse(programs: Programs, election: str) -> None:
    """Somebody who is frozen keeps the session, and so the place in the queue, longer than the lease."""
    with Server(min_session_timeout=60_000) as server:
        leader = programs(
            "run", "-v", "-z", server.hosts, "-e", election, "--lease", "2s", "--grace", "0", "sleep", "1000"
        )
        leader.wait_for("event=command_started ")
        watching = programs("status", "-z", server.hosts, election, "--json", "--watch")
        watching.wait_for(lambda line: '"state": "leads"' in line, stream="stdout")
        leader.guard_pid()
        for process in leader.processes():  # nobody of them can release
            os.kill(process.pid, signal.SIGSTOP)
        watching.wait_for(lambda line: '"state": "lapsed"' in line, stream="stdout")
        assert [each["elections"][0]["slots"][0]["state"] for each in documents(watching)] == ["leads", "lapsed"]


# ---- several elections, and what is none


def test_elections_are_found_below_the_chroot_and_nothing_is_made(
    look: Callable[..., Program], programs: Programs, chroot: str, kazoo_client: KazooClient
) -> None:
    """An operator who looks at a fresh or a misspelt place must not leave one there."""
    top = "/" + chroot.partition("/")[2]
    for arguments, line in (
        (("status",), "cannot find elections below /zkleader: there are none"),
        (("status", "job"), "cannot find /zkleader/job: no such election"),
        (("is-leader", "job"), "cannot find /zkleader/job: no such election"),
    ):
        program = look(*arguments, hosts=chroot)
        assert (program.returncode, program.stdout, program.stderr) == (4, [], [f"zkleader: {line}"])
    assert kazoo_client.exists(top) is None
    for name in ("job", "dc/night"):
        assert programs("run", "-z", chroot, "-e", name, "true").wait() == 0
    kazoo_client.create(f"{top}/zkleader/hidden", acl=HIDDEN)
    kazoo_client.create(f"{top}/zkleader/empty")
    program = look("status", hosts=chroot)
    assert [line.split()[:4] for line in program.stdout[1:]] == [
        ["dc/night", "0", "nobody", "(released)"],
        ["hidden", "-", "unknown", "(not"],
        ["job", "0", "nobody", "(released)"],
    ]
    assert program.returncode == 77
    assert error_of(program) == "zkleader: cannot read /zkleader/hidden: not permitted"
    kazoo_client.delete(f"{top}/zkleader/hidden")
    assert look("status", hosts=chroot).returncode == 3
    assert look("status", "empty", hosts=chroot).returncode == 4
    with_leader = programs("run", "-z", chroot, "-v", "-e", "job", "sleep", "100")
    with_leader.wait_for("event=command_started ")
    assert look("status", hosts=chroot).returncode == 0


def test_reading_is_all_that_it_takes(
    look: Callable[..., Program], election: str, kazoo_client: KazooClient, zookeeper: Server
) -> None:
    """Whoever may only read is shown everything, and adds nothing: no znode and no write."""
    kazoo_client.ensure_path("/zkleader")
    record = {"format": 1, "holder": "g", "beat": 1, "lease_ms": 4000, "released": False, "token": 5, "id": "a"}
    kazoo_client.create(election)
    kazoo_client.create(f"{election}/lease-0", json.dumps(record).encode(), acl=READ_ONLY)
    kazoo_client.create(f"{election}/g-n_", b"{}", acl=READ_ONLY, ephemeral=True, sequence=True)
    kazoo_client.set_acls(election, READ_ONLY)
    before = counter(zookeeper, "zk_znode_count")
    program = look("status", election, "--json")
    assert (program.returncode, only(program)["slots"][0]["id"]) == (0, "a")
    assert counter(zookeeper, "zk_znode_count") == before


def counter(server: Server, name: str) -> float:
    lines = (server.ask("mntr") or "").splitlines()
    return float(next(line.split()[1] for line in lines if line.split()[0] == name))


@pytest.mark.parametrize("what", ["election", "record"])
def test_what_may_not_be_read_is_77_and_named(
    look: Callable[..., Program], election: str, kazoo_client: KazooClient, what: str
) -> None:
    """Not 3: perhaps somebody leads."""
    kazoo_client.ensure_path(election.rpartition("/")[0] if what == "election" else election)
    hidden = election if what == "election" else f"{election}/lease-0"
    kazoo_client.create(hidden, b"", acl=HIDDEN)
    for command in ("status", "is-leader"):
        program = look(command, election)
        assert program.returncode == 77
        assert error_of(program) == f"zkleader: cannot read {hidden}: not permitted"


def test_garbage_is_shown_as_such(look: Callable[..., Program], election: str, kazoo_client: KazooClient) -> None:
    """Whatever others put there: no traceback, nothing that steers the terminal, and the rest is shown."""
    evil = {"format": 1, "id": "\x1b]0;t\x07\u202e", "host": ["x"], "pid": "1", "lease_ms": 1e400, "version": "\ud800"}
    wanted: list[tuple[str, bytes, str]] = [
        ("uuid", b"x" * 1_000_000, "unreadable"),
        ("uuid", b"[" * 900_000, "unreadable"),
        ("uuid", b'{"format": 3}', "newer_format"),
        ("_c_uuid-latch-", b"host", "foreign"),
        ("uuid", json.dumps(evil).encode(), "candidate"),
    ]
    kazoo_client.create(f"{election}/lease-0", b"\xff" * 1_000_000, makepath=True)
    for name in ("lease-x", "con\u0301fig", "a\u00adb"):
        kazoo_client.create(f"{election}/{name}")
    for name, data, _ in wanted:
        prefix = name.replace("uuid", str(uuid.uuid4())) + ("-n_" if name == "uuid" else "")
        kazoo_client.create(f"{election}/{prefix}", data, ephemeral=True, sequence=True)
    program = look("status", election, "--json")
    seen = only(program)
    assert (program.returncode, seen["state"], seen["slots"][0]["state"]) == (3, "nobody", "unreadable")
    assert [each["state"] for each in seen["candidates"]] == [kind for _, _, kind in wanted]
    assert seen["candidates"][-1]["id"] == evil["id"]
    program = look("status", election)
    assert program.returncode == 3
    assert all(line.isprintable() for line in program.stdout)
    assert any("\\x1b]0;t\\x07\\u202e" in line for line in program.stdout)
    kazoo_client.set(f"{election}/lease-0", b'{"format": 9}')
    for command in ("status", "is-leader"):
        program = look(command, election)
        assert program.returncode == 78
        assert "lease-0 has format 9, and this version knows formats 1 and 2" in error_of(program)


def test_a_thousand_candidates_cost_a_hundred_and_a_few_requests(
    look: Callable[..., Program], own_zookeeper: Server, connect: Callable[[str], KazooClient]
) -> None:
    """However long the queue is: the names, the record and the first hundred; and all of them are counted."""
    client = connect(own_zookeeper.hosts)
    record = {"format": 1, "holder": "", "beat": 0, "lease_ms": 4000, "released": True}
    client.create("/zkleader/job/lease-0", json.dumps(record).encode(), makepath=True)
    made = [
        client.create_async(f"/zkleader/job/{uuid.uuid4()}-n_", b'{"format": 1}', ephemeral=True, sequence=True)
        for _ in range(1000)
    ]
    names = [created.get(timeout=20).rpartition("/")[2] for created in made]
    for command, most, few in (
        (("status", "job", "--json"), 100, 6),
        (("is-leader", "job"), 0, 6),
        (("status",), 0, 7),
    ):
        before = packets_received(own_zookeeper)
        program = look(*command, hosts=own_zookeeper.hosts)
        asked = packets_received(own_zookeeper) - before
        # To connect, to close, for the last look at the counter; a ping of the raw client's perhaps.
        assert most < asked <= most + few + 1
        if command[-1] == "--json":
            assert [each["candidate"] for each in only(program)["candidates"]] == names
            assert [each["state"] for each in only(program)["candidates"]].count("not_read") == 900
    assert "and 900 more" in look("status", "job", hosts=own_zookeeper.hosts).stdout


def packets_received(server: Server) -> int:
    return int(counter(server, "zk_packets_received"))


# ---- servers that do not answer


@contextlib.contextmanager
def half_dead(server: Server, *, connections: int) -> Iterator[str]:
    """Give an address where sessions are opened, and so many connections then get no answer, the others every one."""
    held: list[socket.socket] = []

    def forward(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):  # closed
            while data := source.recv(65536):
                target.sendall(data)

    def serve() -> None:
        with contextlib.suppress(OSError):  # shut down
            while True:
                client, _ = listener.accept()
                real = socket.create_connection(("127.0.0.1", server.port))
                real.sendall(client.recv(65536))
                client.sendall(real.recv(65536))
                held.extend((client, real))
                if len(held) > 2 * connections:
                    for ends in ((client, real), (real, client)):
                        threading.Thread(target=forward, args=ends, daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    for connection in held:
        connection.close()


@pytest.mark.parametrize("command", ["status", "is-leader"])
def test_an_ensemble_that_cannot_be_reached_is_69(look: Callable[..., Program], command: str) -> None:
    """Within the time given, and with the reason and the servers that were tried."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        hosts = f"127.0.0.1:{unused.getsockname()[1]}"
        program = look(command, "job", "--connect-timeout", "500ms", hosts=hosts)
    assert program.returncode == 69
    assert error_of(program) == f"zkleader: cannot reach ZooKeeper at {hosts} within 0.5s: connection refused"
    assert program.stdout == []


def test_a_server_that_accepts_and_never_answers_is_69(look: Callable[..., Program]) -> None:
    """A frozen one, say."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        hosts = f"127.0.0.1:{server.getsockname()[1]}"
        began = time.monotonic()
        program = look("status", "job", "--connect-timeout", "1s", hosts=hosts)
        assert time.monotonic() - began < 5
    assert program.returncode == 69
    assert hosts in error_of(program)


def test_a_server_that_freezes_after_the_handshake_is_69(look: Callable[..., Program], zookeeper: Server) -> None:
    """Its session stands, so only the deadline of the question tells: four seconds beyond the time for connecting."""
    with half_dead(zookeeper, connections=9) as hosts:
        began = time.monotonic()
        program = look("status", "job", "--connect-timeout", "1s", hosts=hosts)
        assert time.monotonic() - began < 9
    assert program.returncode == 69
    assert error_of(program) == f"zkleader: cannot reach ZooKeeper at {hosts} within 1s: no answer"


def test_a_connection_that_goes_silent_is_given_up_for_another(
    look: Callable[..., Program], zookeeper: Server, election: str
) -> None:
    """An operator looks because a server is half dead, and the next one answers."""
    with half_dead(zookeeper, connections=1) as hosts:
        program = look("status", election, "--json", hosts=hosts)
    assert (program.returncode, only(program)["state"]) == (4, "absent")


# ---- watching


def test_changes_are_told_as_they_happen_and_renewals_are_not(
    programs: Programs, candidate: Candidate, election: str, zookeeper: Server
) -> None:
    """One document per change, from an election that is not there yet to one that nobody leads any more."""
    watching = programs("status", "-z", zookeeper.hosts, election, "--json", "--watch")
    watching.wait_for('"state": "absent"', stream="stdout")
    first = candidate("a", "--lease", "2s", "--grace", "0", command=("sleep", "1000"))
    first.wait_for("event=elected ")
    wait_until(lambda: len([line for line in first.stderr if "event=renewed " in line]) > 8, what="nine renewals")
    before = len(watching.stdout)
    assert before < 5
    second = candidate("b", command=("sleep", "1000"))
    watching.wait_for('"id": "b"', stream="stdout", after=before)
    first.signal(signal.SIGTERM)
    watching.wait_for(lambda line: leader_of(line) == "b", stream="stdout")
    second.signal(signal.SIGTERM)
    watching.wait_for(lambda line: '"state": "released"' in line and '"candidates": []' in line, stream="stdout")
    assert len(watching.stdout) == len(set(watching.stdout))
    watching.signal(signal.SIGINT)
    assert watching.wait() == -signal.SIGINT
    assert watching.stderr == []


def leader_of(line: str) -> str | None:
    slots = json.loads(line)["elections"][0]["slots"]
    return next((slot["id"] for slot in slots if slot["state"] == "leads"), None)


def test_all_elections_are_watched(programs: Programs, chroot: str) -> None:
    """One that is new, too."""
    watching = programs("status", "-z", chroot, "--watch")
    watching.wait_for("^ELECTION", stream="stdout")
    assert programs("run", "-z", chroot, "-e", "job", "true").wait() == 0
    watching.wait_for(r"^job +0 +nobody \(released\)", stream="stdout")
    assert "" in watching.stdout, "a blank line parts what is shown again"


def test_a_disconnect_is_told_and_ridden_out(programs: Programs, election: str, proxy: Proxy) -> None:
    """What was seen before is not shown as if it were so now."""
    watching = programs("status", "-z", proxy.hosts, election, "--json", "--watch")
    watching.wait_for('"connected": true', stream="stdout")
    proxy.refuse()
    watching.wait_for('"connected": false', stream="stdout")
    proxy.heal()
    watching.wait_for('"connected": true', stream="stdout", after=2)
    assert [each["connected"] for each in documents(watching)] == [True, False, True]


def test_a_session_that_expires_is_followed_by_another(programs: Programs, election: str) -> None:
    """A watch of weeks survives that its host was suspended."""
    with Server(tick_time=100, max_session_timeout=1000) as server:
        watching = programs("status", "-z", server.hosts, election, "--json", "--watch")
        watching.wait_for('"state": "absent"', stream="stdout")
        watching.pause()
        wait_until(lambda: "sid=" not in (server.ask("cons") or "sid="), what="the session has expired")
        watching.resume()
        assert programs("run", "-z", server.hosts, "-e", election, "--lease", "2s", "-g", "0", "true").wait() == 0
        watching.wait_for('"state": "released"', stream="stdout")


def test_nobody_who_has_gone_is_written_to(programs: Programs, zookeeper: Server, election: str) -> None:
    """`| head -1` ends it though nothing changes, without a word."""
    shell = ("sh", "-c", '"$@" | head -1', "sh", sys.executable, "-m", "zkleader")
    program = programs("status", "-z", zookeeper.hosts, election, "--json", "--watch", command=shell)
    assert program.wait(10) == 0
    program.assert_nothing_left(deadline=5)
    assert (len(program.stdout), program.stderr) == (1, [])


def test_on_a_terminal_it_is_drawn_in_place(zookeeper: Server, election: str, kazoo_client: KazooClient) -> None:
    """With colours unless NO_COLOR says otherwise, and Ctrl-C leaves a prompt below."""
    record = {"format": 1, "holder": "", "beat": 0, "lease_ms": 4000, "released": True}
    kazoo_client.create(f"{election}/lease-0", json.dumps(record).encode(), makepath=True)
    watch = f"{sys.executable} -m zkleader status -z {zookeeper.hosts} --watch {election}"
    with Terminal() as terminal:
        began = terminal.run(f"TERM=xterm {watch}")
        terminal.wait_for("nobody has led yet", after=began)
        kazoo_client.set(f"{election}/lease-0", json.dumps(record | {"holder": "g"}).encode())
        terminal.wait_for("leader: nobody: released", after=began)
        assert re.search(r"\x1b\[5A\x1b\[J", terminal.screen[began:]), terminal.report()
        assert "\x1b[33m" in terminal.screen[began:]
        ended = terminal.type(CTRL_C)
        terminal.run("echo status $?")
        terminal.wait_for("status 130", after=ended)
        began = terminal.run(f"NO_COLOR=1 TERM=xterm {watch}")
        terminal.wait_for("leader: nobody: released", after=began)
        assert not re.search(r"\x1b\[\d+m", terminal.screen[began:])
        terminal.type(CTRL_C)
        began = terminal.run(watch)  # TERM is dumb
        terminal.wait_for("leader: nobody: released", after=began)
        kazoo_client.delete(f"{election}/lease-0")
        terminal.wait_for("there is no such election", after=began)
        assert "\x1b" not in terminal.screen[began:]
        terminal.type(CTRL_C)
