"""--result on a real server: every outcome, and that the file is this run's, whole, or not there."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from kazoo.security import make_digest_acl
from program import Program
from promise import wait_acting
from proxy import Proxy
from zookeeper import Server

Programs = Callable[..., Program]
FAST = ("--lease", "2s", "--grace", "100ms")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a result file that an earlier run has left."""
    path = tmp_path / "result"
    path.write_text('{"outcome": "old"}')
    return path


def result_of(file: Path) -> dict[str, Any]:
    """Return the result; check what holds of every one."""
    content: dict[str, Any] = json.loads(file.read_text())
    assert content["format"] == 1
    times = [content[name] for name in ("began", "elected", "command_started", "command_ended", "ended")]
    happened = [time for time in times if time is not None]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time) for time in happened)
    assert happened == sorted(happened)
    assert content["command_ran"] == (content["command_started"] is not None)
    assert [path.name for path in file.parent.iterdir() if path.name.startswith(".")] == []
    return content


def told(file: Path) -> tuple[Any, ...]:
    """Return what a script branches on."""
    content = result_of(file)
    names = ("outcome", "reason", "exit_status", "command_ran", "command_status", "command_signal")
    return tuple(content[name] for name in names)


@pytest.mark.parametrize("status", [0, 75, 79])
def test_the_commands_own_status(programs: Programs, zookeeper: Server, election: str, file: Path, status: int) -> None:
    """75 and 79 may be ours as well: here they are not."""
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    program = programs("run", *where, "sh", "-c", f"echo $ZKLEADER_TOKEN; exit {status}")
    assert program.wait() == status
    assert told(file) == ("command_ended", "ended", status, True, status, None)
    content = result_of(file)
    assert content["token"] == int(program.stdout[0])
    assert content["election"] == election
    assert program.stderr == []


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_command_that_dies_of_a_signal(
    programs: Programs, zookeeper: Server, election: str, file: Path, number: signal.Signals
) -> None:
    """Written before we die of it too."""
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    program = programs("run", *where, "sh", "-c", f"kill -{int(number)} $$")
    assert program.wait() == -number
    assert told(file) == ("command_ended", "ended", 128 + number, True, None, number.name)


def test_told_to_stop_while_leading(candidate: Candidate, beats: Path, file: Path) -> None:
    """The status is COMMAND's, and the reason says who wanted it."""
    program = candidate("a", "--result", str(file))
    wait_acting(program, beats)
    assert not file.exists()
    program.signal(signal.SIGTERM)
    assert program.wait() == -signal.SIGTERM
    assert told(file) == ("command_ended", "asked", 143, True, None, "SIGTERM")


def test_not_elected_and_left(candidate: Candidate, beats: Path, file: Path) -> None:
    """Without COMMAND there is no status of COMMAND's."""
    wait_acting(candidate("a"), beats)
    assert candidate("b", "-n", "--result", str(file)).wait() == 75
    assert told(file) == ("not_elected", "not_elected", 75, False, None, None)
    assert candidate("b", "-n", "-E", "7", "--result", str(file)).wait() == 7
    assert told(file)[2] == 7
    waiting = candidate("b", "--result", str(file))
    waiting.wait_for("event=waiting ")
    assert not file.exists()
    waiting.signal(signal.SIGTERM)
    assert waiting.wait() == -signal.SIGTERM
    assert told(file) == ("left", "asked", 143, False, None, None)
    content = result_of(file)
    assert (content["token"], content["elected"]) == (None, None)


def test_lost(candidate: Candidate, beats: Path, file: Path, election: str, kazoo_client: KazooClient) -> None:
    """79, with what COMMAND ended with beside it."""
    program = candidate("a", "--result", str(file), witness=("--status", "3"))
    wait_acting(program, beats)
    kazoo_client.delete(f"{election}/lease-0")
    assert program.wait() == 79
    assert told(file)[:4] == ("lost", "record_deleted", 79, True)
    assert result_of(file)["command_ended"] is not None


def test_lost_late(programs: Programs, zookeeper: Server, election: str, file: Path) -> None:
    """The guard says that COMMAND was gone too late: 80."""
    late = (
        "import zkleader.custody as c, zkleader.__main__ as m\n"
        "hear = c.Custody.hear\n"
        "def late(message):\n"
        "    return message.but(in_time=False) if isinstance(message, c.wire.Gone) else message\n"
        "c.Custody.hear = lambda self: [late(message) for message in hear(self)]\n"
        "m.main()"
    )
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    program = programs("run", *where, "true", command=(sys.executable, "-c", late))
    assert program.wait() == 80
    assert told(file) == ("lost_late", "lease_lapsed", 80, True, 0, None)


