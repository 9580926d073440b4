"""`check` on real servers: what a deployment script and an operator read, and that nothing is left or touched."""

import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from candidate import Candidate
from kazoo.client import KazooClient
from kazoo.security import make_acl
from program import Program
from promise import wait_acting
from proxy import Proxy
from waiting import wait_until
from zookeeper import Ensemble, Server

Check = Callable[..., Program]
LINE = re.compile(r"(ok  |warn|FAIL)  (server \S+|\S+) +(\S.*)")


@pytest.fixture
def check(programs: Callable[..., Program], zookeeper: Server) -> Check:
    """Give `check(*words, hosts=)`: a rehearsal on the shared server unless told otherwise."""

    def start(*words: str, hosts: str = "", **rest: object) -> Program:
        return programs("check", "-z", hosts or zookeeper.hosts, *words, **rest)

    return start


def found(program: Program, status: int, deadline: float = 20) -> dict[str, list[tuple[str, str]]]:
    """Wait for the end; return level and text of each line by its topic."""
    assert program.wait(deadline) == status, program.report()
    assert program.stderr == []
    topics: dict[str, list[tuple[str, str]]] = {}
    for line in program.stdout:
        parts = LINE.fullmatch(line)
        assert parts, line
        topics.setdefault(parts[2], []).append((parts[1].rstrip(), parts[3]))
    assert bool(status) == any(line.startswith("FAIL") for line in program.stdout)
    return topics


def levels(topics: dict[str, list[tuple[str, str]]], but: tuple[str, ...] = ()) -> set[str]:
    """Return the levels that there are, other than of these topics."""
    return {level for topic, lines in topics.items() if topic not in but for level, _ in lines}


THIS_MACHINE = ("clocks", "suspension", "scheduling", "rate", "killing", "writes")
"""What a loaded machine may be warned of."""


def test_a_rehearsal_for_a_living_election_finds_everything_and_touches_nothing(
    check: Check, candidate: Candidate, beats: Path, kazoo_client: KazooClient, election: str, zookeeper: Server
) -> None:
    """Its leader goes on renewing, its queue stays as it is, and of ours nothing is left."""
    leader = candidate("a")
    wait_acting(leader, beats)
    before = kazoo_client.get_children(election)
    program = check(election, "--lease", "10s", "--grace", "2s")
    topics = found(program, 0)
    assert sorted(before) == sorted(kazoo_client.get_children(election))
    assert topics[f"server {zookeeper.hosts}"][0][1].startswith("3.")
    assert "standalone" in topics[f"server {zookeeper.hosts}"][0][1]
    assert topics["session"] == [("ok", "10s granted, as --lease wants")]
    assert topics["election"] == [("ok", f"{election}: a leads, 1 candidate")]
    assert topics["acl"][0][0] == "warn"
    assert topics["writes"][0][1].startswith(f"created, compared and set, deleted in {election}; ")
    assert topics["timing"] == [("ok", "an outage shorter than 4.65s is ridden out")]
    assert topics.keys() >= {*THIS_MACHINE}
    assert levels(topics, but=("acl", *THIS_MACHINE)) == {"ok"}
    assert program.control_groups() == []
    leader.signal(signal.SIGTERM)
    leader.wait()
    assert not any("event=leadership_lost" in line or "event=server_silent" in line for line in leader.stderr)


def test_without_an_election_and_where_there_is_none_nothing_is_made(
    check: Check, own_zookeeper: Server, connect: Callable[[str], KazooClient]
) -> None:
    """A host that is new, before the first `run`."""
    client = connect(own_zookeeper.hosts)
    for words, hosts in (((), ""), (("job",), "/chroot")):
        topics = found(check(*words, hosts=own_zookeeper.hosts + hosts), 0)
        assert "does not exist yet; what follows is tried in /" in topics["election"][0][1]
        assert ("chroot" in topics) == bool(hosts)
        assert client.get_children("/") == ["zookeeper"]
    client.ensure_path("/chroot/zkleader")
    topics = found(check(hosts=f"{own_zookeeper.hosts}/chroot"), 0)
    assert topics["writes"][0][1].startswith("created, compared and set, deleted in /zkleader;")


