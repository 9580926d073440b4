"""Every exit status of `run`, on a real server, with the one line that goes with it."""

import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from kazoo.security import make_acl, make_digest_acl
from program import Program
from promise import assert_nothing_left, candidates, wait_acting
from waiting import wait_until
from zookeeper import Server

Programs = Callable[..., Program]


def one_line(program: Program) -> str:
    """Return the only line on standard error, and check that nothing stands on standard output."""
    assert program.stdout == []
    assert len(program.stderr) == 1, program.stderr
    assert program.stderr[0].startswith("zkleader: ")
    return program.stderr[0]


@pytest.mark.parametrize("status", [0, 1, 3, 75, 79, 255])
def test_the_commands_own_status_is_ours(programs: Programs, zookeeper: Server, election: str, status: int) -> None:
    """Scripts branch on it; without a terminal a healthy run says nothing (cron sends no mail)."""
    program = programs("run", "-z", zookeeper.hosts, "-e", election, "sh", "-c", f"exit {status}")
    assert program.wait() == status
    assert program.stderr == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGHUP])
def test_a_command_that_dies_of_a_signal_takes_us_with_it(
    programs: Programs, zookeeper: Server, election: str, number: signal.Signals
) -> None:
    """We die of the same signal, so that a shell sees 128+n and systemd the signal."""
    program = programs("run", "-z", zookeeper.hosts, "-e", election, "sh", "-c", f"kill -{int(number)} $$")
    assert program.wait() == -number


def test_an_unreachable_ensemble_is_69(programs: Programs, election: str) -> None:
    """Whatever -n and -w say: not reached is not "not elected"."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        hosts = f"127.0.0.1:{unused.getsockname()[1]}"
        program = programs("run", "-z", hosts, "-e", election, "--connect-timeout", "500ms", "-n", "true")
        assert program.wait() == 69
    assert "cannot reach ZooKeeper" in one_line(program)
    assert "refused" in one_line(program)


def test_a_server_that_accepts_and_never_answers_is_69(programs: Programs, election: str) -> None:
    """A frozen server must not hang us beyond the deadline."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        hosts = f"127.0.0.1:{server.getsockname()[1]}"
        program = programs("run", "-z", hosts, "-e", election, "--connect-timeout", "1s", "true")
        assert program.wait(8) == 69
    assert "cannot reach ZooKeeper" in one_line(program)


def test_a_server_that_talks_nonsense_is_69(programs: Programs, election: str) -> None:
    """Another service on that port: one line, no traceback."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        hosts = f"127.0.0.1:{server.getsockname()[1]}"
        program = programs("run", "-z", hosts, "-e", election, "--connect-timeout", "1s", "true")
        server.settimeout(5)
        connection, _ = server.accept()
        with connection:
            connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 20)
            assert program.wait(8) == 69
    assert "cannot reach ZooKeeper" in one_line(program)


@pytest.mark.parametrize(("options", "status"), [((), 75), (("-E", "0"), 0), (("-E", "99"), 99)])
def test_not_elected_in_time(
    candidate: Candidate,
    programs: Programs,
    beats: Path,
    zookeeper: Server,
    election: str,
    options: tuple[str, ...],
    status: int,
) -> None:
    """-n gives up at once and -w after its time, with -E's status, and says nothing without a terminal."""
    wait_acting(candidate("a"), beats)
    for limit in (("-n",), ("-w", "300ms"), ("-w", "0")):
        program = programs("run", "-z", zookeeper.hosts, "-e", election, *limit, *options, "true")
        assert program.wait() == status
        assert program.stderr == []


def test_waiting_long_enough_gets_in(candidate: Candidate, beats: Path) -> None:
    """-w counts only while somebody is ahead."""
    wait_acting(candidate("a", witness=("--lifetime", "1")), beats)
    second = candidate("b", "-w", "10s", command=("true",))
    assert second.wait() == 0


def test_an_acl_that_keeps_us_out_is_77(
    programs: Programs, zookeeper: Server, election: str, kazoo_client: KazooClient
) -> None:
    """One line that says what was not permitted, and nothing left."""
    kazoo_client.create(election, b"", acl=[make_digest_acl("u", "p", all=True)], makepath=True)
    program = programs("run", "-z", zookeeper.hosts, "-e", election, "true")
    assert program.wait() == 77
    assert "not permitted" in one_line(program)


