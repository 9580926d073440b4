"""A password is nowhere but in its file and in memory: everything that others can look at is searched for it."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from candidate import Candidate
from conftest import USERS
from kazoo.client import KazooClient
from keys import Authority
from program import Program
from promise import candidates, wait_acting
from proxy import Proxy
from waiting import wait_until
from zookeeper import Server

PASSWORD = USERS["app"]
RELEASING = "zkleader/zk/release"


def shown_by(pid: int) -> dict[str, bytes]:
    """Return what every user can see of a process, and what its own user's other processes can."""
    seen = {}
    for name in ("cmdline", "environ", "comm", "status"):
        seen[f"{pid}/{name}"] = Path(f"/proc/{pid}/{name}").read_bytes()
    return seen


def znodes(client: KazooClient, path: str) -> Iterator[tuple[str, bytes]]:
    data, _ = client.get(path)
    yield path, (data or b"") + repr(client.get_acls(path)[0]).encode()
    for name in client.get_children(path):
        yield from znodes(client, f"{path}/{name}")


def test_a_password_is_nowhere_to_be_seen(
    candidate: Candidate,
    secured: Server,
    authority: Authority,
    auth_file: Callable[..., str],
    connect: Callable[[str], KazooClient],
    election: str,
    beats: Path,
    tmp_path: Path,
) -> None:
    """In no argument and no environment of a process of ours or of COMMAND, in no log, no znode, and no result."""
    operator = connect(secured.hosts)
    secrets = auth_file(f"digest app:{PASSWORD}", f"sasl app:{PASSWORD}")
    result = tmp_path / "result"
    certificate = str(authority.issue("client", common_name="client"))
    tls = ("--tls", "--tls-ca", str(authority.file), "--tls-cert", certificate, "--auth-file", secrets)
    seen: dict[str, bytes] = {}

    with Proxy(f"127.0.0.1:{secured.secure_port}") as proxy:
        hosts = f"localhost:{proxy.hosts.rpartition(':')[2]}"
        options = (*tls, "--log-format", "json", "--result", str(result), "--lease", "10s", "--grace", "200ms")
        program = candidate("a", *options, hosts=hosts)
        program.wait_for('"event": "command_started"')
        wait_until(beats.exists, what="it acts")
        guard, (command,) = program.guard_pid(), program.command_pids()
        for pid in (program.pid, guard, command):
            seen |= shown_by(pid)
        inherited = {str(link.readlink()) for link in Path(f"/proc/{command}/fd").iterdir()}
        assert not [target for target in inherited if "memfd" in target or "auth" in target], inherited
        seen |= dict(znodes(operator, election))

        # The program that releases is looked at while it tries to connect.
        proxy.black_hole()
        program.signal(signal.SIGKILL)
        release = wait_until(lambda: releasing(program), what="the program that releases")
        seen |= shown_by(release)
        proxy.heal()
        program.wait_for("supervisor died: .*; released")
    seen |= dict(znodes(operator, election))

    wrong = (*tls[:-1], auth_file(f"sasl app:not {PASSWORD}"))
    refused = candidate("b", *wrong, "--result", str(result), hosts=secured.secure_hosts)
    assert refused.wait() == 77
    for one in (program, refused):
        seen[f"log of {one.args}"] = "\n".join(one.stderr + one.stdout).encode()
    files = [file for file in tmp_path.rglob("*") if file.is_file() and not file.name.startswith("auth-")]
    assert result in files
    seen |= {str(file): file.read_bytes() for file in files}

    assert len(seen) > 20
    for where, content in seen.items():
        for secret in (PASSWORD, PASSWORD.replace(" ", "\\x20"), f"app:{PASSWORD}".encode().hex()):
            assert secret.encode() not in content, where
    assert candidates(operator, election) == []


def releasing(program: Program) -> int | None:
    return next((process.pid for process in program.processes() if RELEASING in process.command), None)


def test_a_file_of_secrets_is_not_handed_on(
    candidate: Candidate, secured: Server, auth_file: Callable[..., str], beats: Path
) -> None:
    """COMMAND may know where the file is, from the environment; whether it may read it is the file's own affair."""
    env = {"ZKLEADER_AUTH_FILE": auth_file(f"digest app:{PASSWORD}")}
    program = candidate("a", hosts=secured.hosts, env=env)
    wait_acting(program, beats)
    assert "authentication=digest" in "\n".join(program.stderr)
    environment = Path(f"/proc/{program.command_pids()[0]}/environ").read_bytes()
    assert PASSWORD.encode() not in environment