def test_each_server_is_judged_by_itself(check: Check, ensemble: Ensemble) -> None:
    """One is dead, one does not answer, a name has no address; the rest is an ensemble, so `run` would work."""
    whole = found(check("--connect-timeout", "5s", hosts=ensemble.hosts), 0)
    roles = [whole[f"server {server.hosts}"][0][1].split(";")[0].split(", ")[1] for server in ensemble]
    assert sorted(roles) == ["follower", "follower", "leader"]
    dead, *_ = ensemble.followers()
    dead.kill()
    hosts = f"{ensemble.hosts},nowhere.invalid"
    topics = found(check("--connect-timeout", "5s", hosts=hosts), 0)
    assert topics[f"server {dead.hosts}"] == [("warn", "connection refused")]
    assert topics["server nowhere.invalid:2181"][0][0] == "warn"
    assert {topics[f"server {server.hosts}"][0][0] for server in ensemble if server is not dead} == {"ok"}
    assert topics["session"][0][0] == "ok"


def test_a_frozen_server_is_told_within_its_time(check: Check, ensemble: Ensemble) -> None:
    """Its kernel accepts connections, and nobody answers."""
    frozen, *_ = ensemble.followers()
    frozen.pause()
    topics = found(check("--connect-timeout", "2s", "--lease", "8s", "--grace", "1s", hosts=ensemble.hosts), 0)
    [(level, text)] = topics[f"server {frozen.hosts}"]
    assert level == "warn"
    assert text.startswith("accepts connections, and no session: ")