def test_a_record_that_may_not_be_written_is_77(
    programs: Programs, zookeeper: Server, election: str, kazoo_client: KazooClient
) -> None:
    """The claim is refused by an ACL: leave the queue."""
    kazoo_client.create(election, b"", makepath=True)
    data = json.dumps({"format": 1, "holder": "", "beat": 0, "lease_ms": 1000, "released": True}).encode()
    kazoo_client.create(
        f"{election}/lease-0", data, acl=[make_digest_acl("u", "p", all=True), make_acl("world", "anyone", read=True)]
    )
    program = programs("run", "-z", zookeeper.hosts, "-e", election, "true")
    assert program.wait() == 77
    assert "cannot write the lease record" in one_line(program)
    wait_until(lambda: not candidates(kazoo_client, election), what="the queue is empty")


def test_a_record_of_a_newer_format_is_78(
    programs: Programs, zookeeper: Server, election: str, kazoo_client: KazooClient
) -> None:
    """A later version rules here: it is never claimed and never touched."""
    kazoo_client.create(f"{election}/lease-0", b'{"format": 3, "new": true}', makepath=True)
    program = programs("run", "-z", zookeeper.hosts, "-e", election, "true")
    assert program.wait() == 78
    assert "format 3" in one_line(program)
    assert kazoo_client.get(f"{election}/lease-0")[0] == b'{"format": 3, "new": true}'


def test_a_timing_that_cannot_work_is_78_before_anything_is_created(
    programs: Programs, zookeeper: Server, election: str, kazoo_client: KazooClient
) -> None:
    """The message has both values, both names and the inequality."""
    program = programs("run", "-z", zookeeper.hosts, "-e", election, "--lease", "4s", "true")
    assert program.wait() == 78
    line = one_line(program)
    assert "--grace 5s" in line
    assert "--lease 4s" in line
    assert kazoo_client.exists(election) is None


@pytest.mark.parametrize(
    "arguments",
    [
        ("--nonsense", "true"),
        ("-w", "soon", "true"),
        ("-w", "-1", "true"),
        ("--lease", "0", "true"),
        ("--lease", "90s", "true"),
        ("-s", "NOPE", "true"),
        ("-s", "STOP", "true"),
        ("-E", "256", "true"),
        ("--on-loss", "panic", "true"),
        ("--on-disconnect", "panic", "true"),
        ("-n", "-w", "5", "true"),
        ("-v", "-q", "true"),
        ("-z", "http://x:1", "true"),
        ("-z", "x:y", "true"),
        ("-z", "x:0", "true"),
        ("-z", "", "true"),
        ("-z", "x:1/a//b", "true"),
        ("-z", "x:1/a,y:1/a", "true"),
        ("-E", "many", "true"),
        ("-e",),
        ("-e", "a//b", "true"),
        ("-e", "/", "true"),
        ("-e", "", "true"),
        ("--id", "", "true"),
        ("--id", "a\nb", "true"),
        ("--id", "x" * 256, "true"),
        ("-e", "x" * 2000, "true"),
        ("sh", "-c", "true"),
        ("python3.11", "job.py"),
        (),
    ],
)
def test_wrong_usage_is_64_and_one_line(programs: Programs, arguments: tuple[str, ...]) -> None:
    """No option may fail late, or with a page of help, or with a traceback."""
    program = programs("run", *arguments)
    assert program.wait() == 64
    one_line(program)


@pytest.mark.parametrize(("name", "value"), [("GRACE", "lots"), ("LEASE", "1s"), ("ID", "a\nb"), ("ELECTION", "a//b")])
def test_a_wrong_value_in_the_environment_names_the_variable(programs: Programs, name: str, value: str) -> None:
    """Or the user would look for an option that was never given."""
    program = programs("run", "true", env={f"ZKLEADER_RUN_{name}": value})
    assert program.wait() == 64
    assert f"ZKLEADER_RUN_{name}" in one_line(program)


def test_an_option_wins_over_the_variable_that_contradicts_it(programs: Programs) -> None:
    """A unit's Environment= must not keep anybody from trying something by hand."""
    program = programs(
        "run", "-z", "127.0.0.1:1", "--connect-timeout", "100ms", "-w", "5", "true", env={"ZKLEADER_RUN_NONBLOCK": "1"}
    )
    assert program.wait() == 69


@pytest.mark.parametrize("arguments", [("--help",), ("run", "--help"), ("--version",)])
def test_help_that_cannot_be_written_is_told_in_one_line(arguments: tuple[str, ...]) -> None:
    """A full disk, or a standard output that is closed: no traceback."""
    command = [sys.executable, "-m", "zkleader", *arguments]
    with Path("/dev/full").open("wb") as full:
        ended = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False, timeout=30)
    assert (ended.returncode, ended.stderr) == (
        1,
        "zkleader: cannot write to standard output: no space left on device\n",
    )
    closed = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=False, timeout=30
    )
    assert (closed.returncode, closed.stderr) == (1, "zkleader: cannot write to standard output: bad file descriptor\n")