def test_a_guard_that_fails(candidate: Candidate, beats: Path, file: Path) -> None:
    """An internal error; that COMMAND ran is known, and how it ended is not."""
    program = candidate("a", "--result", str(file))
    wait_acting(program, beats)
    os.kill(program.guard_pid(), signal.SIGKILL)
    assert program.wait() == 70
    assert told(file) == ("internal_error", "guard_died", 70, True, None, None)


def test_an_error_of_our_own(programs: Programs, zookeeper: Server, election: str, file: Path) -> None:
    """Also an exception that nobody expected ends in a result."""
    broken = "import zkleader.custody as c, zkleader.__main__ as m\nc.Custody.hear = lambda self: 1 / 0\nm.main()"
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    program = programs("run", *where, "true", command=(sys.executable, "-c", broken))
    assert program.wait() == 70
    assert told(file)[:4] == ("internal_error", "ZeroDivisionError: division by zero", 70, False)


def test_unreachable(programs: Programs, election: str, file: Path) -> None:
    """69 of ours."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        hosts = f"127.0.0.1:{unused.getsockname()[1]}"
        where = ("-z", hosts, "-e", election, "--connect-timeout", "300ms", "--result", str(file))
        assert programs("run", *where, "true").wait() == 69
    assert told(file) == ("unreachable", "unreachable", 69, False, None, None)


def test_not_permitted_and_a_newer_format(
    programs: Programs, zookeeper: Server, election: str, kazoo_client: KazooClient, file: Path
) -> None:
    """What stands in ZooKeeper keeps us out."""
    kazoo_client.create(election, b"", acl=[make_digest_acl("u", "p", all=True)], makepath=True)
    where = ("-z", zookeeper.hosts, "--result", str(file))
    assert programs("run", *where, "-e", election, "true").wait() == 77
    assert told(file)[0] == "not_permitted"
    kazoo_client.create(f"{election}-newer/lease-0", b'{"format": 3}', makepath=True)
    assert programs("run", *where, "-e", f"{election}-newer", "true").wait() == 78
    assert told(file)[0] == "newer_format"


def test_refused(programs: Programs, zookeeper: Server, election: str, kazoo_client: KazooClient, file: Path) -> None:
    """An ephemeral znode has no children: what nobody could foresee."""
    kazoo_client.create(election, b"", ephemeral=True, makepath=True)
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    assert programs("run", *where, "true").wait() == 70
    assert told(file)[0] == "refused"


def test_not_executed(programs: Programs, zookeeper: Server, election: str, file: Path, tmp_path: Path) -> None:
    """Before campaigning, and when the kernel refuses it afterwards."""
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    assert programs("run", *where, "no-such-command-anywhere").wait() == 127
    assert told(file) == ("not_executed", "not_executed", 127, False, None, None)
    assert result_of(file)["election"] is None
    job = tmp_path / "job"
    job.write_text("#!/no/such/interpreter\n")
    assert programs("run", *where, str(job)).wait() == 126
    job.chmod(0o755)
    assert programs("run", *where, str(job)).wait() == 127
    assert told(file) == ("not_executed", "not_executed", 127, False, None, None)
    assert result_of(file)["token"] is not None


def test_values_that_cannot_work(programs: Programs, file: Path) -> None:
    """64 and 78 as far as they are known after the options were read."""
    assert programs("run", "--result", str(file), "--lease", "4s", "true").wait() == 78
    assert told(file)[0] == "configuration"
    assert programs("run", "--result", str(file), "-n", "-w", "5", "true").wait() == 64
    assert told(file)[:4] == ("usage", "-n and -w contradict each other: -n is -w 0", 64, False)


def test_once_per_already_done_and_not_recorded(
    programs: Programs, zookeeper: Server, election: str, file: Path, proxy: Proxy, tmp_path: Path
) -> None:
    """0 without a run, and a run that others will repeat."""
    once = ("-e", election, "--once-per", "1h", "--result", str(file))
    go = tmp_path / "go"
    program = programs(
        "run", "-v", "-z", proxy.hosts, *FAST, *once, "sh", "-c", f"while ! [ -e {go} ]; do sleep 0.01; done"
    )
    program.wait_for("event=command_started")
    proxy.cut()
    go.write_text("")
    assert program.wait() == 79
    assert told(file) == ("not_recorded", "ended", 79, True, 0, None)
    where = ("-z", zookeeper.hosts, *FAST, *once)
    assert programs("run", *where, "true").wait() == 0
    assert told(file)[:4] == ("command_ended", "ended", 0, True)
    assert programs("run", *where, "true").wait() == 0
    assert told(file) == ("already_done", "already_done", 0, False, None, None)


def test_a_file_that_cannot_be_written_is_78_before_campaigning(
    programs: Programs, zookeeper: Server, election: str, kazoo_client: KazooClient, tmp_path: Path
) -> None:
    """One line, and nothing is created."""
    for path in (tmp_path / "none" / "result", tmp_path, Path("/dev/null"), Path("/proc/result")):
        program = programs("run", "-z", zookeeper.hosts, "-e", election, "--result", str(path), "true")
        assert program.wait() == 78
        [line] = program.stderr
        assert line.startswith(f"zkleader: cannot write the result {path}: ")
    assert programs("run", "--result", "", "true").wait() == 64
    assert kazoo_client.exists(election) is None
    assert Path("/dev/null").is_char_device()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Return a directory on a disk of one page."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", str(place)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip(f"cannot mount: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_is_a_warning(programs: Programs, zookeeper: Server, election: str, small_disk: Path) -> None:
    """There was room when we began, and COMMAND has used it."""
    file = small_disk / "result"
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    program = programs("run", *where, "sh", "-c", f"head -c 4096 /dev/zero >{small_disk}/filler; exit 3")
    assert program.wait() == 3
    assert "event=result_not_written" in program.stderr[0]
    assert [path.name for path in small_disk.iterdir()] == ["filler"]


@pytest.mark.parametrize("number", [0, signal.SIGKILL, signal.SIGTERM])
def test_a_directory_that_vanishes_is_a_warning(
    programs: Programs, zookeeper: Server, election: str, tmp_path: Path, number: int
) -> None:
    """COMMAND may clean up more than it should; a status is not disturbed by it, nor is a signal."""
    place = tmp_path / "place"
    place.mkdir()
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(place / "result"))
    program = programs("run", *where, "sh", "-c", f"rmdir {place}; kill -{int(number)} $$; exit 3")
    assert program.wait() == (-number or 3)
    assert "event=result_not_written" in program.stderr[0]


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_killed_at_the_moment_of_writing(
    programs: Programs, zookeeper: Server, election: str, file: Path, step: str
) -> None:
    """No file, or all of it; and who comes next is not kept waiting."""
    deadly = {
        "write": "result.render = die",
        "fsync": "os.fsync = die",
        "rename": "os.rename = die",
    }[step]
    patched = (
        "import os, signal, zkleader.__main__ as m\n"
        "from zkleader import result\n"
        "def die(*_arguments, **_named):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{deadly}\nm.main()"
    )
    where = ("-z", zookeeper.hosts, "-e", election, "--result", str(file))
    program = programs("run", *where, "true", command=(sys.executable, "-c", patched))
    assert program.wait() == -signal.SIGKILL
    assert not file.exists()
    assert programs("run", "-n", *where, "true").wait() == 0
    assert json.loads(file.read_text())["outcome"] == "command_ended"


def test_a_killed_supervisor_leaves_no_result_of_an_earlier_run(candidate: Candidate, beats: Path, file: Path) -> None:
    """No file is what says it."""
    program = candidate("a", "--result", str(file))
    wait_acting(program, beats)
    program.signal(signal.SIGKILL)
    program.wait()
    assert not file.exists()


def test_the_variable_is_not_passed_on(programs: Programs, zookeeper: Server, election: str, file: Path) -> None:
    """Or a zkleader that COMMAND starts would write over our result."""
    script = 'test -z "${ZKLEADER_RUN_RESULT+set}"'
    program = programs(
        "run", "-z", zookeeper.hosts, "-e", election, "sh", "-c", script, env={"ZKLEADER_RUN_RESULT": str(file)}
    )
    assert program.wait() == 0
    assert told(file)[0] == "command_ended"