def test_no_server_is_69(check: Check, proxy: Proxy) -> None:
    """Refused, silent, or nowhere: each in its own words, none beyond its time; the host is looked at all the same."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        refused = f"127.0.0.1:{unused.getsockname()[1]}"
        proxy.black_hole()
        hosts = f"{refused},{proxy.hosts},nowhere.invalid"
        topics = found(check("--connect-timeout", "1s", hosts=hosts), 69, deadline=8)
    assert topics[f"server {refused}"] == [("FAIL", "connection refused")]
    assert topics[f"server {proxy.hosts}"] == [("FAIL", "does not accept a connection within 1 s")]
    assert topics["server nowhere.invalid:2181"][0][0] == "FAIL"
    assert topics["session"][0][0] == "FAIL"
    assert topics.keys() >= {"clocks", "timing", "killing"}


def test_an_ensemble_without_a_quorum_is_69(check: Check, ensemble: Ensemble) -> None:
    """Its last server accepts connections, and gives nobody a session."""
    last, *others = ensemble
    for server in others:
        server.kill()
    wait_until(lambda: last.mode() is None, what="the last one serves nobody")
    topics = found(check("--connect-timeout", "1s", hosts=ensemble.hosts), 69)
    assert topics[f"server {last.hosts}"][0][1].startswith("accepts connections, and no session: ")


@pytest.mark.parametrize("lacks", ["all", "delete", "write record"])
def test_what_is_not_permitted_is_77(check: Check, kazoo_client: KazooClient, election: str, lacks: str) -> None:
    """Said before it costs a leader its command: a record that may not be written is found out when it is claimed."""
    record = f"{election}/lease-0"
    data = b'{"format": 1, "holder": "", "beat": 0, "lease_ms": 60000, "released": true}'
    kazoo_client.create(record, data, makepath=True)
    rights = dict.fromkeys(("read", "write", "create", "delete", "admin"), True)
    path, rights, wanted = {
        "all": (election, {"admin": True}, [f"{election} may not be read", f"may not create in {election}"]),
        "delete": (election, rights | {"delete": False}, [f"may not delete in {election}"]),
        "write record": (record, rights | {"write": False}, ["its lease record may not be written"]),
    }[lacks]
    kazoo_client.set_acls(path, [make_acl("world", "anyone", **rights)])
    topics = found(check(election), 77)
    assert [text for lines in topics.values() for level, text in lines if level == "FAIL"] == wanted
    kazoo_client.set_acls(election, [make_acl("world", "anyone", all=True)])
    wait_until(lambda: kazoo_client.get_children(election) == ["lease-0"], what="nothing is left")
    assert kazoo_client.get(record)[1].version == 0


def test_a_znode_that_only_others_may_write_is_not_open(check: Check, kazoo_client: KazooClient, election: str) -> None:
    """What `run` creates would be, and is still warned of."""
    kazoo_client.create(election, makepath=True)
    kazoo_client.create(f"{election}/lease-0", b"{}")
    for path in (election, f"{election}/lease-0"):
        kazoo_client.set_acls(path, [make_acl("ip", "127.0.0.1", all=True), make_acl("world", "anyone", read=True)])
    topics = found(check(election), 0)
    assert topics["acl"] == [("warn", "everybody who reaches ZooKeeper may write: what `run` creates")]
    assert topics["election"][0][0] == "warn"  # and its record is garbage


@pytest.mark.parametrize(
    ("data", "status", "level"),
    [(b"\x1b[2J" * 250_000, 0, "warn"), (b'{"format": 7}', 78, "FAIL")],
)
def test_garbage_and_newer_records_are_told(
    check: Check, kazoo_client: KazooClient, election: str, data: bytes, status: int, level: str
) -> None:
    """In one line, whatever it is; and candidates of any kind change nothing."""
    kazoo_client.create(f"{election}/lease-0", data, makepath=True)
    for name in ("nobody", "lock-0000000001", "x-n_0000000002"):
        kazoo_client.create(f"{election}/{name}", b"\xff", ephemeral=True)
    topics = found(check(election), status)
    assert topics["election"][0][0] == level
    assert kazoo_client.get(f"{election}/lease-0")[0] == data


def test_a_timing_that_cannot_work_is_78_and_a_short_session_a_warning(
    programs: Callable[..., Program], tmp_path: Path
) -> None:
    """What `run` would be told by the file and its variables counts, for this election; the rest is looked at too."""
    file = tmp_path / "zkleader.toml"
    file.write_text('[run]\nlease = "10s"\non-loss = "rejoin"\n[election.job]\ngrace = "18s"\n')
    with Server(max_session_timeout=4000) as limited:
        env = {"ZKLEADER_HOSTS": limited.hosts, "ZKLEADER_RUN_LEASE": "20s"}
        topics = found(programs("check", "--config", str(file), "job", env=env), 78)
    assert topics["session"] == [("warn", "4s granted, less than --lease 20s")]
    [(level, text)] = topics["timing"]
    assert level == "FAIL"
    assert text.startswith("--grace 18s + margin 0.45s + ")
    assert topics["writes"][0][0] in ("ok", "warn")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lease", "1s"), "cannot use --lease: 1s is not within 2s and 60s"),
        (("a//b",), "cannot use ELECTION: "),
    ],
)
def test_what_is_wrong_on_the_command_line_is_64(
    programs: Callable[..., Program], words: tuple[str, ...], said: str
) -> None:
    """One line, before anything is asked."""
    program = programs("check", *words)
    assert program.wait() == 64
    assert program.stdout == []
    [line] = program.stderr
    assert said in line


def test_ctrl_c_ends_it_quietly(check: Check, proxy: Proxy) -> None:
    """However many threads wait for servers that say nothing."""
    proxy.cut()
    program = check(hosts=proxy.hosts)
    wait_until(lambda: proxy.connections > 0, what="it asks")
    program.signal(signal.SIGINT)
    assert program.wait(2) == -signal.SIGINT
    assert program.stderr == []