@pytest.mark.parametrize("words", [("status", "--json", "q"), ("status", "--watch", "q"), ("check", "q")])
def test_a_closed_standard_output_is_no_written_one(zookeeper: Server, words: tuple[str, ...]) -> None:
    """Whoever reads the status must not take for told what nobody was told."""
    command = [sys.executable, "-m", "zkleader", words[0], "-z", zookeeper.hosts, *words[1:]]
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *command], stderr=subprocess.PIPE, text=True, check=False, timeout=30
    )
    assert (ended.returncode, ended.stderr) == (1, "zkleader: cannot write to standard output: bad file descriptor\n")


def test_who_writes_nothing_needs_no_standard_output(zookeeper: Server) -> None:
    """A daemon's health check may have closed it."""
    ended = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "zkleader", "is-leader", "-z", zookeeper.hosts, "q"],
        stderr=subprocess.PIPE, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (4, "zkleader: cannot find /zkleader/q: no such election\n")


def test_the_command_finds_closed_what_we_found_closed(
    programs: Programs, zookeeper: Server, election: str, tmp_path: Path
) -> None:
    """A daemon's COMMAND may rely on it, and none of our own descriptors may take the numbers."""
    seen = tmp_path / "seen"
    look = (
        "import os, sys, pathlib\n"
        "def is_open(number):\n"
        "    try:\n"
        "        return bool(os.fstat(number))\n"
        "    except OSError:\n"
        "        return False\n"
        "found = [number for number in (0, 1, 2) if is_open(number)]\n"
        "pathlib.Path(sys.argv[1]).write_text(str(found))"
    )
    started = ("sh", "-c", 'exec "$@" <&- 2>&-', "sh", sys.executable, "-m", "zkleader")
    where = ("run", "-z", zookeeper.hosts, "-e", election, "--")
    program = programs(*where, sys.executable, "-I", "-S", "-c", look, str(seen), command=started)
    assert program.wait() == 0
    assert seen.read_text() == "[1]"


def test_a_command_that_is_not_there_is_127_before_campaigning(
    programs: Programs, zookeeper: Server, kazoo_client: KazooClient
) -> None:
    """Looked up first: nobody should lead with nothing to run."""
    program = programs("run", "-z", zookeeper.hosts, "no-such-command-anywhere")
    assert program.wait() == 127
    assert "not found" in one_line(program)
    assert kazoo_client.exists("/zkleader/no-such-command-anywhere") is None


def test_a_command_that_may_not_be_executed_is_126(programs: Programs, zookeeper: Server, tmp_path: Path) -> None:
    """A file without the permission, and a directory."""
    (tmp_path / "job").write_text("#!/bin/sh\n")
    for path in (tmp_path / "job", tmp_path):
        program = programs("run", "-z", zookeeper.hosts, str(path))
        assert program.wait() == 126
        one_line(program)


def test_a_command_that_vanishes_while_waiting_is_127(
    candidate: Candidate, beats: Path, tmp_path: Path, election: str, kazoo_client: KazooClient
) -> None:
    """Found at the start, gone when elected: the tenure is released at once."""
    job = tmp_path / "job"
    job.write_text("#!/bin/sh\nexit 0\n")
    job.chmod(0o755)
    first = candidate("a")
    wait_acting(first, beats)
    second = candidate("b", command=(str(job),))
    second.wait_for("event=waiting ")
    job.unlink()
    first.signal(signal.SIGTERM)
    assert second.wait() == 127
    third = candidate("c", "-n", command=("true",))
    assert third.wait() == 0
    assert_nothing_left(first, second, third, client=kazoo_client, election=election)


def test_an_interpreter_that_is_not_there_is_127(programs: Programs, zookeeper: Server, tmp_path: Path) -> None:
    """The kernel says ENOENT for the interpreter of a script."""
    job = tmp_path / "job"
    job.write_text("#!/no/such/interpreter\n")
    job.chmod(0o755)
    program = programs("run", "-z", zookeeper.hosts, str(job))
    assert program.wait() == 127


def test_a_script_without_a_first_line_runs_in_sh(programs: Programs, zookeeper: Server, tmp_path: Path) -> None:
    """As execvp, and with it timeout and flock, does it."""
    job = tmp_path / "job"
    job.write_text("exit 5\n")
    job.chmod(0o755)
    program = programs("run", "-z", zookeeper.hosts, str(job))
    assert program.wait() == 5


def test_parsing_stops_at_the_command(programs: Programs, zookeeper: Server, election: str) -> None:
    """`run -n rsync -n a b` gives the second -n to rsync."""
    program = programs("run", "-n", "-z", zookeeper.hosts, "-e", election, "echo", "-n", "--", "x")
    assert program.wait() == 0
    assert program.stdout == ["-- x"]


def test_a_chroot_is_created(programs: Programs, chroot: str, kazoo_client: KazooClient) -> None:
    """A missing one would show only as NoNode later."""
    program = programs("run", "-z", f"{chroot}/deep", "-e", "job", "sh", "-c", "echo $ZKLEADER_ELECTION")
    assert program.wait() == 0
    assert program.stdout == ["/zkleader/job"]
    path = chroot.partition("/")[2]
    assert kazoo_client.exists(f"/{path}/deep/zkleader/job/lease-0")


def test_the_command_gets_its_environment_and_nothing_of_ours(
    programs: Programs, zookeeper: Server, election: str
) -> None:
    """Outputs are set, inherited ones overwritten; options of run, and the watchdog's address, are taken out."""
    script = "import os,sys; sys.stdout.write(repr(dict(os.environb)))"
    program = programs(
        "run",
        "-e",
        election,
        "--id",
        "me",
        sys.executable,
        "-c",
        script,
        env={
            "ZKLEADER_HOSTS": zookeeper.hosts,
            "ZKLEADER_RUN_GRACE": "1s",
            "ZKLEADER_TOKEN": "stale",
            "NOTIFY_SOCKET": "/nowhere",
            "WATCHDOG_USEC": "1",
            "KEPT": "caf\udce9",
            "LC_CTYPE": None,
            "LANG": None,
            "LC_ALL": None,
        },
    )
    assert program.wait() == 0, program.report()
    environment = eval(program.stdout[0])  # it is the repr of a dict that the test itself has asked for
    assert re.fullmatch(rb"\d+", environment[b"ZKLEADER_TOKEN"])
    assert environment[b"ZKLEADER_ELECTION"] == election.encode()
    assert environment[b"ZKLEADER_ID"] == b"me"
    assert environment[b"ZKLEADER_SLOT"] == b"0"
    assert environment[b"KEPT"] == b"caf\xe9"
    names = set(environment)
    assert not names & {b"ZKLEADER_RUN_GRACE", b"NOTIFY_SOCKET", b"WATCHDOG_USEC"}


def test_the_command_keeps_streams_directory_descriptors_and_ignored_signals(
    candidate: Candidate, tmp_path: Path
) -> None:
    """What flock(1) and timeout(1) hand on, we hand on."""
    script = (
        "import os,signal,sys;"
        "print(os.getcwd()); print(sys.stdin.read());"
        "print(signal.getsignal(signal.SIGUSR1), signal.getsignal(signal.SIGPIPE)==signal.SIG_DFL);"
        "print(sorted(int(f) for f in os.listdir('/proc/self/fd'))[:4])"
    )
    (tmp_path / "in").write_text("hello")
    with (tmp_path / "in").open("rb") as source:
        program = candidate("a", command=(sys.executable, "-c", script), cwd=tmp_path, stdin=source)
        assert program.wait() == 0, program.report()
    assert program.stdout[:2] == [str(tmp_path), "hello"]


def test_the_token_is_the_zxid_of_the_claim_and_the_record_tells_the_rest(
    candidate: Candidate, beats: Path, election: str, kazoo_client: KazooClient
) -> None:
    """Operators and fencing read the record; unknown fields that others wrote survive every write."""
    extra = {"format": 1, "holder": "", "beat": 0, "lease_ms": 1000, "released": True, "last_run": {"x": 1}, "our": 2}
    kazoo_client.create(f"{election}/lease-0", json.dumps(extra).encode(), makepath=True)
    first = candidate("a")
    token = wait_acting(first, beats)

    def renewed() -> dict[str, object]:
        record: dict[str, object] = json.loads(kazoo_client.get(f"{election}/lease-0")[0])
        return record if record["token"] else {}

    record = wait_until(renewed, what="the first renewal writes the token")
    assert record["token"] == token
    assert record["our"] == 2
    assert record["last_run"] == {"x": 1}
    first.signal(signal.SIGTERM)
    first.wait()
    record = json.loads(kazoo_client.get(f"{election}/lease-0")[0])
    assert record["released"] is True
    assert record["our"] == 2
    assert record["previous"] == {"id": "a", "token": token, "ended": None, "reason": "asked", "status": 143}
